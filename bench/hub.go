package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/feed/fanout"
	"github.com/tocsin-io/tocsin/fleet"
	"github.com/tocsin-io/tocsin/hub"
	hubkeys "github.com/tocsin-io/tocsin/keys"
	"github.com/tocsin-io/tocsin/quorum"
	"github.com/tocsin-io/tocsin/sim"
	"github.com/tocsin-io/tocsin/store/sqlite"
)

// shareArgument starts this program as guards of the part hub.
const shareArgument = "sim-share"

func runShare(ctx context.Context) error { return sim.Serve(ctx, os.Stdin, os.Stdout) }

const (
	hubDevices = 9000
	hubOrders  = 15
	hubAttack  = 10 * time.Second
	flatOut    = 1e6 // sightings a second: more than any hub takes
)

// measureHub measures a whole hub, with its database, under an invented fleet in
// another process. What it costs to send a frame, beside bare TLS, is the part
// push.
func measureHub(ctx context.Context, e *env) (section, error) {
	rows, err := hubFleet(ctx, e)
	if err == nil {
		var more row
		more, err = hubIngest(ctx, e)
		rows = append(rows, more)
	}
	return section{rows: rows, commands: []string{
		"scripts/bench.sh -o - -only hub,hubparts,push", fmt.Sprintf("tocsin sim fleet --devices %d --reconnect", hubDevices),
	}}, err
}

// measureHubParts measures what a hub is made of, alone.
func measureHubParts(ctx context.Context, e *env) (s section, err error) {
	if err := os.Setenv("TMPDIR", e.dir); err != nil { // databases of benchmarks belong on a disk
		return s, err
	}
	for _, part := range []func(context.Context) ([]row, string, error){storeRows, quorumRows, rulesetRows} {
		rows, command, err := part(ctx)
		if err != nil {
			return s, err
		}
		s.rows, s.commands = append(s.rows, rows...), append(s.commands, command)
	}
	return s, nil
}

// A wholeHub is a hub in this process, as tocsin hub runs it.
type wholeHub struct {
	admin *api.Client
	stop  func() error
}

func startHub(dir string) (*wholeHub, error) {
	ctx, cancel := context.WithCancel(context.Background())
	db, err := sqlite.Open(ctx, dir, time.Now)
	if err != nil {
		cancel()
		return nil, err
	}
	fail := func(err error) (*wholeHub, error) {
		cancel()
		return nil, errors.Join(err, db.Close())
	}
	authority, err := hubkeys.CreateAuthority(filepath.Join(dir, "keys"))
	if err != nil {
		return fail(err)
	}
	repo, err := hubkeys.CreateRepository(filepath.Join(dir, "keys"), time.Now())
	if err != nil {
		return fail(err)
	}
	port, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fail(err)
	}
	path := filepath.Join(dir, "hub.sock")
	socket, err := net.Listen("unix", path)
	if err != nil {
		return fail(errors.Join(err, port.Close()))
	}
	h, err := hub.New(ctx, hub.Config{
		Folder: dir, Fleet: fleet.Config{Quorum: quorum.Default()},
		Addresses: []string{port.Addr().String()}, Names: []string{"127.0.0.1"}, Retain: 24 * time.Hour,
	}, hub.Deps{
		Store: db, Authority: authority, Keys: repo, Listener: port, Socket: socket,
		Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry(), Now: time.Now, Version: "bench",
	})
	if err != nil {
		return fail(errors.Join(err, port.Close(), socket.Close()))
	}
	done := make(chan error, 1)
	go func() { done <- h.Run(ctx) }()
	return &wholeHub{admin: api.OverSocket(path), stop: func() error {
		cancel()
		return errors.Join(<-done, db.Close())
	}}, nil
}

func hubFleet(ctx context.Context, e *env) (rows []row, err error) {
	dir, err := os.MkdirTemp(e.dir, "hub-")
	if err != nil {
		return nil, err
	}
	h, err := startHub(dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, h.stop()) }()
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	n := min(hubDevices, fanout.Capacity())
	f, err := sim.Start(ctx, sim.Config{Admin: h.admin, Devices: n, Attack: flatOut, For: hubAttack, Share: []string{self, shareArgument}, Apart: true})
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if err := f.Enrol(ctx); err != nil {
		return nil, err
	}
	before := held()
	if err := f.Connect(ctx); err != nil {
		return nil, err
	}
	title := fmt.Sprintf("whole hub, %d invented guards (own keys, enrolled, verifying)", n)
	r := f.Result()
	if r.Left < n {
		return nil, fmt.Errorf("%d of %d guards connected: %v", r.Left, n, r.Errors)
	}
	memory := (held() - before) / n
	rows = append(rows,
		row{figure: title + ": enrolled", measured: fmt.Sprintf("%.0f a second", r.Enrolled.Rate)},
		row{figure: "… connected for the first time, all at once", measured: fmt.Sprintf("%.1f s, %d tries", r.Connected.Seconds, r.Connected.Tries)},
		row{figure: "… memory for each, its lists and state included", measured: fmt.Sprintf("%d bytes", memory)})
	one, err := hubOrder(ctx, f)
	if err != nil {
		return rows, err
	}
	rows = append(rows, one)
	used := spent()
	if err := f.Reconnect(ctx); err != nil {
		return rows, err
	}
	used = spent() - used
	back := f.Result().Reconnected
	rows = append(rows, row{
		figure: "… reconnecting at once, none refused for good", must: "all served ≤ 20 s",
		measured: fmt.Sprintf("%d in %.1f s, %d tries; the hub's processor time %.1f s", back.Done, back.Seconds, back.Tries, used.Seconds()), verdict: judge(n == hubDevices && back.Done == n && back.Seconds <= 20),
	})
	if err := f.Watch(ctx); err != nil {
		return rows, err
	}
	r = f.Result()
	return append(rows, row{
		figure:   "… during an attack that nobody holds back: orders → last guard",
		measured: fmt.Sprintf("%.0f ms, with %.0f sightings committed a second", r.Published.Last, r.Attack.Rate),
	}), nil
}

