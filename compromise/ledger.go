package compromise

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"time"

	"github.com/tocsin-io/tocsin"
)

// The weights of the ledger, in nats. They are start values: calibrate them on
// planted incidents.
const (
	RuleVersion = "1"   // of the tables of evidence and states
	Prior       = 0.001 // that a device is compromised, before anything is known of it
	Cap         = 5.0   // on what one group comes to

	soonNats    = 4.0 // persistence soon after access
	hearsayNats = 1.0 // at most, for what anybody may have written
	soon        = 30 * time.Minute
)

// MaxEntries bounds how many entries of one kind a ledger keeps, the first ones;
// a compromised device may tell without end.
const MaxEntries = 64

// A Digest is the SHA-256 of raw evidence.
type Digest [sha256.Size]byte

// MarshalText encodes d in hexadecimal.
func (d Digest) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, d[:]), nil }

// UnmarshalText reads what MarshalText wrote.
func (d *Digest) UnmarshalText(b []byte) error {
	raw, err := hex.DecodeString(string(b))
	if err != nil || len(raw) != len(d) {
		return fmt.Errorf("digest %q: not %d hexadecimal digits", b, 2*len(d))
	}
	copy(d[:], raw)
	return nil
}

// An Entry is one piece of evidence about one device.
type Entry struct {
	Kind    Kind            `json:"fact"`
	Group   Group           `json:"group"`
	Nats    float64         `json:"nats"` // before the cap on its group
	At      time.Time       `json:"at"`
	Device  tocsin.DeviceID `json:"device"`
	Subject string          `json:"subject,omitempty"` // a path, an account, a port: hostile
	Source  netip.Prefix    `json:"source,omitzero"`   // who was let in
	To      netip.AddrPort  `json:"to,omitzero"`       // what the device contacted
	Digest  Digest          `json:"digest"`
	Rule    string          `json:"rule"`              // version of the table
	Hearsay bool            `json:"hearsay,omitempty"` // anybody may have written it: suspects, but never confirms
	Closed  bool            `json:"closed,omitempty"`  // a person saw it and held it harmless

	last time.Time // end of what it tells of
}

// ref names e among the evidence about one device. The same bytes found again
// later are another entry; a controller that is contacted again is not.
func (e Entry) ref() Digest {
	if e.Kind == Controller {
		return digest([]any{e.Kind, e.To})
	}
	return digest([]any{e.Kind, e.At.UTC(), e.Subject, e.Source, e.To, e.Digest})
}

// digest hashes what the hub itself holds as evidence.
func digest(evidence any) Digest {
	b, err := json.Marshal(evidence)
	if err != nil { // only for what has no encoding, and everything here has
		b = fmt.Append(nil, evidence)
	}
	return sha256.Sum256(b)
}

// entries returns the evidence in what the device told, unsorted and unweighed.
func entries(p Period, f Facts, sources sources) []Entry {
	var all []Entry
	for _, r := range f.Sightings {
		if r.ID.Device != f.Device {
			continue
		}
		first, last := r.First.Add(-r.Offset), r.Last.Add(-r.Offset)
		if !p.Contains(first) && !p.Contains(last) {
			continue
		}
		hearsay := r.Provenance != tocsin.Attested && r.Provenance != tocsin.Local
		for _, k := range letIn(r, first, last, sources) {
			all = append(all, Entry{
				Kind: k, At: first, Device: f.Device, Source: r.Source, Subject: string(r.Service),
				Digest: digest(r.Sighting), Hearsay: hearsay, last: last,
			})
		}
	}
	for _, c := range f.Clues {
		k := kindOf(c.Fact)
		if k == 0 || c.Device != f.Device || !p.Contains(c.At) {
			continue
		}
		e := Entry{
			Kind: k, At: c.At, Device: f.Device, Subject: c.Subject, Source: c.Source, To: c.To,
			Digest: c.Digest, last: c.At,
		}
		if e.Digest == (Digest{}) {
			e.Digest = digest(c)
		}
		all = append(all, e)
	}
	return all
}

// letIn returns which kinds of access a sighting tells of.
func letIn(r tocsin.Received, first, last time.Time, sources sources) (kinds []Kind) {
	if r.Facts.Has(tocsin.SuccessAfterFailures) {
		kinds = append(kinds, AfterFailures)
	}
	if r.Facts.Has(tocsin.SuccessFromBlocked) {
		kinds = append(kinds, FromBlocked)
	}
	if proves(r.Sighting) && sources.active(r.Source, first, last) {
		kinds = append(kinds, FromCampaign)
	}
	return kinds
}

// weigh sets group, rule and weight of every entry, and sorts them. What is told
// twice counts once.
func weigh(all []Entry) []Entry {
	slices.SortStableFunc(all, compare)
	all = slices.CompactFunc(all, func(a, b Entry) bool {
		return compare(a, b) == 0
	})
	var access []Entry
	for i := range all {
		e := &all[i]
		e.Group, e.Nats, e.Rule = e.Kind.Group(), e.Kind.row().nats, RuleVersion
		if e.Hearsay {
			e.Nats = min(e.Nats, hearsayNats)
		} else if e.Group == Access {
			access = append(access, *e)
		}
	}
	for i := range all {
		if e := &all[i]; e.Group == Persistence && follows(e.At, access) {
			e.Nats = soonNats
		}
	}
	return all
}

// follows reports whether at is during, or soon after, one of the log-ins.
func follows(at time.Time, access []Entry) bool {
	return slices.ContainsFunc(access, func(a Entry) bool {
		return !at.Before(a.At) && !at.After(a.last.Add(soon))
	})
}

func compare(a, b Entry) int {
	return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Subject, b.Subject),
		bytes.Compare(a.Digest[:], b.Digest[:]))
}

// probability sums the ledger up.
func probability(all []Entry) float64 {
	var sums [Host + 1]float64
	for _, e := range all {
		sums[e.Group] += e.Nats
	}
	odds := math.Log(Prior / (1 - Prior))
	for _, s := range sums {
		odds += min(s, Cap)
	}
	return 1 / (1 + math.Exp(-odds))
}

// bound keeps the first entries of each kind, and counts the rest.
func bound(all []Entry) (kept []Entry, omitted int) {
	var have [len(rows)]int
	for _, e := range all {
		if have[e.Kind]++; have[e.Kind] <= MaxEntries {
			kept = append(kept, e)
		}
	}
	return kept, len(all) - len(kept)
}
