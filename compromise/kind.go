package compromise

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tocsin-io/tocsin"
)

// A Group is evidence that is not independent: what its facts come to is capped.
type Group uint8

// The groups, A to D. The values are stored: add at the end, never renumber.
const (
	_           Group = iota
	Access            // A: somebody was let in
	Persistence       // B: something stays behind
	Network           // C: what the device itself opens
	Host              // D: what else changed on the device
)

var groupWords = []string{"", "access", "persistence", "network", "host"}

// String returns the word that the command line and the wire use.
func (g Group) String() string { return word(groupWords, int(g)) }

// MarshalText encodes g as its word.
func (g Group) MarshalText() ([]byte, error) { return []byte(g.String()), nil }

// UnmarshalText reads the word of a group.
func (g *Group) UnmarshalText(b []byte) error {
	i, err := find(groupWords, b)
	*g = Group(i)
	return err
}

// A Kind is one row of the table of evidence: a [tocsin.Fact] that weighs
// something, or what only the hub can know.
type Kind uint8

// The kinds of evidence. The values are stored: add at the end, never renumber.
const (
	_             Kind = iota
	AfterFailures      // let in after failures
	FromBlocked        // let in although the source was blocked
	FromCampaign       // let in from a source of a campaign
	FromNewOrigin      // let in from a new country and network
	Keys               // authorized_keys changed
	Account            // a new account or administrator
	Autorun            // a new cron entry, unit or start script
	Package            // software that is not from the vendor
	Scan               // the device tries many destinations
	Controller         // contact with an admitted controller: never seen by Label
	Pool               // contact with a mining pool
	Port               // a new listening port
	Off                // firewall or logging switched off
	Gap                // log lines missing
	Tripwire           // a canary was touched
)

// A row is what one kind of evidence is worth.
type row struct {
	words     string
	fact      tocsin.Fact // zero: only the hub can know
	group     Group
	nats      float64
	technique string // of ATT&CK, where one fits
}

// rows is the table of evidence. A change of it is a new [RuleVersion].
var rows = [...]row{
	AfterFailures: {"let in after failures", tocsin.SuccessAfterFailures, Access, 4, "T1078"},
	FromBlocked:   {"let in although blocked", tocsin.SuccessFromBlocked, Access, 4, "T1078"},
	FromCampaign:  {"let in from a source of a campaign", 0, Access, 4, "T1078"},
	FromNewOrigin: {"let in from a new country and network", tocsin.NewOrigin, Access, 1, "T1078"},
	Keys:          {"keys that may log in changed", tocsin.KeysChanged, Persistence, 1, "T1098.004"},
	Account:       {"account added", tocsin.AccountAdded, Persistence, 1, "T1136.001"},
	Autorun:       {"autorun entry added", tocsin.AutorunAdded, Persistence, 1, "T1053.003"},
	Package:       {"package not from the vendor", tocsin.ForeignPackage, Persistence, 1, ""},
	Scan:          {"scans others", tocsin.OutgoingScan, Network, 3, "T1046"},
	Controller:    {"contact with a controller", 0, Network, 4, "T1071"},
	Pool:          {"contact with a mining pool", tocsin.Mining, Network, 3, "T1496"},
	Port:          {"new listening port", tocsin.PortOpened, Host, 1, ""},
	Off:           {"firewall or logging switched off", tocsin.LoggingOff, Host, 1, ""},
	Gap:           {"log lines missing", tocsin.LogGap, Host, 1, ""},
	Tripwire:      {"tripwire hit", tocsin.TripwireHit, Host, 4, ""},
}

// kindOf returns the kind of evidence that a fact is; zero is none.
func kindOf(f tocsin.Fact) Kind {
	for k := range rows {
		if k > 0 && f != 0 && rows[k].fact == f {
			return Kind(k)
		}
	}
	return 0
}

func (k Kind) row() row {
	if int(k) < len(rows) {
		return rows[k]
	}
	return row{}
}

// Group returns the group that k belongs to.
func (k Kind) Group() Group { return k.row().group }

// Technique returns the id of MITRE ATT&CK that fits k, or "".
func (k Kind) Technique() string { return k.row().technique }

// String returns the words that the command line and the wire use.
func (k Kind) String() string {
	if r := k.row(); r.words != "" {
		return r.words
	}
	return "invalid"
}

// MarshalText encodes k as its words.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText reads the words of a kind.
func (k *Kind) UnmarshalText(b []byte) error {
	words := make([]string, len(rows))
	for i, r := range rows {
		words[i] = r.words
	}
	i, err := find(words, b)
	*k = Kind(i)
	return err
}

func word(words []string, i int) string {
	if i > 0 && i < len(words) {
		return words[i]
	}
	return "invalid"
}

// find returns where the word b stands in words; the zero word is none.
func find(words []string, b []byte) (int, error) {
	if i := slices.Index(words, string(b)); i > 0 {
		return i, nil
	}
	return 0, fmt.Errorf("%q is none of %s", b, strings.Join(words[1:], ", "))
}
