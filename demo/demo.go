// Package demo shows the whole of it at work: a hub and a fleet of guards live
// through an invented incident such as that of 14 October 2023, on a clock that
// runs a hundred times as fast. Hub, guards, certificates, signed lists and, as
// root, the kernel's firewall are the real ones; the attack is a recording that is
// written into the logs which the guards read.
//
// It decides nothing, and what it tells comes from what the hub and the devices
// say. What is true of the incident is read only once the story is over, to compare
// with. Nothing leaves this machine, and nothing is left on it.
package demo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/fleet"
	"github.com/tocsin-io/tocsin/internal/clock"
	"github.com/tocsin-io/tocsin/live"
)

// Defaults, and bounds, of what is shown.
const (
	DefaultDevices = 60
	DefaultSpeed   = 100
	MinDevices     = 30 // fewer are no fleet: the hub could conclude little
	MaxDevices     = 200
	MinSpeed       = 1
	MaxSpeed       = 200

	kernels = 3 // devices in network namespaces of their own
)

// A Firewall says what the guards enforce by.
type Firewall string

// The firewalls. With Auto some devices use the kernel's where that can be done.
const (
	Auto   Firewall = "auto"
	Kernel Firewall = "kernel"
	Memory Firewall = "memory"
	Off    Firewall = "off" // guards decide and block nothing
)

// Config says what to show. The functions may be nil.
type Config struct {
	Seed     uint64
	Devices  int
	Speed    float64
	Firewall Firewall
	Listen   string        // address of the console on this machine; "" is none
	Password string        // of the account there; "" is one drawn at random
	Stay     bool          // go on serving the console after the story
	Most     time.Duration // by the wall clock, for the story; what is missing then is missing; 0 is no bound
	Version  string
	Device   []string // command that runs [Device], for those in namespaces
	Log      *slog.Logger

	Open  OpenFunc
	Ready func(*Show)           // the fleet is enrolled, and the console serves
	Tell  func(api.DemoStory)   // each caption
	Note  func(string)          // what else people should know
	Over  func(api.DemoSummary) // the story is over
}

// An Opening is what a hub is opened with.
type Opening struct {
	Folder    string
	Config    []byte // TOML
	Clock     *clock.Clock
	Log       *slog.Logger
	OnApplied func(tocsin.Event, []fleet.Effect)
	Demo      api.Demo
}

// A Hub is one that was opened.
type Hub struct {
	Address string // where devices reach it
	Socket  string
	Console string // where browsers find it; "" is nowhere
	Live    *live.Stream
	Run     func(context.Context) error
	Close   func()
}

// An OpenFunc opens a hub in a folder that is empty.
type OpenFunc func(ctx context.Context, o Opening) (*Hub, error)

// Check returns c with its zeros replaced, or what is wrong with it, all at once.
func (c Config) Check() (Config, error) {
	if c.Devices == 0 {
		c.Devices = DefaultDevices
	}
	if c.Speed == 0 {
		c.Speed = DefaultSpeed
	}
	if c.Firewall == "" {
		c.Firewall = Auto
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Ready == nil {
		c.Ready = func(*Show) {}
	}
	if c.Tell == nil {
		c.Tell = func(api.DemoStory) {}
	}
	if c.Note == nil {
		c.Note = func(string) {}
	}
	if c.Over == nil {
		c.Over = func(api.DemoSummary) {}
	}
	if c.Password == "" {
		c.Password = newPassword()
	}
	var errs []error
	if c.Devices < MinDevices || c.Devices > MaxDevices {
		errs = append(errs, fmt.Errorf("%d devices: write a number from %d to %d", c.Devices, MinDevices, MaxDevices))
	}
	if !(c.Speed >= MinSpeed && c.Speed <= MaxSpeed) {
		errs = append(errs, fmt.Errorf("speed %g: write a number from %d to %d", c.Speed, MinSpeed, MaxSpeed))
	}
	switch c.Firewall {
	case Auto, Kernel, Memory, Off:
	default:
		errs = append(errs, fmt.Errorf("firewall %q: write auto, kernel, memory or off", c.Firewall))
	}
	return c, errors.Join(errs...)
}

// Run shows the incident, and again with another seed each time that somebody asks
// for it, and returns what came of the last one. The error says why it broke off;
// that a story did not come to its end is in its summary.
func Run(ctx context.Context, c Config) (api.DemoSummary, error) {
	c, err := c.Check()
	if err != nil {
		return api.DemoSummary{}, err
	}
	for {
		sum, err := once(ctx, c)
		var again *againError
		if !errors.As(err, &again) {
			return sum, err
		}
		c.Seed = again.seed
	}
}

func once(ctx context.Context, c Config) (sum api.DemoSummary, err error) {
	dir, remove, err := newFolder()
	if err != nil {
		return sum, err
	}
	defer func() {
		if e := remove(); e != nil {
			err = errors.Join(fmt.Errorf("the demo's folder is left: %w", e), err)
		}
	}()
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	s := &Show{c: c, dir: dir, stop: stop}
	return s.run(ctx)
}

// An againError ends a show for another one.
type againError struct{ seed uint64 }

func (e *againError) Error() string { return fmt.Sprintf("begins again with seed %d", e.seed) }

// folderName begins the names of the demo's folders.
const folderName = "tocsin-demo-"

// fastFolder is where there is no disk to wait for, if it is there.
const fastFolder = "/dev/shm"

// newFolder makes the folder of a show, and removes those that a demo left which
// was killed: their lock is free.
func newFolder() (dir string, remove func() error, err error) {
	base := os.TempDir()
	if os.Getenv("TMPDIR") == "" && roomy(fastFolder) {
		base = fastFolder
	}
	sweep(base)
	if dir, err = os.MkdirTemp(base, folderName); err != nil {
		return "", nil, err
	}
	lock, err := lockFolder(dir)
	if err != nil {
		return "", nil, errors.Join(err, os.RemoveAll(dir))
	}
	return dir, func() error { return errors.Join(os.RemoveAll(dir), lock.Close()) }, nil
}

// sweep removes what is left of demos that were killed.
func sweep(base string) {
	list, err := filepath.Glob(filepath.Join(base, folderName+"*"))
	if err != nil {
		return // the pattern is good
	}
	for _, dir := range list {
		if lock, err := lockFolder(dir); err == nil {
			_ = os.RemoveAll(dir) // another user's stays
			_ = lock.Close()      // it locks nothing any more
		}
	}
}
