package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/config"
	"github.com/tocsin-io/tocsin/guard"
	"github.com/tocsin-io/tocsin/internal/run"
	"github.com/tocsin-io/tocsin/operator"
	"github.com/tocsin-io/tocsin/uplink"
)

// A line is the guard's to its hub; without one all is as if there were no hubs.
type line struct{ up *uplink.Uplink }

// openUplink opens the line of a device that is enrolled. The hub's hosts become
// targets: they are never blocked.
func openUplink(cfg *config.Config, log *slog.Logger) (line, error) {
	up, err := uplink.Open(uplink.Config{Folder: cfg.HubFolder, Version: buildVersion(), Mirror: cfg.Mirror}, log, time.Now)
	if errors.Is(err, uplink.ErrNotEnrolled) {
		return line{}, nil
	}
	if err != nil {
		return line{}, fmt.Errorf("the line to the hub: %w", err)
	}
	for _, a := range up.Addresses() {
		cfg.Targets = append(cfg.Targets, hostOf(a))
	}
	return line{up}, nil
}

// device returns the name that the hub gave, or the configured one.
func (l line) device(name tocsin.DeviceID) tocsin.DeviceID {
	if l.up == nil {
		return name
	}
	return l.up.Device()
}

func (l line) hub() *guard.Hub {
	if l.up == nil {
		return nil
	}
	return &guard.Hub{Owner: l.up.Owner(), Limits: l.up.Limits, Tell: l.up.Tell, Told: l.up.Told, Lost: l.up.Lost, Now: l.up.Now,
		TellClues: l.up.TellClues, TellContacts: l.up.TellContacts}
}

func (l line) parts(g *guard.Guard) []run.Part {
	if l.up == nil {
		return nil
	}
	return []run.Part{{Name: "hub line", Run: func(ctx context.Context) error { return l.up.Run(ctx, g) }}}
}

func (l line) status() func() *operator.HubStatus {
	if l.up == nil {
		return nil
	}
	return func() *operator.HubStatus {
		s := l.up.Status()
		return &operator.HubStatus{
			Address: s.Hub, Device: s.Device, Owner: s.Owner, Via: s.Via, Certificate: s.Certificate,
			Unsent: s.Unsent, Lost: s.Lost, Warnings: s.Warnings,
			UnsentClues: s.UnsentClues, LostClues: s.LostClues, LostContacts: s.LostContacts,
		}
	}
}

// printLine tells how the line to the hub is.
func printLine(w io.Writer, h operator.HubStatus, now time.Time) {
	via := map[string]string{
		"push": "connected", "poll": "by long poll", "mirror": "by its mirror", "": "out of reach: this device guards alone, rules of the hub stay until they end",
	}[h.Via]
	fmt.Fprintf(w, "hub       %s, %s; device %s of %s; certificate good for %s; %s to send\n",
		h.Address, via, h.Device, h.Owner, span(h.Certificate.Sub(now)), count(h.Unsent, "sighting"))
	if h.Lost > 0 {
		fmt.Fprintf(w, "warning: %s could not be kept for the hub: there was no room\n", count(int(h.Lost), "sighting"))
	}
	if h.UnsentClues > 0 {
		fmt.Fprintf(w, "          %s to send\n", count(h.UnsentClues, "clue"))
	}
	if h.LostClues+h.LostContacts > 0 {
		fmt.Fprintf(w, "warning: %s and %s could not be kept for the hub: there was no room\n",
			count(int(h.LostClues), "clue"), count(int(h.LostContacts), "contact"))
	}
	if len(h.Frozen) > 0 {
		fmt.Fprintf(w, "warning: FREEZE: nothing was heard of %s for ten minutes: the hub is away, or somebody holds its rules back\n", strings.Join(h.Frozen, ", "))
	}
	for _, text := range h.Warnings {
		fmt.Fprintf(w, "warning: %s\n", text)
	}
}

// hostOf returns the host of host:port.
func hostOf(address string) string {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	return host
}
