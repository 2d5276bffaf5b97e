package ruleset

import (
	"iter"
	"time"

	"github.com/tocsin-io/tocsin"
)

// Being written: the signatures stand.

type (
	group struct{}
	cut   struct{}
)

// A List is one list at one position. It is immutable.
type List struct{}

func New(ref Ref, epoch uint64) *List                                  { panic("being written") }
func (l *List) Position() Position                                     { panic("being written") }
func (l *List) Len() int                                               { panic("being written") }
func (l *List) Hash(at time.Time) [32]byte                             { panic("being written") }
func (l *List) Rules(at time.Time) iter.Seq[tocsin.Rule]               { panic("being written") }
func (l *List) Next(c tocsin.Change, created time.Time) (Frame, *List) { panic("being written") }
func (l *List) Snapshot(created time.Time) Frame                       { panic("being written") }
func (l *List) Renumber(epoch uint64) *List                            { panic("being written") }
func (l *List) Heartbeat(created time.Time) Heartbeat                  { panic("being written") }
func (f Frame) Empty() bool                                            { panic("being written") }
func Peek(s Sealed) (Header, error)                                    { panic("being written") }
func Seal(m Message, s Signer) (Sealed, error)                         { panic("being written") }
func Open(s Sealed, k Keys, now time.Time) (Message, error)            { panic("being written") }

// A Set is the lists that a device follows. It is immutable.
type Set struct{}

func NewSet(refs ...Ref) *Set { panic("being written") }
func (s *Set) Apply(m Message, lim Limits, now time.Time) (*Set, tocsin.Change, error) {
	panic("being written")
}
func (s *Set) Positions() []Position                     { panic("being written") }
func (s *Set) Frozen(now time.Time) []Ref                { panic("being written") }
func (s *Set) Rules(now time.Time) iter.Seq[tocsin.Rule] { panic("being written") }
func (s *Set) AppendBinary(b []byte) ([]byte, error)     { panic("being written") }
func (s *Set) UnmarshalBinary(b []byte) error            { panic("being written") }
