package takedown

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/tocsin-io/tocsin"
)

const (
	// Quiet is how long witnesses must see no contact.
	Quiet = 6 * time.Hour
	// Witnesses is how many devices it takes.
	Witnesses = 3
	// Fresh is how old the last word of a witness may be.
	Fresh = time.Hour

	maxWitnesses = 16
)

// A Vantage is what one device can say about the address of a case, from its own
// traffic alone: nobody is probed.
type Vantage struct {
	Device   tocsin.DeviceID `json:"device"`
	Owner    tocsin.OwnerID  `json:"owner"`
	Last     time.Time       `json:"last"`               // last contact with the address, drops included; zero is never
	From     time.Time       `json:"from"`               // since when it has told everything, without a gap
	Until    time.Time       `json:"until"`              // until when
	Outgoing bool            `json:"outgoing,omitempty"` // its outgoing connections are read
	Incoming bool            `json:"incoming,omitempty"` // its log-ins are read
	Blocks   bool            `json:"blocks,omitempty"`   // it drops what comes from the address, or goes to it
	Sampled  bool            `json:"sampled,omitempty"`  // and tells of what it dropped
}

// A Proof is what shows that an address is down.
type Proof struct {
	Witnesses []Vantage `json:"witnesses"` // a bounded choice of those that qualify
	Qualified int       `json:"qualified"` // how many do
	Owners    int       `json:"owners"`    // of all devices that ever had contact
}

// Verify returns the proof that nobody has had contact for [Quiet] at now, from
// every device that ever had, or [ErrNotProven] with the reason.
func Verify(kind Kind, all []Vantage, now time.Time) (Proof, error) {
	owners := map[tocsin.OwnerID]bool{}
	devices := map[tocsin.DeviceID]bool{}
	var p Proof
	for _, v := range all {
		if v.Last.IsZero() {
			continue
		}
		owners[v.Owner] = true
		// Who sees contact refutes it, however little else he sees.
		if v.Last.After(now.Add(-Quiet)) {
			return Proof{}, fmt.Errorf("%w: contact was seen at %s", ErrNotProven, stamp(v.Last))
		}
		if v.qualifies(kind, now) && !devices[v.Device] {
			devices[v.Device] = true
			p.Witnesses = append(p.Witnesses, v)
		}
	}
	p.Qualified, p.Owners = len(p.Witnesses), len(owners)
	p.Witnesses = choose(p.Witnesses)
	return p, p.check(kind, now)
}

// qualifies reports whether the silence of v means anything.
func (v Vantage) qualifies(kind Kind, now time.Time) bool {
	covered := v.Outgoing
	if kind == BruteForce {
		covered = v.Incoming
	}
	if kind == CompromisedServer {
		covered = v.Incoming || v.Outgoing
	}
	if !covered || v.Blocks && !v.Sampled || v.Last.IsZero() {
		return false
	}
	return !v.Until.After(now) && now.Sub(v.Until) <= Fresh && v.Until.Sub(latest(v.Last, v.From)) >= Quiet
}

// choose returns few of the witnesses, of as many owners as there are.
func choose(all []Vantage) []Vantage {
	slices.SortFunc(all, func(a, b Vantage) int {
		return cmp.Or(cmp.Compare(a.Owner, b.Owner), cmp.Compare(a.Device, b.Device))
	})
	var first, rest []Vantage
	for i, v := range all {
		if i == 0 || v.Owner != all[i-1].Owner {
			first = append(first, v)
		} else {
			rest = append(rest, v)
		}
	}
	all = append(first, rest...)
	return all[:min(len(all), maxWitnesses)]
}

// check reports what p lacks at now.
func (p *Proof) check(kind Kind, now time.Time) error {
	if p == nil {
		return fmt.Errorf("%w: nobody was asked", ErrNotProven)
	}
	if len(p.Witnesses) > maxWitnesses {
		return fmt.Errorf("%d witnesses are more than the %d that are kept", len(p.Witnesses), maxWitnesses)
	}
	owners := map[tocsin.OwnerID]bool{}
	devices := map[tocsin.DeviceID]bool{}
	for _, v := range p.Witnesses {
		if v.qualifies(kind, now) {
			owners[v.Owner], devices[v.Device] = true, true
		}
	}
	if len(devices) < Witnesses {
		return fmt.Errorf("%w: %d devices that had contact would have seen it, want %d", ErrNotProven, len(devices), Witnesses)
	}
	if len(owners) < 2 && p.Owners >= 2 {
		return fmt.Errorf("%w: all who would have seen contact belong to one owner, want two", ErrNotProven)
	}
	return nil
}
