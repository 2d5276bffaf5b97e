package console_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"
	validate "github.com/pb33f/libopenapi-validator/config"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/config"
	"github.com/tocsin-io/tocsin/console"
	"github.com/tocsin-io/tocsin/fleet"
	"github.com/tocsin-io/tocsin/hub"
	"github.com/tocsin-io/tocsin/incident"
	"github.com/tocsin-io/tocsin/keys"
	"github.com/tocsin-io/tocsin/live"
	"github.com/tocsin-io/tocsin/ruleset"
	"github.com/tocsin-io/tocsin/store/sqlite"
	"github.com/tocsin-io/tocsin/uplink"
)

// A world is a hub on loopback with its console, its real database and connections.
type world struct {
	*testing.T
	folder string
	addr   string
	admin  *api.Client
	http   *http.Client // of root, over the socket
	stop   func() error
}

func newWorld(t *testing.T, before ...func(*world)) *world {
	w := &world{T: t, folder: filepath.Join(t.TempDir(), "hub"), addr: "127.0.0.1:0"}
	for _, f := range before {
		f(w)
	}
	w.start()
	t.Cleanup(w.halt)
	return w
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// start opens the hub in the folder, as a first start or a restart.
func (w *world) start() {
	w.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	log := slog.New(slog.DiscardHandler)
	db, err := sqlite.Open(ctx, w.folder, time.Now)
	w.must(err)
	folder := filepath.Join(w.folder, "keys")
	authority, err := keys.OpenAuthority(folder)
	if err != nil {
		authority, err = keys.CreateAuthority(folder)
	}
	w.must(err)
	repo, err := keys.OpenRepository(folder)
	if err != nil {
		repo, err = keys.CreateRepository(folder, time.Now())
	}
	w.must(err)
	port, err := net.Listen("tcp", w.addr)
	w.must(err)
	w.addr = port.Addr().String()
	path := filepath.Join(w.TempDir(), "hub.sock")
	socket, err := net.Listen("unix", path)
	w.must(err)
	stream := live.New(live.Config{Version: "test"})
	file, err := config.ParseHub([]byte("[policy]\nday_failures = 6\n"))
	w.must(err)
	inForce, err := console.WithSaved(ctx, db, file)
	w.must(err)
	pages, err := console.New(console.Deps{Store: db, Live: stream, File: file, Log: log, Now: time.Now})
	w.must(err)
	var part *incident.Part
	h, err := hub.New(ctx, hub.Config{
		Folder: w.folder, Fleet: fleet.Config{Quorum: inForce.Policy}, Addresses: []string{w.addr}, Names: []string{"127.0.0.1"}, Retain: 30 * 24 * time.Hour,
	}, hub.Deps{
		Store: db, Authority: authority, Keys: repo, Listener: port, Socket: socket, Log: log,
		Metrics: prometheus.NewRegistry(), Now: time.Now, Version: "test", Live: stream,
		OnApplied: pages.Applied, OnPublished: pages.Published,
		Incident: func(h *hub.Hub) (api.Incident, error) {
			part, err = incident.New(incident.Config{Every: time.Second}, incident.Deps{Store: db, Fleet: h, Log: log, Now: time.Now})
			return part, err
		},
		Answers: func(h *hub.Hub, answers api.Incident) (api.Console, error) {
			pages.Join(h, answers)
			return pages, nil
		},
	})
	w.must(err)
	done := make(chan error, 3)
	go func() { done <- part.Run(ctx) }()
	go func() { done <- h.Run(ctx) }()
	go func() { done <- pages.Run(ctx) }()
	w.admin = api.OverSocket(path)
	w.http = &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}}}
	w.stop = sync.OnceValue(func() error {
		cancel()
		w.http.CloseIdleConnections()
		return errors.Join(<-done, <-done, <-done, db.Close())
	})
}

func (w *world) halt() {
	if err := w.stop(); err != nil && !errors.Is(err, context.Canceled) {
		w.Errorf("hub: %v", err)
	}
}

// eventually waits for f, at most so long that a loaded machine has done it.
func (w *world) eventually(what string, f func() bool) {
	w.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if f() {
			return
		}
	}
	w.Fatalf("it never came to this: %s", what)
}

// document is parsed once.
var document = sync.OnceValues(func() (validator.Validator, error) {
	doc, err := libopenapi.NewDocument(api.Document)
	if err != nil {
		return nil, err
	}
	v, errs := validator.NewValidator(doc, validate.WithStrictMode(), validate.WithFormatAssertions(), validate.WithoutSecurityValidation(),
		validate.WithStrictIgnoredHeaders("content-type"), validate.WithStrictIgnorePaths("$.body.rows[*].**", "$.body.labels.*"))
	return v, errors.Join(errs...)
})

