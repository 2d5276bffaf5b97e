package quorum

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"strconv"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/internal/window"
)

// An Explanation says what is known of a source, and why it is blocked or not.
// Reporters of other owners are told by pseudonym.
type Explanation struct {
	Owner    tocsin.OwnerID `json:"owner,omitempty"` // whose view it is
	Prefix   netip.Prefix   `json:"prefix"`
	At       time.Time      `json:"at"`
	Policy   string         `json:"policy"` // version of the rules
	AtOwner  *OwnerView     `json:"at_owner,omitempty"`
	AtAll    *FleetView     `json:"at_all,omitempty"`
	Shared   bool           `json:"shared,omitempty"`   // used by many: blocks are short
	Welcome  bool           `json:"welcome,omitempty"`  // somebody belongs there at this owner
	Vouched  int            `json:"vouched,omitempty"`  // owners where somebody belongs
	Evidence string         `json:"evidence,omitempty"` // hash of all that the above rests on
}

// OwnerView is what the devices of one owner saw within a week.
type OwnerView struct {
	Failures [3]int        `json:"failures"` // within 10 minutes, a day, a week; of the last 10
	Devices  int           `json:"devices"`
	Until    time.Time     `json:"until,omitzero"` // of the block, if it stands
	Since    time.Time     `json:"since,omitzero"`
	Blocks   int           `json:"blocks"` // that count for the length of the next
	Reason   tocsin.Reason `json:"reason,omitempty"`
}

// FleetView is what independent owners witnessed within a week.
type FleetView struct {
	Witnesses []Witness     `json:"witnesses,omitempty"`
	Honeypot  time.Time     `json:"honeypot,omitzero"` // when one of the hub's saw it last
	Score     float64       `json:"score"`
	Threshold float64       `json:"threshold"`
	Owners    int           `json:"owners"`
	Networks  int           `json:"networks"`
	Window    string        `json:"window"` // that the score is of
	Until     time.Time     `json:"until,omitzero"`
	Since     time.Time     `json:"since,omitzero"`
	Blocks    int           `json:"blocks"`
	Reason    tocsin.Reason `json:"reason,omitempty"`
}

// Witness is one group of reporters.
type Witness struct {
	Pseudonym string     `json:"pseudonym"`
	Network   uint32     `json:"network"` // autonomous system, 0 is unknown
	Trust     float64    `json:"trust"`
	Evidence  [3]float64 `json:"evidence"` // within 10 minutes, a day, a week
	Last      time.Time  `json:"last"`
}

// Explain says what is known at the time at of the source p, to owner and to
// all.
func (t *Tally) Explain(owner tocsin.OwnerID, p netip.Prefix, at time.Time) Explanation {
	e := Explanation{Owner: owner, Prefix: p, At: at, Policy: t.policy.Version()}
	key, ok := window.Key(p.Addr())
	if !ok {
		return e
	}
	now := seconds(at)
	e.Prefix = window.Prefix(key)
	e.Shared = t.shared.contains(e.Prefix.Addr())
	var evidence []byte
	if pr := t.pairs.Get(t.policy.Seed.Hash2(key, uint64(t.owners[owner]))); owner != "" && pr != nil {
		e.AtOwner = pr.view(now)
		e.Welcome = pr.friendly(now)
		for _, ev := range pr.failures.events(now, weekSeconds) {
			evidence = binary.BigEndian.AppendUint32(evidence, ev.at)
			evidence = binary.BigEndian.AppendUint32(evidence, uint32(ev.tag))
		}
	}
	if s := t.sources.Get(key); s != nil {
		e.AtAll = t.view(s, now)
		for _, w := range e.AtAll.Witnesses {
			evidence = fmt.Appendf(evidence, "%v", w)
		}
	}
	if f := t.friends.Get(key); f != nil {
		for _, v := range f.owners {
			if within(v.last, now, weekSeconds) {
				e.Vouched++
			}
		}
	}
	if len(evidence) > 0 {
		sum := sha256.Sum256(evidence)
		e.Evidence = hex.EncodeToString(sum[:8])
	}
	return e
}

func (p *pair) view(now uint32) *OwnerView {
	v := &OwnerView{Blocks: int(p.strikes), Devices: devices(p.failures.events(now, weekSeconds))}
	for i, s := range spans {
		v.Failures[i] = len(p.failures.events(now, s))
	}
	if p.end > now {
		v.Since, v.Until = at(p.start), at(p.end)
		v.Reason = verdict{rule: p.by, count: int(p.count), devices: int(p.devices)}.reason()
	}
	return v
}

