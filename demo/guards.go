package demo

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/firewall"
	"github.com/tocsin-io/tocsin/firewall/memory"
	"github.com/tocsin-io/tocsin/internal/clock"
)

func (s *Show) importNetworks(ctx context.Context, table []byte) error {
	_, err := s.client.ImportNetworks(ctx, bytes.NewReader(table))
	return err
}

// guards starts the guard of each device that has one. What fails later comes to
// fault.
func (s *Show) guards(ctx context.Context, crew *sync.WaitGroup, fault chan<- error) error {
	s.choose()
	for _, d := range s.fleet {
		if !d.guards {
			continue
		}
		s.plot.mu.Lock()
		s.plot.names[d.id] = string(d.Device)
		s.plot.mu.Unlock()
		if d.kernel {
			started, err := s.startKernel(ctx, d, crew, fault)
			if err != nil {
				return err
			}
			if started {
				continue
			}
		}
		s.startHere(ctx, d, crew, fault)
	}
	return nil
}

// choose says which devices get a network namespace of their own.
func (s *Show) choose() {
	if s.c.Firewall == Memory || s.c.Firewall == Off || s.c.Firewall == Auto && os.Geteuid() != 0 {
		return
	}
	var able []*device
	for _, d := range s.fleet {
		if d.guards {
			able = append(able, d)
		}
	}
	for i := range kernels {
		able[i*len(able)/kernels].kernel = true
	}
}

// startHere runs a guard in this process, whose firewall is in memory.
func (s *Show) startHere(ctx context.Context, d *device, crew *sync.WaitGroup, fault chan<- error) {
	one := d.duty(s.clk, s.c.Version)
	inMemory := memory.New(s.clk.Now)
	filter, held := firewall.Filter(&told{inMemory, func(p netip.Prefix, at time.Time) { s.plot.holds(d.id, p, at) }}), inMemory.Holds
	if s.c.Firewall == Off {
		one.DryRun = true
		filter, held = inMemory, func(context.Context, netip.Prefix) (bool, error) { return false, nil }
	}
	s.hold(d.id, held)
	log := s.c.Log.With("device", d.Device)
	crew.Go(func() {
		if err := one.run(ctx, s.clk, filter, "memory (nothing is blocked)", log); err != nil && ctx.Err() == nil {
			fault <- fmt.Errorf("guard of %s: %w", d.Device, err)
		}
	})
}

// startKernel runs a guard in a network namespace. Where that cannot be, and need
// not, it says so and returns false.
func (s *Show) startKernel(ctx context.Context, d *device, crew *sync.WaitGroup, fault chan<- error) (bool, error) {
	logs, err := os.Create(filepath.Join(d.dir, "guard.log"))
	if err != nil {
		return false, err
	}
	p, err := startProcess(ctx, s.c.Device, d, d.duty(s.clk, s.c.Version), io.Writer(logs), func(prefix netip.Prefix, at time.Time) {
		s.plot.holds(d.id, prefix, at)
	})
	if err != nil {
		_ = logs.Close() // the error says all
		if s.c.Firewall == Kernel {
			return false, err
		}
		s.c.Note(fmt.Sprintf("%s uses a firewall in memory: %v", d.Device, err))
		return false, nil
	}
	s.clk.Listen(func(clock.State) { p.set(s.clk.State()) })
	s.plot.mu.Lock()
	s.plot.kernels[d.id] = true
	s.plot.mu.Unlock()
	s.mu.Lock()
	s.kernels++
	s.mu.Unlock()
	s.hold(d.id, p.holds)
	crew.Go(func() {
		select {
		case <-ctx.Done():
			_ = p.stop() // it was told to end, and how it does is of no interest
		case <-p.ended:
			fault <- fmt.Errorf("guard of %s: %w", d.Device, cmpErr(p.fault, errGone))
		}
		_ = logs.Close() // it goes with the folder
	})
	return true, nil
}

func (s *Show) hold(id tocsin.DeviceID, h holder) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.holders[id] = h
}
