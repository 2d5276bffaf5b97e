package sim_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/fleet"
	"github.com/tocsin-io/tocsin/hub"
	"github.com/tocsin-io/tocsin/keys"
	"github.com/tocsin-io/tocsin/quorum"
	"github.com/tocsin-io/tocsin/sim"
	"github.com/tocsin-io/tocsin/store/sqlite"
)

// shareVariable makes this test program one process of a fleet.
const shareVariable = "TOCSIN_SIM_SHARE"

func TestMain(m *testing.M) {
	if os.Getenv(shareVariable) != "" {
		if err := sim.Serve(context.Background(), os.Stdin, os.Stdout); err != nil {
			panic(err)
		}
		return
	}
	os.Exit(m.Run())
}

// startHub starts a hub on loopback, with its real database and keys, and returns
// its administrator.
func startHub(t *testing.T) *api.Client {
	ctx, cancel := context.WithCancel(context.Background())
	folder := t.TempDir()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	db, err := sqlite.Open(ctx, folder, time.Now)
	must(err)
	authority, err := keys.CreateAuthority(filepath.Join(folder, "keys"))
	must(err)
	repo, err := keys.CreateRepository(filepath.Join(folder, "keys"), time.Now())
	must(err)
	port, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	path := filepath.Join(t.TempDir(), "hub.sock")
	socket, err := net.Listen("unix", path)
	must(err)
	h, err := hub.New(ctx, hub.Config{
		Folder: folder, Fleet: fleet.Config{Quorum: quorum.Default()},
		Addresses: []string{port.Addr().String()}, Names: []string{"127.0.0.1"}, Retain: time.Hour,
	}, hub.Deps{
		Store: db, Authority: authority, Keys: repo, Listener: port, Socket: socket, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Metrics: prometheus.NewRegistry(), Now: time.Now, Version: "test",
	})
	must(err)
	done := make(chan error, 1)
	go func() { done <- h.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := errors.Join(<-done, db.Close()); err != nil {
			t.Errorf("hub: %v", err)
		}
	})
	return api.OverSocket(path)
}

// whole holds what must be true of every fleet that a hub served.
func whole(t *testing.T, r sim.Result) {
	t.Helper()
	if r.Enrolled.Done != r.Devices || r.Connected.Done != r.Devices || r.Left != r.Devices {
		t.Errorf("of %d devices %d enrolled, %d connected, %d left; %v", r.Devices, r.Enrolled.Done, r.Connected.Done, r.Left, r.Errors)
	}
	if p := r.Published; p.Orders == 0 || p.Missed != 0 || p.Last <= 0 || p.P50 > p.P99 {
		t.Errorf("published: %+v", p)
	}
}

func TestFleet(t *testing.T) {
	admin := startHub(t)
	phases := map[string]bool{}
	r, err := sim.Run(t.Context(), sim.Config{
		Admin: admin, Devices: 30, Owners: 3, Attack: 200, For: 2 * time.Second, Reconnect: true,
		Progress: func(phase string, done, of int) {
			phases[phase] = true
			if done > of {
				t.Errorf("%s: %d of %d", phase, done, of)
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	whole(t, r)
	if r.Reconnected == nil || r.Reconnected.Done != 30 || r.Reconnected.Tries < 30 {
		t.Errorf("reconnected: %+v", r.Reconnected)
	}
	if a := r.Attack; a == nil || a.Accepted == 0 || a.Accepted+a.Refused > a.Sent {
		t.Errorf("attack: %+v, %v", a, r.Errors)
	}
	if !phases["ordering"] {
		t.Errorf("progress of %v", phases)
	}
	status, err := admin.Status(t.Context())
	if err != nil || status.Devices != 30 || status.Owners != 3 || int(status.Events) < r.Attack.Accepted {
		t.Errorf("the hub has %+v, %v", status, err)
	}
	for d, err := range admin.Devices(t.Context(), "sim-0") {
		if err != nil || d.Owner != "sim-0" || d.Labels["model"] != "simulated" {
			t.Errorf("device %+v, %v", d, err)
		}
	}
}

func TestSeveralProcesses(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(shareVariable, "yes")
	r, err := sim.Run(t.Context(), sim.Config{
		Admin: startHub(t), Devices: 10, Owners: 10, Each: 4, Share: []string{self}, For: time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	whole(t, r)
	if r.Processes != 3 {
		t.Errorf("%d processes", r.Processes)
	}
}

// A guard that the hub lets in no more is counted, and the others go on.
func TestRevokedMeanwhile(t *testing.T) {
	admin := startHub(t)
	f, err := sim.Start(t.Context(), sim.Config{Admin: admin, Devices: 4, For: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := errors.Join(f.Enrol(t.Context()), f.Connect(t.Context())); err != nil {
		t.Fatal(err)
	}
	for d, err := range admin.Devices(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		if _, err := admin.RevokeDevice(t.Context(), d.ID); err != nil {
			t.Fatal(err)
		}
		break
	}
	for f.Result().Left != 3 {
		if err := f.Watch(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	took, missed, err := f.Publish(t.Context())
	if err != nil || len(took) != 3 || missed != 0 {
		t.Errorf("%v took, %d missed, %v", took, missed, err)
	}
}

func TestNoFleet(t *testing.T) {
	closed, err := net.Listen("unix", filepath.Join(t.TempDir(), "gone.sock"))
	if err != nil {
		t.Fatal(err)
	}
	path := closed.Addr().String()
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]sim.Config{
		"no devices":                     {Admin: api.OverSocket(path)},
		"no hub":                         {Admin: api.OverSocket(path), Devices: 1},
		"more than descriptors":          {Admin: api.OverSocket(path), Devices: 10, Each: 1},
		"a program that cannot be begun": {Admin: api.OverSocket(path), Devices: 1, Apart: true, Share: []string{"/nowhere/tocsin"}},
		"a program that ends":            {Admin: startHub(t), Devices: 1, Apart: true, Share: []string{"/bin/true"}},
	} {
		if _, err := sim.Run(t.Context(), c); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
