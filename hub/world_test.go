package hub_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/fleet"
	"github.com/tocsin-io/tocsin/hub"
	"github.com/tocsin-io/tocsin/internal/clock"
	"github.com/tocsin-io/tocsin/keys"
	"github.com/tocsin-io/tocsin/quorum"
	"github.com/tocsin-io/tocsin/ruleset"
	"github.com/tocsin-io/tocsin/store/sqlite"
	"github.com/tocsin-io/tocsin/uplink"
)

// A world is a hub on loopback, with its real database, keys and connections.
type world struct {
	t      *testing.T
	folder string
	addr   string
	local  string // where the console is, by plain HTTP
	hub    *hub.Hub
	ca     []byte // PEM
	log    *slog.Logger
	admin  *api.Client
	stop   func() error

	clock *clock.Clock // of hub and devices; nil is the wall clock, and now is asked

	now  func() time.Time          // the hub's clock
	hear func(*hub.Deps)           // who hears what is new
	wrap func(hub.Store) hub.Store // what stands between hub and database
}

func newWorld(t *testing.T, tune ...func(*world)) *world {
	w := &world{
		t: t, folder: filepath.Join(t.TempDir(), "hub"), addr: "127.0.0.1:0", log: testLog(t),
		now: time.Now, wrap: func(s hub.Store) hub.Store { return s },
	}
	for _, f := range tune {
		f(w)
	}
	w.start()
	t.Cleanup(func() { w.halt() })
	return w
}

// testLog writes to the test's log as long as the test runs.
func testLog(t *testing.T) *slog.Logger {
	var mu sync.Mutex
	over := false
	t.Cleanup(func() { mu.Lock(); over = true; mu.Unlock() })
	return slog.New(slog.NewTextHandler(writerFunc(func(b []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		if !over && testing.Verbose() {
			t.Log(string(bytes.TrimSpace(b)))
		}
		return len(b), nil
	}), &slog.HandlerOptions{Level: slog.LevelDebug}))
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

// start opens the hub in the folder, as a first start or a restart.
func (w *world) start() {
	w.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	db, err := sqlite.Open(ctx, w.folder, w.now)
	w.must(err)
	folder := filepath.Join(w.folder, "keys")
	authority, err := keys.OpenAuthority(folder)
	switch {
	case err != nil && w.clock.Invented():
		authority, err = keys.CreateInvented(folder, w.now())
	case err != nil:
		authority, err = keys.CreateAuthority(folder)
	}
	w.must(err)
	repo, err := keys.OpenRepository(folder)
	if err != nil {
		repo, err = keys.CreateRepository(folder, w.now())
	}
	w.must(err)
	port, err := net.Listen("tcp", w.addr)
	w.must(err)
	w.addr = port.Addr().String()
	path := filepath.Join(w.t.TempDir(), "hub.sock")
	socket, err := net.Listen("unix", path)
	w.must(err)
	console, err := net.Listen("tcp", "127.0.0.1:0")
	w.must(err)
	w.local = "http://" + console.Addr().String()
	deps := hub.Deps{
		Store: w.wrap(db), Authority: authority, Keys: repo, Listener: port, Socket: socket, Console: console, Log: w.log,
		Metrics: prometheus.NewRegistry(), Clock: w.clock, Now: w.now, Version: "test",
	}
	if w.hear != nil {
		w.hear(&deps)
	}
	h, err := hub.New(ctx, hub.Config{
		Folder: w.folder, Fleet: fleet.Config{Quorum: quorum.Default(), Allow: []netip.Prefix{netip.MustParsePrefix("9.9.9.9/32")}},
		Addresses: []string{w.addr}, Names: []string{"127.0.0.1"}, Retain: 30 * 24 * time.Hour,
	}, deps)
	w.must(err)
	w.hub, w.ca = h, authority.PEM()
	done := make(chan error, 1)
	go func() { done <- h.Run(ctx) }()
	w.admin = api.OverSocket(path)
	w.stop = sync.OnceValue(func() error {
		cancel()
		return errors.Join(<-done, db.Close())
	})
}

func (w *world) halt() {
	if err := w.stop(); err != nil {
		w.t.Errorf("hub: %v", err)
	}
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// eventually waits for f, at most so long that a loaded machine has done it.
func (w *world) eventually(what string, f func() bool) {
	w.t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if f() {
			return
		}
	}
	w.t.Fatalf("it never came to this: %s", what)
}

// A device is a guard as far as its line to the hub goes.
type device struct {
	w      *world
	folder string
	id     tocsin.DeviceID
	up     *uplink.Uplink
	stop   func()

	mu    sync.Mutex // guards the fields below
	set   *ruleset.Set
	rules map[string]tocsin.Rule
	key   []byte
	next  tocsin.ID
	now   func() time.Time
}

// enrol makes a device of an owner and connects it.
func (w *world) enrol(owner string, wish ...func(*api.TokenWish)) *device {
	w.t.Helper()
	t := api.TokenWish{Owner: tocsin.OwnerID(owner)}
	for _, f := range wish {
		f(&t)
	}
	d := w.enlist(t)
	d.connect()
	return d
}

// enlist makes a device that is not connected.
func (w *world) enlist(t api.TokenWish) *device {
	w.t.Helper()
	token, err := w.admin.NewToken(w.t.Context(), t)
	w.must(err)
	d := &device{w: w, folder: filepath.Join(w.t.TempDir(), "device"), rules: map[string]tocsin.Rule{}, now: time.Now}
	if w.clock.Invented() {
		d.now = w.now
	}
	id, _, err := uplink.Enrol(w.t.Context(), d.folder, token.Token, uplink.About{Name: "nas", Model: "TS-999", Clock: w.clock})
	w.must(err)
	d.id, d.next = id, tocsin.ID{Device: id, Boot: 1}
	d.key = bytes.Repeat([]byte(id)[:1], 32)
	copy(d.key, id)
	d.set = ruleset.NewSet(ruleset.Refs(t.Owner)...)
	return d
}

// by has the device go by another clock.
func (d *device) by(now func() time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.now = now
}

func (d *device) connect() {
	d.w.t.Helper()
	up, err := uplink.Open(uplink.Config{Folder: d.folder, Version: "test", Clock: d.w.clock}, d.w.log.With("at", d.id), d.now)
	d.w.must(err)
	d.up = up
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- up.Run(ctx, d) }()
	d.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			d.w.t.Errorf("uplink of %s: %v", d.id, err)
		}
	})
	d.w.t.Cleanup(d.stop)
}

