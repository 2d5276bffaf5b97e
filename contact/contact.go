// Package contact sums single outgoing flows up into contacts: what one device
// opened to one destination within an hour. It promises bounds, whatever a
// device or a file tells of, and that what was left out is counted.
//
// It is pure: flows come with their times, from a file, from the kernel or from
// an invented fleet. What contacts mean is the business of package controller.
package contact

import (
	"net/netip"
	"time"

	"github.com/tocsin-io/tocsin/internal/addrspace"
)

// A Flow is one connection, as one line of a log or one event of the kernel
// tells it.
type Flow struct {
	From     netip.Addr     // who opened it, unmapped
	To       netip.AddrPort // unmapped
	Protocol uint8          // number of the IP protocol
	Start    time.Time
	End      time.Time // the end, or when it was last seen; never before Start
	Sent     uint64    // bytes by From, those told of before left out
	Received uint64
	Failed   bool // refused or never answered
	// Again says that this connection was told of before: it lasted longer, and is
	// not counted once more.
	Again bool
}

// Public reports whether a is an address that any device of the internet could
// contact. Ranges for documentation and benchmarks count: invented fleets live
// there.
func Public(a netip.Addr) bool { return addrspace.Public(a) }
