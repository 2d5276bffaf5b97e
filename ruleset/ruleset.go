// Package ruleset is how rules travel from a hub to devices: lists, signed
// frames that change them, snapshots, heartbeats, and what a device accepts of
// them. A frame is opened (signature first), then applied to the [Set] of lists
// that a device follows; order, hashes and [Limits] on the result decide whether
// it takes effect. So whoever steals a hub's online key can do no more than the
// limits allow.
//
// It is pure: it reads no clock, keeps no key and moves no byte. Sending is the
// business of feed, keys are that of keys, enforcing is that of firewall. The
// format is docs/spec/ruleset.md.
package ruleset

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tocsin-io/tocsin"
)

// Why a message is refused; callers tell them apart with [errors.Is]. Whatever
// is refused changes nothing.
var (
	ErrMalformed   = errors.New("not a frame of the feed")
	ErrForged      = errors.New("not signed by a key of the hub")
	ErrExpired     = errors.New("out of date, or made in the future")
	ErrUnknownList = errors.New("a list that this device does not follow")
	ErrStale       = errors.New("older than what is in force")
	ErrGap         = errors.New("does not follow what is in force: a snapshot is needed")
	ErrLimit       = errors.New("more than this device accepts")
)

// Class says how long the rules of a list last.
type Class uint8

// The zero Class is invalid. The values travel: never renumber.
const (
	_     Class = iota
	Short       // at most an hour, in steps of 5 minutes
	Long        // at most a day, in steps of an hour
)

// Max returns for how long a rule of the class may be in force.
func (c Class) Max() time.Duration {
	if c == Short {
		return time.Hour
	}
	return 24 * time.Hour
}

// Step returns what the ends of rules are multiples of. A rule's end is rounded
// up to it.
func (c Class) Step() time.Duration {
	if c == Short {
		return 5 * time.Minute
	}
	return time.Hour
}

// String returns the word in the name of a list.
func (c Class) String() string {
	switch c {
	case Short:
		return "1h"
	case Long:
		return "24h"
	}
	return "invalid"
}

// Fleet is the name of the list that binds the devices of every owner.
const Fleet = "fleet"

// Owner returns the name of the list that binds the devices of one owner.
func Owner(id tocsin.OwnerID) string { return ownerPrefix + string(id) }

const (
	ownerPrefix = "owner/"
	maxName     = 64 // bytes: keeps a heartbeat below 200
)

// A Ref names a list: who it binds, and how long its rules last.
type Ref struct {
	Name  string // [Fleet], or [Owner] of somebody; at most 64 bytes
	Class Class
}

// String returns the full name, such as "fleet/1h" or "owner/<id>/24h".
func (r Ref) String() string { return r.Name + "/" + r.Class.String() }

// ParseRef is the reverse of [Ref.String].
func ParseRef(s string) (Ref, error) {
	i := strings.LastIndexByte(s, '/')
	if i < 0 {
		return Ref{}, fmt.Errorf("%q is not the name of a list, such as fleet/24h", s)
	}
	r := Ref{Name: s[:i]}
	switch s[i+1:] {
	case Short.String():
		r.Class = Short
	case Long.String():
		r.Class = Long
	}
	if !r.valid() {
		return Ref{}, fmt.Errorf("%q is not the name of a list, such as fleet/24h", s)
	}
	return r, nil
}

// Refs returns the lists that a device of that owner follows.
func Refs(owner tocsin.OwnerID) []Ref {
	return []Ref{{Fleet, Short}, {Fleet, Long}, {Owner(owner), Short}, {Owner(owner), Long}}
}

func (r Ref) valid() bool {
	if r.Class != Short && r.Class != Long || len(r.Name) > maxName {
		return false
	}
	id, owned := strings.CutPrefix(r.Name, ownerPrefix)
	if !owned {
		return r.Name == Fleet
	}
	for _, c := range []byte(id) {
		if c <= ' ' || c >= 0x7f || c == '/' {
			return false // would not survive a path or a terminal
		}
	}
	return id != "" && id != "." && id != ".."
}

// A Position is how far a list has come. Epoch grows when a hub starts again
// from a backup, Serial by one with each frame of an epoch; a device that holds
// nothing yet is at 0, 0.
type Position struct {
	Ref    Ref
	Epoch  uint64
	Serial uint64
}

// Compare orders positions of one list: by epoch, then serial.
func (p Position) Compare(q Position) int {
	switch {
	case p.Epoch != q.Epoch && p.Epoch < q.Epoch, p.Epoch == q.Epoch && p.Serial < q.Serial:
		return -1
	case p == q:
		return 0
	}
	return 1
}

// String returns the position for a person, such as "fleet/24h 1700000000:12".
func (p Position) String() string { return fmt.Sprintf("%s %d:%d", p.Ref, p.Epoch, p.Serial) }
