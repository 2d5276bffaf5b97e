package ruleset

import (
	"iter"
	"time"

	"github.com/tocsin-io/tocsin"
)

// Kind says what a message is.
type Kind uint8

// The zero Kind is invalid. The values travel: never renumber.
const (
	_        Kind = iota
	Delta         // changes the list of the serial before
	Snapshot      // a whole list
	Beat          // a heartbeat
)

// String returns the word for a person.
func (k Kind) String() string {
	switch k {
	case Delta:
		return "delta"
	case Snapshot:
		return "snapshot"
	case Beat:
		return "heartbeat"
	}
	return "invalid"
}

// most returns how many bytes a message may have.
func (k Kind) most() int {
	switch k {
	case Delta:
		return MaxDelta
	case Snapshot:
		return MaxSnapshot
	}
	return MaxBeat
}

// A Header is what every message begins with.
type Header struct {
	Kind     Kind
	Position Position  // of the list once the message is applied
	Ring     uint8     // of the roll-out; 0 is all at once
	Created  time.Time // by the hub's clock, whole seconds
	Expires  time.Time // from then on it is refused, whole seconds
	Allow    uint64    // version of the allowlist that the hub applied
	Key      KeyID     // who signed; set by Peek and Open
}

// A Message is a [Frame] or a [Heartbeat].
type Message interface {
	header() Header
}

// A Frame changes a list, or replaces it. Ring, Expires and Allow may be set
// before it is sealed.
type Frame struct {
	Header
	Prev   [32]byte // hash of the list before, without what has ended at Created; unused in a snapshot
	Result [32]byte // hash of the list after
	cuts   []cut
	adds   []*group
}

func (f Frame) header() Header { return f.Header }

// A Heartbeat says where a list stands: that nothing was held back. It extends
// nothing.
type Heartbeat struct {
	Header
	Hash [32]byte // of the list at Created
}

func (h Heartbeat) header() Header { return h.Header }

// Empty reports whether the frame changes nothing: it need not be sent.
func (f Frame) Empty() bool { return f.Kind == Delta && len(f.cuts)+len(f.adds) == 0 }

// Len returns how many rules are added, those renewed included, and how many
// are removed for good.
func (f Frame) Len() (added, removed int) {
	for _, g := range f.adds {
		added += g.len()
	}
	for _, c := range f.cuts {
		removed += c.len()
	}
	return added, removed
}

// Added yields the rules that the frame adds or renews.
func (f Frame) Added() iter.Seq[tocsin.Rule] {
	return func(yield func(tocsin.Rule) bool) {
		for _, g := range f.adds {
			if !g.rules(yield) {
				return
			}
		}
	}
}