// ingestDevices report at once in the figure over HTTPS.
const ingestDevices = 64

// hubIngest measures sightings from guard to commit.
func hubIngest(ctx context.Context, e *env) (r row, err error) {
	r.figure = "sightings over HTTPS, a connection for each batch of 100, until committed; devices and hub on one machine"
	dir, err := os.MkdirTemp(e.dir, "hub-")
	if err != nil {
		return r, err
	}
	h, err := startHub(dir)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, h.stop()) }()
	self, err := os.Executable()
	if err != nil {
		return r, err
	}
	got, err := sim.Run(ctx, sim.Config{Admin: h.admin, Devices: ingestDevices, Attack: flatOut, For: hubAttack, Share: []string{self, shareArgument}, Apart: true})
	if err != nil {
		return r, err
	}
	r.measured = fmt.Sprintf("%.0f a second, a batch in %.0f ms (p99 %.0f ms)", got.Attack.Rate, got.Attack.P50, got.Attack.P99)
	return r, nil
}

// hubOrder times orders of a person until the last guard has verified them.
func hubOrder(ctx context.Context, f *sim.Fleet) (row, error) {
	var lasts latencies
	var cpu rounds
	missed := 0
	for range hubOrders {
		used := spent()
		took, m, err := f.Publish(ctx)
		if err != nil {
			return row{}, err
		}
		cpu, lasts, missed = append(cpu, spent()-used), append(lasts, slices.Max(append(took, 0))), missed+m
		select {
		case <-ctx.Done():
			return row{}, ctx.Err()
		case <-time.After(time.Second):
		}
	}
	return row{
		figure:   "… a person's order at the API → last guard has verified and applied it, guards on the same cores",
		measured: fmt.Sprintf("%v; %d times a guard did not hear; the hub's processor time, reports included, %v", lasts, missed, cpu),
	}, nil
}

// most returns the largest of the figures.
func (r results) most(name, unit string) (float64, error) {
	list := r[name+" "+unit]
	if len(list) == 0 {
		return 0, fmt.Errorf("%s reports no %s", name, unit)
	}
	return slices.Max(list), nil
}

func storeRows(ctx context.Context) ([]row, string, error) {
	r, command, err := goBench(ctx, "./store/sqlite", "^BenchmarkAppend$", "2s", 3)
	if err != nil {
		return nil, "", err
	}
	many, err1 := r.most("BenchmarkAppend/devices=64/batch=100", "sightings/s")
	single, err2 := r.most("BenchmarkAppend/devices=1/batch=1", "sightings/s")
	if err := errors.Join(err1, err2); err != nil {
		return nil, "", err
	}
	return []row{
		{"sightings committed, batches of 100 from 64 devices, SQLite FULL", "≥ 50,000 a second", fmt.Sprintf("%.0f a second", many), judge(many >= 50_000), ""},
		{"… to the same one by one", "≥ 15 ×", fmt.Sprintf("%.1f × (%.0f a second)", many/single, single), judge(many >= 15*single), ""},
	}, command, nil
}

func quorumRows(ctx context.Context) (rows []row, command string, err error) {
	r, command, err := goBench(ctx, "./quorum", "^BenchmarkObserve$", "2s", 3)
	if err != nil {
		return nil, "", err
	}
	for _, c := range []struct{ name, text string }{{"owners=1", "of one owner"}, {"owners=300", "of 300 owners"}} {
		name := "BenchmarkObserve/" + c.name + "/batch="
		one, err1 := r.most(name+"1", "sightings/s")
		rate, err2 := r.most(name+"64", "sightings/s")
		size, err3 := r.most(name+"64", "MiB")
		if err := errors.Join(err1, err2, err3); err != nil {
			return nil, "", err
		}
		rows = append(rows,
			row{"quorum, a million sources, devices " + c.text + ", told in batches", "≥ 300,000 sightings per CPU-second",
				fmt.Sprintf("%.0f (one by one %.0f)", rate, one), judge(rate >= 300_000), ""},
			row{"… memory", "≤ 512 MiB", fmt.Sprintf("%.0f MiB", size), judge(size <= 512), ""})
	}
	return rows, command, nil
}

func rulesetRows(ctx context.Context) (rows []row, command string, err error) {
	r, command, err := goBench(ctx, "./ruleset", "^Benchmark(Snapshot|Delta)$/^(seal|next)$", "1x", 1)
	if err != nil {
		return nil, "", err
	}
	for _, c := range []struct {
		figure, name string
		must         string
		most         float64
	}{
		{"delta of 300 changes against 1 M rules", "BenchmarkDelta/next/1M", "≤ 1.2 KB", 1200},
		{"snapshot of 1 M clustered addresses", "BenchmarkSnapshot/seal/1M", "≤ 1.5 MB", 1.5e6},
		{"snapshot of a public list of 120,000", "BenchmarkSnapshot/seal/known", "≤ 190 KB", 190e3},
	} {
		size, err := r.best(c.name, "bytes")
		if err != nil {
			return nil, "", err
		}
		rows = append(rows, row{c.figure, c.must, fmt.Sprintf("%.0f bytes", size), judge(size <= c.most), ""})
	}
	return rows, command, nil
}
