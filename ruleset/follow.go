package ruleset

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/tocsin-io/tocsin"
)

// Follow returns the list after a frame that the hub itself published and kept:
// a hub that starts goes on where it was, from [New] at epoch 0 by its snapshot
// and the frames after it. It does not look at the signature; everything else is
// checked as by a device.
func (l *List) Follow(s Sealed) (*List, error) {
	h, err := Peek(s)
	if err != nil {
		return nil, err
	}
	if h.Position.Ref != l.pos.Ref {
		return nil, fmt.Errorf("%w: %s, want %s", ErrUnknownList, h.Position, l.pos.Ref)
	}
	m, err := decode(s[:len(s)-keyTail])
	if err != nil {
		return nil, err
	}
	f, ok := m.(Frame)
	if !ok {
		return nil, fmt.Errorf("%w: a %v", ErrMalformed, h.Kind)
	}
	return l.apply(f)
}

// Has reports whether a rule for exactly p is in force at a time.
func (l *List) Has(p netip.Prefix, a tocsin.Action, at time.Time) bool {
	kind, v6, key, ok := place(p, a)
	if !ok {
		return false
	}
	for _, g := range alive(l.groups, at) {
		var found bool
		if v6 {
			_, found = slices.BinarySearch(g.v6[kind], key)
		} else {
			_, found = slices.BinarySearch(g.v4[kind], uint32(key))
		}
		if found {
			return true
		}
	}
	return false
}
