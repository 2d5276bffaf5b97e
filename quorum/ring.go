package quorum

// keep is how many failures of a source at an owner are remembered.
const keep = 10

// A tag is what is remembered of one failure: 20 bits of the account's hash, 8
// of the device's, and what the failure was like.
type tag uint32

const (
	unknown  tag = 1 << iota // the service said that it has no such account
	listed                   // on the list of names that everybody knows
	local                    // any user of the device could have written it
	nameless                 // the line tells no account

	flagBits   = 4
	deviceBits = 8
	accountOf  = ^tag(1<<(flagBits+deviceBits) - 1)
	deviceOf   = (1<<deviceBits - 1) << flagBits
)

func sameAccount(a, b tag) bool { return (a^b)&accountOf == 0 && (a^b)&nameless == 0 }
func sameDevice(a, b tag) bool  { return (a^b)&deviceOf == 0 }

type event struct {
	at  uint32
	tag tag
}

// A ring holds the last failures, newest first; an event at 0 is none.
type ring [keep]event

// add puts n failures at one time into r, in order of time.
func (r *ring) add(e event, n uint32) {
	i := 0
	for i < keep && r[i].at > e.at {
		i++
	}
	k := min(int(min(n, keep)), keep-i)
	copy(r[i+k:], r[i:keep-k])
	for j := range k {
		r[i+j] = e
	}
}

// events returns what r holds that is younger than span at now, newest first.
func (r *ring) events(now, span uint32) []event { return since(r[:], now, span) }

func since(list []event, now, span uint32) []event {
	for i, e := range list {
		if !within(e.at, now, span) {
			return list[:i]
		}
	}
	return list
}

// drop forgets the events that drop says yes to.
func (r *ring) drop(drop func(event) bool) {
	var kept ring
	n := 0
	for _, e := range r {
		if e.at != 0 && !drop(e) {
			kept[n] = e
			n++
		}
	}
	*r = kept
}