// get asks for a path, holds the answer to the document, and reads it.
func (w *world) get(path string, into any) {
	w.Helper()
	b := w.read(path)
	if into != nil {
		w.must(json.Unmarshal(b, into))
	}
}

func (w *world) read(path string) []byte {
	w.Helper()
	status, b := w.ask(http.MethodGet, path, "", nil)
	if status != http.StatusOK {
		w.Fatalf("GET %s: %d %s", path, status, b)
	}
	return b
}

func (w *world) ask(method, path, kind string, body io.Reader) (int, []byte) {
	w.Helper()
	req, err := http.NewRequestWithContext(w.Context(), method, "http://hub"+path, body)
	w.must(err)
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	resp, err := w.http.Do(req)
	w.must(err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	w.must(err)
	v, err := document()
	w.must(err)
	again := req.Clone(w.Context())
	again.Body = http.NoBody
	header := http.Header{"Content-Type": resp.Header.Values("Content-Type")}
	if ok, errs := v.ValidateHttpResponse(again, &http.Response{StatusCode: resp.StatusCode, Header: header, Body: io.NopCloser(bytes.NewReader(b))}); !ok {
		for _, err := range errs {
			w.Errorf("%s %s answered %d, against the document: %s: %s\n%.600s", method, path, resp.StatusCode, err.Message, err.Reason, b)
		}
	}
	return resp.StatusCode, b
}

// A page is one of a table.
type page[R any] struct {
	Rows  []R
	Total int
	All   int
}

func rows[R any](w *world, path string) page[R] {
	w.Helper()
	var p page[R]
	w.get("/v1/tables/"+path, &p)
	return p
}

// A device is a guard as far as its line to the hub goes.
type device struct {
	w  *world
	id tocsin.DeviceID
	up *uplink.Uplink

	mu   sync.Mutex // guards the fields below
	set  *ruleset.Set
	key  []byte
	next tocsin.ID
}

func (w *world) enrol(owner, name string) *device {
	w.Helper()
	token, err := w.admin.NewToken(w.Context(), api.TokenWish{Owner: tocsin.OwnerID(owner), Groups: []string{"attic"}})
	w.must(err)
	folder := filepath.Join(w.TempDir(), "device")
	id, of, err := uplink.Enrol(w.Context(), folder, token.Token, uplink.About{Name: name, Model: "TS-999"})
	w.must(err)
	d := &device{w: w, id: id, set: ruleset.NewSet(ruleset.Refs(of)...), key: bytes.Repeat([]byte{7}, 32), next: tocsin.ID{Device: id, Boot: 1}}
	up, err := uplink.Open(uplink.Config{Folder: folder, Version: "test"}, slog.New(slog.DiscardHandler), time.Now)
	w.must(err)
	d.up = up
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- up.Run(ctx, d) }()
	w.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			w.Errorf("uplink of %s: %v", name, err)
		}
	})
	return d
}

// Frame implements uplink.Device.
func (d *device) Frame(_ context.Context, m ruleset.Message) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	next, _, err := d.set.Apply(m, d.up.Limits(), d.up.Now(time.Now()))
	if err == nil {
		d.set = next
	}
	return err
}

// Positions implements uplink.Device.
func (d *device) Positions(context.Context) ([]ruleset.Position, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.set.Positions(), nil
}

// Key implements uplink.Device.
func (d *device) Key() ([]byte, error) { return d.key, nil }

// Rekey implements uplink.Device.
func (d *device) Rekey(context.Context, []byte) error { return nil }

// saw tells that a source guessed here.
func (d *device) saw(source string, failures uint32, tune ...func(*tocsin.Sighting)) {
	d.mu.Lock()
	d.next.Counter++
	now := time.Now().UTC()
	s := tocsin.Sighting{
		ID: d.next, Source: netip.MustParsePrefix(source), Port: 40000, Service: "ssh", First: now.Add(-time.Second), Last: now,
		Failures: failures, Provenance: tocsin.Attested, Accounts: []tocsin.Tried{{Tag: "root", Failures: failures}},
		Facts: tocsin.FactSet(0).With(tocsin.BlockedHere),
	}
	for _, f := range tune {
		f(&s)
	}
	d.mu.Unlock()
	d.up.Tell([]tocsin.Sighting{s})
}
