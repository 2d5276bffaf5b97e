package hub_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/feed"
	"github.com/tocsin-io/tocsin/keys"
	"github.com/tocsin-io/tocsin/ruleset"
)

// A shelf is what a seized hub gives devices that ask for a list.
type shelf struct {
	mu    sync.Mutex // guards the fields below
	at    ruleset.Position
	give  ruleset.Sealed
	given int
}

func (s *shelf) put(m ruleset.Sealed) { s.mu.Lock(); s.give, s.given = m, 0; s.mu.Unlock() }

func (s *shelf) taken() bool { s.mu.Lock(); defer s.mu.Unlock(); return s.given > 0 }

// Since implements feed.Library.
func (s *shelf) Since(_ context.Context, p ruleset.Position) ([]ruleset.Sealed, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p.Ref != s.at.Ref || s.give == nil {
		return nil, nil
	}
	s.given++
	return []ruleset.Sealed{s.give}, nil
}

// Heads implements feed.Library.
func (s *shelf) Heads(context.Context) ([]ruleset.Position, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return []ruleset.Position{s.at}, nil
}

// seize puts a server in the place of a hub that has ended: it has the hub's name
// and certificate, and sends whatever it likes.
func (w *world) seize(lib feed.Library) (release func()) {
	w.t.Helper()
	authority, err := keys.OpenAuthority(filepath.Join(w.folder, "keys"))
	w.must(err)
	config, err := authority.ServerTLS([]string{"127.0.0.1"}, time.Now, func(tocsin.DeviceID) bool { return false })
	w.must(err)
	l, err := net.Listen("tcp", w.addr)
	w.must(err)
	server, err := feed.NewServer(feed.Config{Library: lib, Log: w.log})
	w.must(err)
	port := server.Listen(l, config, func(state tls.ConnectionState) (tocsin.DeviceID, []ruleset.Ref, error) {
		p, err := keys.PeerOf(state, time.Now())
		return p.Device, ruleset.Refs(p.Owner), err
	})
	rest := &http.Server{Handler: http.NotFoundHandler()}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{}, 3)
	for _, run := range []func() error{
		func() error { return server.Run(ctx) }, func() error { return port.Run(ctx) }, func() error { return rest.Serve(port.API()) },
	} {
		go func() {
			if err := run(); err != nil && ctx.Err() == nil && !errors.Is(err, http.ErrServerClosed) {
				w.t.Error(err)
			}
			done <- struct{}{}
		}()
	}
	release = sync.OnceFunc(func() {
		cancel()
		rest.Close()
		for range 3 {
			<-done
		}
	})
	w.t.Cleanup(release)
	return release
}

// TestASeizedHub has a hub's machine in the wrong hands, and for some frames its
// online key: no device takes what it must not.
func TestASeizedHub(t *testing.T) {
	var refused atomic.Int64
	w, other := newWorld(t, func(w *world) { w.log = counting(&refused, "not accepted") }), newWorld(t)
	d := w.enrol("home")
	d.attacked("203.0.113.7/32")
	w.eventually("the honest hub's block", func() bool { return d.blocks("203.0.113.7/32") })
	at, err := d.Positions(t.Context())
	w.must(err)
	i := slices.IndexFunc(at, func(p ruleset.Position) bool {
		return p.Ref.Name == ruleset.Owner("home") && p.Ref.Class == ruleset.Short
	})
	ref, epoch := at[i].Ref, at[i].Epoch
	w.halt()
	other.halt()
	key, stranger := w.onlineKey(), other.onlineKey()
	lib := &shelf{at: ruleset.Position{Ref: ref, Epoch: epoch + 1, Serial: 2}}
	d.stop()

	now := time.Now()
	block := func(prefixes ...string) (c tocsin.Change) {
		for _, p := range prefixes {
			c.Add = append(c.Add, tocsin.Rule{Prefix: netip.MustParsePrefix(p), Action: tocsin.Block, Until: now.Add(30 * time.Minute)})
		}
		return c
	}
	seal := func(m ruleset.Message, k ruleset.Signer) ruleset.Sealed {
		s, err := ruleset.Seal(m, k)
		w.must(err)
		return s
	}
	whole := func(ref ruleset.Ref, epoch uint64, c tocsin.Change, k ruleset.Signer) ruleset.Sealed {
		_, list := ruleset.New(ref, epoch).Renumber(epoch).Next(c, now)
		return seal(list.Snapshot(now), k)
	}
	flipped := whole(ref, epoch+1, block("198.51.100.1/32"), key)
	flipped[len(flipped)/2] ^= 1
	short := whole(ref, epoch+1, block("198.51.100.2/32"), key)
	var growth []string
	for n := range ruleset.DefaultLimits().Growth + 1 {
		growth = append(growth, netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 18, byte(n >> 8), byte(n)}), 32).String())
	}
	_, elsewhere := ruleset.New(ref, epoch).Renumber(epoch).Next(block("198.51.100.6/32"), now)
	mixed, _ := elsewhere.Next(block("198.51.100.7/32"), now)
	for _, tt := range []struct {
		name   string
		sealed ruleset.Sealed
		silent bool // not refused aloud: it is of no use, but no crime
	}{
		{"tampered with", flipped, false},
		{"truncated", short[:len(short)-10], false},
		{"of another hub", whole(ref, epoch+1, block("198.51.100.3/32"), stranger), false},
		{"of another owner", whole(ruleset.Ref{Name: ruleset.Owner("stranger"), Class: ruleset.Short}, epoch+1, block("198.51.100.5/32"), key), false},
		{"with a stolen key, too wide", whole(ref, epoch+1, block("198.18.0.0/16"), key), false},
		{"with a stolen key, too many", whole(ref, epoch+1, block(growth...), key), false},
		{"older", whole(ref, epoch-1, block("198.51.100.4/32"), key), true},
		{"mixed", seal(mixed, key), true},
	} {
		before := refused.Load()
		lib.put(tt.sealed)
		release := w.seize(lib) // one anew: it remembers what it gave
		d.connect()
		w.eventually("the device to be given what is "+tt.name, lib.taken)
		if !tt.silent {
			w.eventually("it to be refused: "+tt.name, func() bool { return refused.Load() > before })
		}
		d.stop()
		release()
	}
	lib.put(whole(ref, epoch+1, block("203.0.113.7/32", "203.0.113.8/32"), key))
	w.seize(lib)
	d.connect()
	w.eventually("what is honest comes through", func() bool { return d.blocks("203.0.113.8/32") })
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, r := range d.rules {
		if !netip.MustParsePrefix("203.0.113.0/24").Overlaps(r.Prefix) {
			t.Fatalf("it blocks %v, and has %d rules", r.Prefix, len(d.rules))
		}
	}
}

// onlineKey is what a thief of the hub's folder has.
func (w *world) onlineKey() ruleset.Signer {
	w.t.Helper()
	repo, err := keys.OpenRepository(filepath.Join(w.folder, "keys"))
	w.must(err)
	key, err := repo.Signer(time.Now())
	w.must(err)
	return key
}

// counting returns a log that counts messages with a word in them.
func counting(n *atomic.Int64, word string) *slog.Logger {
	return slog.New(slog.NewTextHandler(writerFunc(func(b []byte) (int, error) {
		if bytes.Contains(b, []byte(word)) {
			n.Add(1)
		}
		return len(b), nil
	}), nil))
}
