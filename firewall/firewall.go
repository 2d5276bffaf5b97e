// Package firewall is the contract between whoever decides and whatever
// enforces: a wanted state of rules that end by themselves. The adapters below
// it (nft, iptables, memory) each keep it on one kind of system; the tests of
// package firewalltest hold them to it.
//
// It decides nothing: who is blocked, and who wins, is the business of package
// blocklist.
package firewall

import (
	"context"
	"errors"
	"iter"
	"net/netip"
	"time"

	"github.com/tocsin-io/tocsin"
)

// Why a filter cannot be opened; the caller tells them apart with errors.Is.
var (
	// ErrUnsupported says that this kernel lacks what the filter needs.
	ErrUnsupported = errors.New("not supported by this kernel")
	// ErrForeign says that somebody else made a table or chain of our name.
	ErrForeign = errors.New("made by someone else")
	// ErrPower says that the process may not change the firewall.
	ErrPower = errors.New("not permitted")
)

// A Filter enforces rules. A Block drops what its prefix starts, also on
// connections already open; replies to connections that this device opened
// itself pass. A Pass wins over every Block. Traffic that no rule names is left
// to the rules of others.
//
// A Filter may be used by several goroutines.
type Filter interface {
	// Change makes c true, in time proportional to c: removals first. A rule
	// added again is renewed to its new Until, earlier or later; removing one
	// that is gone is no error; adding one that has ended is no error and
	// enforces nothing. Prefixes are masked before use. On error, what was
	// enforced before the call stays, but for rules of c that may be either way.
	Change(ctx context.Context, c tocsin.Change) error
	// Replace enforces all and nothing else: at the start and to mend drift.
	// The most urgent rules come first in all. Meanwhile nothing gets through
	// that both the old and the new rules block.
	Replace(ctx context.Context, all iter.Seq[tocsin.Rule]) error
	// Holds asks the system itself, not a copy, whether a rule of exactly p is
	// in force.
	Holds(ctx context.Context, p netip.Prefix) (bool, error)
	// Watch calls drifted each time somebody else has changed what the filter
	// enforces, until ctx ends. It may miss changes inside of big sets, never
	// the loss of the table.
	Watch(ctx context.Context, drifted func()) error
}

// A Drop is a sample of what a Filter dropped.
type Drop struct {
	Source netip.Addr
	At     time.Time
	Count  uint32 // packets this sample stands for, at least 1
}

// A Sampler tells what a Filter drops, rate limited, or a blocked attacker
// would look gone. A Filter that can sample implements it.
type Sampler interface {
	// Drops calls dropped for each sample until ctx ends.
	Drops(ctx context.Context, dropped func(Drop)) error
}
