package demo

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/internal/clock"
	"github.com/tocsin-io/tocsin/internal/run"
	"github.com/tocsin-io/tocsin/sim/incident"
	"github.com/tocsin-io/tocsin/sim/play"
)

// The fleet enrolled some weeks before: the hub believes no newcomer.
var enrolled = incident.Start.AddDate(0, 0, -19)

// The quiet part before the attack runs faster.
const (
	quiet      = 36 * time.Minute
	quietTimes = 3
)

// A Show is one incident on its way.
type Show struct {
	c      Config
	dir    string
	clk    *clock.Clock
	plot   *plot
	hub    *Hub
	client *api.Client
	fleet  []*device
	begun  time.Time
	over   time.Time // when the recording was, by the wall clock; the director's
	stop   context.CancelCauseFunc
	done   chan api.DemoSummary // has the summary once the story is over

	mu      sync.Mutex // guards the fields below
	holders map[tocsin.DeviceID]holder
	kernels int
	sum     *api.DemoSummary
}

// A holder is a firewall that can be asked.
type holder func(ctx context.Context, p netip.Prefix) (bool, error)

func (s *Show) run(ctx context.Context) (none api.DemoSummary, err error) {
	s.begun, s.holders, s.done = time.Now(), map[tocsin.DeviceID]holder{}, make(chan api.DemoSummary, 1)
	inc, lives := filepath.Join(s.dir, "incident"), filepath.Join(s.dir, "live")
	if _, err := incident.Write(ctx, inc, incident.Config{Seed: s.c.Seed, Devices: s.c.Devices}); err != nil {
		return none, err
	}
	if _, err := play.Run(ctx, play.Config{From: inc, To: lives, Prepare: true, Start: incident.Start}); err != nil {
		return none, err
	}
	s.clk = clock.New(clock.State{Shows: enrolled, Speed: 1})
	s.plot = newPlot(s.clk, s.caption)
	if s.fleet, err = readFleet(inc, lives); err != nil {
		return none, err
	}
	if err := s.openHub(ctx); err != nil {
		return none, err
	}
	defer s.hub.Close()
	parts := []run.Part{
		{Name: "hub", Run: s.hub.Run},
		{Name: "story", Run: s.story},
	}
	for _, d := range s.fleet {
		if d.gate, err = openGate(d, s.hub.Address); err != nil {
			return none, err
		}
		parts = append(parts, run.Part{Name: "gate of " + string(d.Device), Run: func(ctx context.Context) error { return d.gate.run(ctx, s.c.Log) }})
	}
	err = run.All(ctx, s.c.Log, parts...)
	if again, ok := errors.AsType[*againError](context.Cause(ctx)); ok {
		return none, errors.Join(again, err)
	}
	select {
	case sum := <-s.done:
		return sum, err
	default:
		return none, errors.Join(err, context.Cause(ctx))
	}
}

// caption tells a caption to whoever listens, and to the page.
func (s *Show) caption(one api.DemoStory) {
	s.hub.Live.Publish("story", one)
	s.c.Tell(one)
}

func (s *Show) openHub(ctx context.Context) (err error) {
	folder := filepath.Join(s.dir, "hub")
	if err := os.Mkdir(folder, 0o700); err != nil {
		return err
	}
	s.hub, err = s.c.Open(ctx, Opening{
		Folder: folder, Config: hubConfig(folder, s.c.Listen), Clock: s.clk, Log: s.c.Log, OnApplied: s.plot.heard, Demo: s,
	})
	if err == nil {
		s.client = api.OverSocket(s.hub.Socket)
		s.clk.Listen(func(clock.State) { s.hub.Live.Publish("clock", s.Clock()) })
	}
	return err
}

// provider is whom the hub would write to about any address.
const provider = "abuse@provider.example"

