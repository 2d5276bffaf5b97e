package feed

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/tocsin-io/tocsin/internal/logkey"
	"github.com/tocsin-io/tocsin/ruleset"
)

// A ClientConfig is what a device needs to follow a hub. Hub, TLS and Log must
// be set.
type ClientConfig struct {
	Hub string      // host:port
	TLS *tls.Config // the hub's authority, and this device's certificate
	Log *slog.Logger

	// Poll is the URL of the long poll, if it is not the hub's own.
	Poll string
	// Mirror is the URL of an export, to follow when nothing else gets through; ""
	// is none.
	Mirror string
	// Web fetches from Mirror; nil is a client of its own. It never shows this
	// device's certificate.
	Web *http.Client
}

// A Client follows the lists of a hub. Use [NewClient].
type Client struct {
	cfg  ClientConfig
	hub  *http.Client // long poll, with the certificate
	news chan struct{}

	silence time.Duration // after which the hub is gone: it says something each minute

	mu      sync.Mutex // guards the fields below
	inForce []ruleset.Position
	via     Via
	report  time.Duration // within which to report
}

// Via says on which way frames come at present.
type Via string

// The ways, best first; "" is none.
const (
	ViaPush   Via = "push"
	ViaPoll   Via = "poll"
	ViaMirror Via = "mirror"
)

// How a client waits. A window is what a random wait is drawn from.
const (
	firstWindow   = time.Second
	windowCeiling = 5 * time.Minute
	failuresToBow = 3           // of WebSocket, before anything else is tried
	otherWays     = time.Minute // for how long at least, before WebSocket is tried again
	mirrorEvery   = time.Minute
	pollRest      = time.Second // between two polls at most, so that an answer at once costs little
)

// NewClient makes a client; Run follows.
func NewClient(cfg ClientConfig) (*Client, error) {
	if cfg.Hub == "" || cfg.TLS == nil || cfg.Log == nil {
		return nil, errors.New("feed: a hub, its TLS and a log are needed")
	}
	if cfg.Poll == "" {
		cfg.Poll = "https://" + cfg.Hub + Path
	}
	if cfg.Web == nil {
		cfg.Web = &http.Client{Timeout: 5 * time.Minute}
	}
	plain := cfg.TLS.Clone()
	plain.NextProtos = []string{"http/1.1"}
	transport := &http.Transport{TLSClientConfig: plain, Proxy: http.ProxyFromEnvironment, IdleConnTimeout: 2 * time.Minute, MaxIdleConns: 1}
	hub := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse // nobody but the hub sees the certificate
	}}
	return &Client{cfg: cfg, hub: hub, news: make(chan struct{}, 1), silence: 150 * time.Second}, nil
}

// A follower is what the device does with what comes.
type follower struct {
	positions func() []ruleset.Position
	emit      func(ruleset.Sealed) error
	doubts    doubts
}

// Run follows until ctx ends: by WebSocket; after repeated failures by long poll
// or mirror, trying WebSocket again. It asks positions where the lists stand,
// and calls emit with each message, one at a time; when emit refuses one that is
// not merely old, the list is asked for again, from its snapshot if need be.
// Every wait is random, so that devices that lost a hub together do not come
// back together. Only the end of ctx ends it.
func (c *Client) Run(ctx context.Context, positions func() []ruleset.Position, emit func(ruleset.Sealed) error) error {
	f := &follower{positions: positions, emit: emit, doubts: doubts{}}
	var b backoff
	for failures := 0; ; {
		welcomed, err := c.push(ctx, f)
		c.set("")
		c.hub.CloseIdleConnections()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if failures++; welcomed > 0 {
			failures, b = 0, backoff{window: welcomed}
		}
		wait := b.next(err)
		c.cfg.Log.Warn("hub out of reach: rules in force stay until they end", logkey.Err, err, logkey.Took, wait)
		if failures >= failuresToBow {
			c.bow(ctx, f, max(wait, otherWays))
		} else {
			sleep(ctx, wait)
		}
	}
}

// Report tells the hub what the kernel enforces, a little later: the devices of
// a hub must not all report at once. Only the newest report counts.
func (c *Client) Report(inForce []ruleset.Position) {
	c.mu.Lock()
	c.inForce = slices.Clone(inForce)
	c.mu.Unlock()
	select {
	case c.news <- struct{}{}:
	default: // it is being told already
	}
}

// Via returns on which way frames come.
func (c *Client) Via() Via {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.via
}

func (c *Client) set(v Via) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.via = v
}

// bow follows by long poll, or where that fails by mirror, for so long.
func (c *Client) bow(ctx context.Context, f *follower, length time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, length)
	defer cancel()
	defer c.set("")
	var b backoff
	for ctx.Err() == nil {
		err := c.poll(ctx, f)
		if err == nil {
			b = backoff{}
			sleep(ctx, jitter(pollRest))
			continue
		}
		if ctx.Err() != nil {
			return
		}
		c.cfg.Log.Debug("long poll", logkey.Err, err)
		if c.cfg.Mirror == "" {
			c.set("")
			sleep(ctx, b.next(err))
			continue
		}
		if err := c.mirror(ctx, f); err != nil && ctx.Err() == nil {
			c.set("")
			c.cfg.Log.Debug("mirror", logkey.Err, err)
		}
		sleep(ctx, mirrorEvery/2+jitter(mirrorEvery))
	}
}

// A retryError is a refusal that says how long to stay away.
type retryError struct {
	err    error
	window time.Duration
}

func (e *retryError) Error() string { return fmt.Sprintf("%v (come back within %v)", e.err, e.window) }
func (e *retryError) Unwrap() error { return e.err }

// backoff is full jitter: a random part of a window that doubles.
type backoff struct{ window time.Duration }

// next returns how long to wait after err.
func (b *backoff) next(err error) time.Duration {
	b.window = max(b.window, firstWindow)
	if told, ok := errors.AsType[*retryError](err); ok {
		b.window = max(b.window, told.window)
	}
	wait := jitter(b.window)
	b.window = max(b.window, min(2*b.window, windowCeiling))
	return wait
}

func jitter(window time.Duration) time.Duration { return rand.N(max(window, 1)) }

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
