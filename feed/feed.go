// Package feed carries signed frames from a hub to devices: pushed over the one
// connection that each device holds, by long poll where that does not get
// through, or as files that any web server can serve. On whichever way, a device
// says where its lists stand and gets what is missing, then what is new, in
// order and without a gap.
//
// It signs nothing and verifies nothing: that is the business of ruleset, on
// both ends. What a hub can send here is frames and heartbeats, the time to wait
// before the next try, and the reason of a refusal; there is no message for
// anything else. docs/spec/feed.md is the protocol.
package feed

import (
	"context"
	"errors"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/ruleset"
)

// ALPN names the protocol in the TLS handshake; what does not ask for it talks
// to the API.
const ALPN = "tocsin-feed/1"

// Path is where the feed is, for WebSocket and long poll alike.
const Path = "/v1/feed"

// Bounds of what travels, besides those of ruleset.
const (
	// MaxLists is how many lists one device follows at most.
	MaxLists = 16
	// maxText bounds a text message, either way, in bytes.
	maxText = 4 << 10
)

// A Library is what the hub keeps of its lists. It is asked from several
// goroutines.
type Library interface {
	// Since returns what brings a device from p to now: deltas, or a snapshot and
	// deltas after it; nothing if there is nothing newer. A frame is in the library
	// before it is published.
	Since(ctx context.Context, p ruleset.Position) ([]ruleset.Sealed, error)
	// Heads returns how far every list has come.
	Heads(ctx context.Context) ([]ruleset.Position, error)
}

// A Device is who follows, and what.
type Device struct {
	ID    tocsin.DeviceID
	Lists []ruleset.Ref // at most [MaxLists]
}

// Why a connection is refused; the hub's identity function may wrap these.
var (
	ErrRevoked = errors.New("this device is revoked")
	ErrClosed  = errors.New("the hub stops")
)

// Close codes beside those that gobwas/ws names.
const (
	closeRestart  = 1012
	closeRevoked  = 4403
	closeReplaced = 4409
)

// Window returns how long a hub needs to take so many devices back, if each
// costs that much processor time and the cores give it that share of theirs.
// Devices that lost it wait a random part of it.
func Window(devices int, cost time.Duration, cores int, share float64) time.Duration {
	return time.Duration(float64(devices) * float64(cost) / (float64(max(cores, 1)) * share))
}