// Frame implements uplink.Device.
func (d *device) Frame(_ context.Context, m ruleset.Message) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	next, c, err := d.set.Apply(m, d.up.Limits(), d.up.Now(d.now()))
	if err != nil {
		return err
	}
	d.set = next
	for _, r := range c.Remove {
		delete(d.rules, fmt.Sprint(r.Prefix, r.Action))
	}
	for _, r := range c.Add {
		d.rules[fmt.Sprint(r.Prefix, r.Action)] = r
	}
	return nil
}

// Positions implements uplink.Device.
func (d *device) Positions(context.Context) ([]ruleset.Position, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.set.Positions(), nil
}

// Key implements uplink.Device.
func (d *device) Key() ([]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.key, nil
}

// Rekey implements uplink.Device.
func (d *device) Rekey(_ context.Context, key []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.key = key
	return nil
}

func (d *device) holds(prefix string, a tocsin.Action) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	r, ok := d.rules[fmt.Sprint(netip.MustParsePrefix(prefix), a)]
	return ok && r.Until.After(d.up.Now(d.now()))
}

func (d *device) blocks(prefix string) bool { return d.holds(prefix, tocsin.Block) }

// saw makes the next sighting of a source.
func (d *device) saw(source string, failures uint32, facts ...tocsin.Fact) tocsin.Sighting {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.next.Counter++
	now := d.now().UTC()
	s := tocsin.Sighting{
		ID: d.next, Source: netip.MustParsePrefix(source), Port: 40000, Service: "ssh", First: now.Add(-time.Second), Last: now,
		Failures: failures, Provenance: tocsin.Attested, Accounts: []tocsin.Tried{{Tag: "root", Failures: failures}},
	}
	for _, f := range facts {
		s.Facts = s.Facts.With(f)
	}
	return s
}

// attacked tells that a source guessed here and is blocked.
func (d *device) attacked(source string) {
	d.up.Tell([]tocsin.Sighting{d.saw(source, 5, tocsin.BlockedHere)})
}

// restore replaces the hub's folder.
func (w *world) restore(backup []byte) {
	w.t.Helper()
	w.halt()
	w.must(os.RemoveAll(w.folder))
	w.must(hub.Restore(w.folder, bytes.NewReader(backup)))
	w.start()
}
