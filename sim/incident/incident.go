// Package incident invents an incident such as that of 14 October 2023 and writes
// it as files: what the devices of a fleet would have logged, the connections that
// they opened, an inventory, tables of networks, and a file that says what is true.
//
// It promises that the same configuration gives the same files, byte for byte,
// that the logs are such as the services write them, and that every address is of
// the ranges kept for documentation and benchmarks. It writes records and never
// sends anything; it reads no clock. What happens is as if nobody had defended
// himself: nothing is blocked in it.
//
// No detection may read the file that says what is true ([Truth]); tests do.
package incident

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"syscall"
	"time"
)

// Start is when an incident begins unless its configuration says otherwise: 42
// minutes before that of 2023 was noticed.
var Start = time.Date(2023, 10, 14, 18, 0, 0, 0, time.UTC)

// Bounds of what can be invented, and what a zero Config stands for.
const (
	MaxDevices     = 10_000
	MaxSpan        = 7 * 24 * time.Hour
	MinSpan        = 30 * time.Minute
	MaxDeviceHours = 48_000 // devices times hours: some 80 connections each, in memory
	DefaultDevices = 60
	DefaultSpan    = 2 * time.Hour
)

// A Config says what to invent.
type Config struct {
	Seed      uint64
	Devices   int           // 0 is 60
	Span      time.Duration // 0 is two hours; whole seconds
	Start     time.Time     // zero is [Start]
	JSONFlows bool          // write the connections as JSON, too
	Force     bool          // write into a folder that holds something
	// Progress is told how far a phase is; nil is nobody.
	Progress func(phase string, done, of int)
}

// A Summary is what was written.
type Summary struct {
	Folder      string    `json:"folder"`
	Seed        uint64    `json:"seed"`
	Start       time.Time `json:"start"`
	End         time.Time `json:"end"`
	Devices     int       `json:"devices"`
	Owners      int       `json:"owners"`
	Compromised int       `json:"compromised"`
	Removed     int       `json:"telemetry_removed"` // devices whose logs or connections are missing, wholly or partly
	Attempts    int       `json:"attempts"`          // that the logs show
	Sources     int       `json:"sources"`           // of them
	Flows       int       `json:"flows"`
	Files       int       `json:"files"`
	Bytes       int64     `json:"bytes"`
}

// Check returns c with its zeros replaced, or what is wrong with it, all at once.
func (c Config) Check() (Config, error) {
	var errs []error
	if c.Devices == 0 {
		c.Devices = DefaultDevices
	}
	if c.Span == 0 {
		c.Span = DefaultSpan
	}
	if c.Start.IsZero() {
		c.Start = Start
	}
	c.Start, c.Span = c.Start.UTC().Truncate(time.Second), c.Span.Truncate(time.Second)
	if c.Devices < 1 || c.Devices > MaxDevices {
		errs = append(errs, fmt.Errorf("%d devices: write a number from 1 to %d", c.Devices, MaxDevices))
	}
	if c.Span < MinSpan || c.Span > MaxSpan {
		errs = append(errs, fmt.Errorf("%g hours: write a number from %g to %g", c.Span.Hours(), MinSpan.Hours(), MaxSpan.Hours()))
	}
	if y := c.Start.Year(); y < 2001 || y > 2099 {
		errs = append(errs, fmt.Errorf("start %s: write a time from 2001 to 2099", c.Start.Format(time.RFC3339)))
	}
	if len(errs) == 0 && float64(c.Devices)*c.Span.Hours() > MaxDeviceHours {
		errs = append(errs, fmt.Errorf("%d devices for %g hours: at most %d device hours fit into memory; write fewer of one",
			c.Devices, c.Span.Hours(), MaxDeviceHours))
	}
	if c.Progress == nil {
		c.Progress = func(string, int, int) {}
	}
	return c, errors.Join(errs...)
}

// Write invents an incident and writes it into the folder dir, which it makes if
// need be. A folder that holds something is refused, unless c.Force is set: then
// an earlier incident is replaced, and nothing else is touched; what has the name
// of a file to write is an error. After an error nothing new is left behind.
func Write(ctx context.Context, dir string, c Config) (Summary, error) {
	c, err := c.Check()
	if err != nil {
		return Summary{}, err
	}
	f, err := openFolder(dir, c.Force)
	if err != nil {
		return Summary{}, err
	}
	w := newWorld(c)
	err = w.invent(ctx)
	if err == nil {
		err = w.write(ctx, f)
	}
	if err != nil {
		f.undo()
		switch {
		case errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT):
			err = fmt.Errorf("%w; what was written is removed again: free some space, or name a folder on another disk", err)
		case errors.Is(err, context.Canceled):
			err = fmt.Errorf("stopped, and what was written is removed again: %w", err)
		}
		return Summary{}, err
	}
	s := w.summary()
	s.Folder, s.Files, s.Bytes = dir, len(f.files), f.bytes
	return s, nil
}

// A world is one incident in memory.
type world struct {
	c          Config
	start, end int64   // seconds since 1970
	scale      float64 // of what takes minutes: below one if the span is short
	owners     []owner
	devices    []device
	bots       []bot
	exposed    []int // devices that the internet reaches
	loud, slow campaign
	persons    []Person
	attempts   []attempt
	conns      uint32 // connections to devices so far
	used       map[netip.Addr]bool
	net        network
	flows      []flow
}

func newWorld(c Config) *world {
	w := &world{c: c, start: c.Start.Unix(), used: map[netip.Addr]bool{}}
	w.end = c.Start.Add(c.Span).Unix()
	w.scale = min(1, c.Span.Hours()/DefaultSpan.Hours())
	return w
}

// Parts of an incident have random numbers of their own, so that more of one
// part changes no other.
const (
	partFleet = iota + 1
	partNetwork
	partPeople
	partScanners
	partLoud
	partSlow
	partEntries
	partRemoved
	partLabels
	partHost
	partFlows
	partIDs
)

func (w *world) random(part, i int) *rand.Rand {
	return rand.New(rand.NewPCG(w.c.Seed, uint64(part)<<32|uint64(i)))
}

// minutes returns a random number of seconds between low and high minutes, fewer
// where the span is short.
func (w *world) minutes(r *rand.Rand, low, high float64) int64 {
	return int64((low + (high-low)*r.Float64()) * 60 * w.scale)
}

// invent makes up everything, in memory.
func (w *world) invent(ctx context.Context) error {
	w.fleet()
	w.campaigns()
	w.breakIns()
	w.people()
	w.scanners()
	w.remove()
	w.settle()
	return w.connections(ctx)
}

func (w *world) summary() Summary {
	s := Summary{
		Seed: w.c.Seed, Start: w.c.Start, End: w.c.Start.Add(w.c.Span), Devices: len(w.devices), Owners: len(w.owners),
		Compromised: len(w.bots), Attempts: len(w.attempts), Flows: len(w.flows),
	}
	sources := map[netip.Addr]bool{}
	for i := range w.attempts {
		sources[w.attempts[i].source] = true
	}
	s.Sources = len(sources)
	for i := range w.devices {
		if w.devices[i].removed() {
			s.Removed++
		}
	}
	return s
}
