package demo

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/authlog"
	"github.com/tocsin-io/tocsin/blocklist"
	"github.com/tocsin-io/tocsin/detect"
	"github.com/tocsin-io/tocsin/firewall"
	"github.com/tocsin-io/tocsin/footprints"
	"github.com/tocsin-io/tocsin/guard"
	"github.com/tocsin-io/tocsin/internal/clock"
	"github.com/tocsin-io/tocsin/internal/run"
	"github.com/tocsin-io/tocsin/logsource"
	"github.com/tocsin-io/tocsin/logsource/file"
	"github.com/tocsin-io/tocsin/uplink"
)

// A duty is what it takes to run one device's guard, here or in a process of its
// own.
type duty struct {
	Name    string      `json:"name"`
	Dir     string      `json:"dir"`
	Logs    []logFile   `json:"logs"`
	Version string      `json:"version"`
	Clock   clock.State `json:"clock"`
	Gate    string      `json:"gate"` // socket
	Port    int         `json:"port"` // where the device believes the hub to be, on its loopback
	DryRun  bool        `json:"dry_run,omitempty"`
}

// A logFile is a log that the guard reads.
type logFile struct {
	Service tocsin.Service `json:"service"`
	Path    string         `json:"path"`
}

// Memory of one device, in entries: what a small NAS would be given.
const remembered = 8192

// readBack is how far back logs are read at the start.
const readBack = 7 * 24 * time.Hour

// logEvery is how often a log is looked at: the kernel lets no user watch as many
// as a fleet has.
const logEvery = 40 * time.Millisecond

// run guards until ctx ends.
func (d duty) run(ctx context.Context, clk *clock.Clock, filter firewall.Filter, backend string, log *slog.Logger) error {
	up, err := uplink.Open(uplink.Config{Folder: filepath.Join(d.Dir, "state", "hub"), Version: d.Version, Clock: clk}, log, nil)
	if err != nil {
		return err
	}
	var services []tocsin.Service
	var inputs []guard.Input
	for _, l := range d.Logs {
		services = append(services, l.Service)
		inputs = append(inputs, guard.Input{
			Name: l.Path, Service: l.Service, Trust: tocsin.Attested.String(),
			Open: func(marks []logsource.Mark) (logsource.Source, error) {
				return file.New(l.Path, file.Options{
					Log: log, Provenance: tocsin.Attested, Marks: marks, Since: clk.Now().Add(-readBack), Now: clk.Now, Poll: logEvery,
				}), nil
			},
		})
	}
	definitions, err := authlog.Some(services...)
	if err != nil {
		return err
	}
	matcher, err := authlog.Compile(definitions...)
	if err != nil {
		return err
	}
	watch, err := footprints.New(footprints.Config{
		Root: filepath.Join(d.Dir, "root"), State: filepath.Join(d.Dir, "state"), Device: up.Device(), Now: clk.Now, Log: log,
		Every: 10 * time.Second, Settle: time.Millisecond, Poll: time.Second,
	})
	if err != nil {
		return err
	}
	policy := detect.Default()
	policy.Sources, policy.Successes = remembered, remembered
	g, err := guard.New(ctx, guard.Config{
		State: filepath.Join(d.Dir, "state"), Device: up.Device(), Policy: policy, Limits: blocklist.DefaultLimits, DryRun: d.DryRun,
	}, guard.Deps{
		Filter: filter, Backend: backend, Inputs: inputs, Matcher: matcher, Log: log, Metrics: prometheus.NewRegistry(),
		Clock: clk, Zone: time.UTC, Version: d.Version, Clues: []guard.ClueSource{&changes{watch: watch, now: clk.Now}},
		Hub: &guard.Hub{
			Owner: up.Owner(), Limits: up.Limits, Tell: up.Tell, Told: up.Told, Lost: up.Lost, Now: up.Now,
			TellClues: up.TellClues, TellContacts: up.TellContacts,
		},
	})
	if err != nil {
		return err
	}
	return run.All(ctx, log,
		run.Part{Name: "guard", Run: g.Run},
		run.Part{Name: "hub line", Run: func(ctx context.Context) error { return up.Run(ctx, g) }},
	)
}

// changes tells how long changes were looked for, too.
type changes struct {
	watch *footprints.Watch
	now   func() time.Time

	mu    sync.Mutex // guards the field below
	since time.Time
}

// Run implements [guard.ClueSource].
func (c *changes) Run(ctx context.Context, emit func(tocsin.Clue) error) error {
	c.mu.Lock()
	c.since = c.now()
	c.mu.Unlock()
	return c.watch.Run(ctx, emit)
}

// Coverage implements [guard.Coverer].
func (c *changes) Coverage() tocsin.Coverage {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.since.IsZero() {
		return tocsin.Coverage{Stream: tocsin.HostStream}
	}
	return tocsin.Coverage{Stream: tocsin.HostStream, From: c.since, Until: c.now()}
}

var errGone = errors.New("the device's process has ended")
