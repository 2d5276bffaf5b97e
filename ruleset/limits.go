package ruleset

import "time"

// Limits bound what a device enforces of all lists together, whatever is signed:
// the state, not the frame, since a thief would send more frames. The zero
// Limits allows nothing.
type Limits struct {
	Entries int           `json:"entries"`       // blocks
	Cover4  uint64        `json:"cover4"`        // IPv4 addresses that blocks cover
	Growth  int           `json:"growth"`        // entries that were not there before, in any hour, after the first list
	Widest4 int           `json:"widest4"`       // shortest length of an IPv4 prefix; 0 is single addresses only
	Widest6 int           `json:"widest6"`       // shortest length of an IPv6 prefix; 0 is /64 only
	TTL     time.Duration `json:"ttl,omitempty"` // from receipt to the end of a rule, plus one step of its class
	Passes  int           `json:"passes"`        // passes: single addresses, or /64, only
}

// DefaultLimits returns what a device accepts unless its owner, or its class,
// sets less.
func DefaultLimits() Limits {
	return Limits{
		Entries: 1 << 20,
		Cover4:  1 << 32 / 1000,
		Growth:  5000,
		Widest4: 24,
		Widest6: 48,
		TTL:     24 * time.Hour,
		Passes:  1000,
	}
}

// Min returns the stricter of l and m, limit by limit.
func (l Limits) Min(m Limits) Limits {
	return Limits{
		Entries: min(l.Entries, m.Entries),
		Cover4:  min(l.Cover4, m.Cover4),
		Growth:  min(l.Growth, m.Growth),
		Widest4: stricter(l.Widest4, m.Widest4),
		Widest6: stricter(l.Widest6, m.Widest6),
		TTL:     min(l.TTL, m.TTL),
		Passes:  min(l.Passes, m.Passes),
	}
}

// stricter returns the longer of two shortest prefix lengths; 0 is the longest.
func stricter(a, b int) int {
	if a <= 0 || b <= 0 {
		return 0
	}
	return max(a, b)
}