func (t *Tally) view(s *source, now uint32) *FleetView {
	sc, _ := t.judgement(s, now, 0)
	v := &FleetView{
		Honeypot: at(s.honeypot), Score: float64(sc.sum) / 1000, Threshold: float64(t.policy.Threshold) / 1000,
		Owners: sc.owners, Networks: sc.networks, Window: spanNames[sc.window], Blocks: int(s.strikes),
	}
	for i := range s.panel {
		w := &s.panel[i]
		if w.owner == 0 || !within(w.last, now, weekSeconds) {
			continue
		}
		one := Witness{
			Pseudonym: t.pseudonym(w.owner), Network: w.network, Last: at(w.last),
			Trust: float64(t.trust(w.owner, w.enrolled, now)) / 1000,
		}
		for win := range spans {
			if within(w.start[win], now, spans[win]) {
				full := max(t.policy.Full[win], 1)
				one.Evidence[win] = float64(min(int(w.points[win]), full)) / float64(full)
			}
		}
		v.Witnesses = append(v.Witnesses, one)
	}
	if s.end > now {
		v.Since, v.Until, v.Reason = at(s.start), at(s.end), s.reason()
	}
	return v
}

var spanNames = [3]string{"10 minutes", "24 hours", "7 days"}

// Lines says it in words, a sentence a line.
func (e Explanation) Lines() []string {
	var lines []string
	say := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	if o := e.AtOwner; o != nil {
		if !o.Until.IsZero() {
			say("blocked for this owner until %s: %s", o.Until.Format(time.RFC3339), o.Reason)
		}
		say("failures at this owner: %d within 10 minutes, %d within 24 hours, %d within 7 days, on %s",
			o.Failures[0], o.Failures[1], o.Failures[2], plural(o.Devices, "device"))
	}
	if f := e.AtAll; f != nil {
		if !f.Until.IsZero() {
			say("blocked for everybody until %s: %s", f.Until.Format(time.RFC3339), f.Reason)
		}
		if !f.Honeypot.IsZero() {
			say("a honeypot of the hub saw it try to log in at %s", f.Honeypot.Format(time.RFC3339))
		}
		say("witnesses weigh %.2f of %.2f within %s: %s in %s", f.Score, f.Threshold, f.Window, plural(f.Owners, "owner"), plural(f.Networks, "network"))
		for _, w := range f.Witnesses {
			say("witness %s in %s, trusted %.2f: evidence %.2f within 10 minutes, %.2f within 24 hours, %.2f within 7 days",
				w.Pseudonym, networkName(w.Network), w.Trust, w.Evidence[0], w.Evidence[1], w.Evidence[2])
		}
	}
	if e.Shared {
		say("many people share this address: blocks are short")
	}
	if e.Welcome {
		say("somebody got in from there within 7 days who belongs there")
	}
	if e.Vouched > 0 {
		say("somebody who belongs there got in at %s", plural(e.Vouched, "owner"))
	}
	if len(lines) == 0 {
		say("nothing is known of %s", e.Prefix)
	}
	return append(lines, "by policy "+e.Policy)
}

func plural(n int, word string) string {
	if n != 1 {
		word += "s"
	}
	return strconv.Itoa(n) + " " + word
}

func networkName(n uint32) string {
	if n == 0 {
		return "an unknown network"
	}
	return "AS" + strconv.FormatUint(uint64(n), 10)
}

// reason says in one line for a person why a source is blocked.
func (v verdict) reason() tocsin.Reason {
	where := plural(max(v.devices, 1), "device")
	n := strconv.Itoa(v.count)
	switch v.rule {
	case byDevice:
		return "a device of yours blocked it"
	case bySpread, byHint, byWeek:
		return tocsin.Reason(n + " guesses within 7 days on " + where)
	case byCampaign:
		return tocsin.Reason(n + " guesses within 7 days on " + where + ", of a source that acts with others")
	case byFast:
		return tocsin.Reason(n + " failures within 10 minutes on " + where)
	case byDay:
		return tocsin.Reason(n + " failures within a day on " + where)
	case byPerson:
		return tocsin.Reason(n + " failures on one account, on " + where)
	case byCrowd:
		return tocsin.Reason(n + " failures on accounts of several people, on " + where)
	case byKnocking:
		return "blocked before, and still trying"
	}
	return ""
}

func (s *source) reason() tocsin.Reason {
	b := "witnessed by " + plural(int(s.owners), "owner") + " in " + plural(int(s.networks), "network")
	if s.by == byHoneypot {
		b = "tried to log in at a honeypot, and " + b
	}
	return tocsin.Reason(b)
}