// hubConfig is the hub's file: no mail server, so nothing can be sent, and no
// registry is asked.
func hubConfig(folder, console string) []byte {
	user := ""
	if os.Geteuid() == 0 {
		user = "user = \"root\"\n"
	}
	return fmt.Appendf(nil, `[hub]
folder = %q
listen = "127.0.0.1:0"
%s
[console]
listen = %q
[incident]
organisation = "Example CSIRT"
contact = "csirt@example.net"
[rdap]
off = true
contacts = ["192.0.2.0/24 %[4]s", "198.51.100.0/24 %[4]s", "203.0.113.0/24 %[4]s", "198.18.0.0/15 %[4]s"]
`, folder, user, console, provider)
}

// patience is how long something may take that takes a second here.
const patience = 90 * time.Second

// story lives through the incident.
func (s *Show) story(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	err := until(ctx, "the hub", patience, func() bool { _, err := s.client.Status(ctx); return err == nil })
	if err != nil {
		return err
	}
	table, err := networks(filepath.Join(s.dir, "incident"), s.fleet)
	if err != nil {
		return err
	}
	if err := s.importNetworks(ctx, table); err != nil {
		return err
	}
	if err := enrol(ctx, s.client, s.clk, s.fleet, s.c.Version); err != nil {
		return err
	}
	s.clk.Set(clock.State{Shows: incident.Start.Add(-2 * time.Minute), Speed: 1})
	if err := s.account(ctx); err != nil {
		return err
	}
	s.c.Ready(s)
	var crew sync.WaitGroup
	defer crew.Wait()
	defer stop()
	fault := make(chan error, len(s.fleet)+2)
	if err := s.guards(ctx, &crew, fault); err != nil {
		return err
	}
	if err := s.connect(ctx, fault); err != nil {
		return err
	}
	return s.live(ctx, &crew, fault)
}

// connect waits until the hub hears every guard.
func (s *Show) connect(ctx context.Context, fault <-chan error) error {
	want := 0
	for _, d := range s.fleet {
		if d.guards {
			want++
		}
	}
	var failed error
	err := until(ctx, fmt.Sprintf("%d devices to connect", want), patience, func() bool {
		select {
		case failed = <-fault:
			return true
		default:
		}
		return len(s.connected(ctx)) == want
	})
	return errors.Join(failed, err)
}

// connected returns the devices that the hub hears.
func (s *Show) connected(ctx context.Context) (list []tocsin.DeviceID) {
	for d, err := range s.client.Devices(ctx, "") {
		if err != nil {
			return nil
		}
		if d.Connected {
			list = append(list, d.ID)
		}
	}
	return list
}

// live has the incident happen, and follows it to its end.
func (s *Show) live(ctx context.Context, crew *sync.WaitGroup, fault chan error) error {
	s.plot.mu.Lock()
	s.plot.begun, s.plot.from = time.Now(), incident.Start
	s.plot.mu.Unlock()
	s.clk.Set(clock.State{Shows: incident.Start, Speed: s.c.Speed * quietTimes})
	s.clk.AfterFunc(quiet, func() { s.clk.SetSpeed(s.c.Speed) })
	played := make(chan struct{})
	part := func(name string, f func() error) {
		crew.Go(func() {
			if err := f(); err != nil && ctx.Err() == nil {
				fault <- fmt.Errorf("%s: %w", name, err)
			}
		})
	}
	part("recording", func() error {
		defer close(played)
		_, err := play.Run(ctx, play.Config{
			From: filepath.Join(s.dir, "incident"), To: filepath.Join(s.dir, "live"), Speed: 1, Clock: s.clk, Start: incident.Start,
		})
		return err
	})
	m := &monitor{path: filepath.Join(s.dir, "live", "conn.log"), client: s.client}
	part("network monitor", func() error { return m.run(ctx, s.clk) })
	if err := s.direct(ctx, played, fault); err != nil {
		return err
	}
	if err := s.conclude(ctx); err != nil || !s.c.Stay {
		return err
	}
	<-ctx.Done()
	return ctx.Err()
}
