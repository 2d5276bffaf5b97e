//go:build !small

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/sim"
)

// maxSimulated bounds an invented fleet.
const maxSimulated = 1_000_000

func simCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "sim",
		Short: "Invent a fleet that a hub has to serve, or an incident",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(simFleetCommand(), simIncidentCommand(), simPlayCommand(), simMailCommand(), simShareCommand())
	return cmd
}

// simFlags are those of tocsin sim fleet.
type simFlags struct {
	hubTalk
	devices   int
	owners    int
	attack    float64
	length    time.Duration
	reconnect bool
}

func simFleetCommand() *cobra.Command {
	var f simFlags
	cmd := &cobra.Command{
		Use:   "fleet [flags]",
		Short: "Put the load of many devices on a hub, and time it",
		Long: "Sim fleet invents devices that make their own keys, enrol, connect, and verify what the hub\n" +
			"signs, as guards do. It orders blocks of addresses that nobody owns and times how soon every\n" +
			"device knows; with --attack the devices also report guesses. What it enrols stays enrolled:\n" +
			"use a hub that was made for it.",
		Example: "  tocsin sim fleet --devices 1000\n" +
			"  tocsin sim fleet --devices 9000 --attack 5000 --for 1m --reconnect --json\n" +
			"  tocsin sim fleet --devices 100 --hub hub.example.net:7443 --token-file admin.token --ca ca.pem",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd) },
	}
	f.flags(cmd)
	cmd.Flags().IntVar(&f.devices, "devices", 100, "devices to invent")
	cmd.Flags().IntVar(&f.owners, "owners", 0, "owners that they belong to (default one for ten devices)")
	cmd.Flags().Float64Var(&f.attack, "attack", 0, "guesses that all devices together report in a second")
	cmd.Flags().DurationVar(&f.length, "for", 10*time.Second, "how long to order blocks, and to attack")
	cmd.Flags().BoolVar(&f.reconnect, "reconnect", false, "then have all devices lose the hub at once")
	return cmd
}

// simShareCommand is how a fleet starts the other processes it needs.
func simShareCommand() *cobra.Command {
	return &cobra.Command{
		Use: "share", Hidden: true, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return sim.Serve(cmd.Context(), cmd.InOrStdin(), cmd.OutOrStdout())
		},
	}
}

func (f *simFlags) run(cmd *cobra.Command) error {
	switch {
	case f.devices < 1 || f.devices > maxSimulated:
		return mistake("--devices %d: write a number from 1 to %d", f.devices, maxSimulated)
	case f.owners < 0 || f.owners > f.devices:
		return mistake("--owners %d: write a number from 1 to that of the devices", f.owners)
	case f.attack < 0 || f.attack > 1e7:
		return mistake("--attack %g: write a number from 0 to 10000000", f.attack)
	case f.length <= 0:
		return mistake("--for %v: write a time such as 30s", f.length)
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	return f.ask(cmd, func(ctx context.Context, admin *api.Client) error {
		bar := &simBar{w: cmd.ErrOrStderr()}
		r, err := sim.Run(ctx, sim.Config{
			Admin: admin, Hub: f.hub, Devices: f.devices, Owners: f.owners, Attack: f.attack, For: f.length, Reconnect: f.reconnect,
			Share: []string{self, "sim", "share"}, Progress: bar.show,
		})
		bar.finish()
		if err != nil {
			return err
		}
		if err := f.print(cmd.OutOrStdout(), r, func() error { return showFleet(cmd.OutOrStdout(), r) }); err != nil {
			return err
		}
		if r.Left < r.Devices {
			return errors.New("not all devices are connected at the end")
		}
		return nil
	})
}

// simBar shows one phase after the other on a terminal, and nothing elsewhere.
type simBar struct {
	w     io.Writer
	phase string
	bar   *progressbar.ProgressBar
}

func (b *simBar) show(phase string, done, of int) {
	f, ok := b.w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return
	}
	if phase != b.phase {
		b.finish()
		b.phase = phase
		b.bar = progressbar.NewOptions(of, progressbar.OptionSetWriter(b.w), progressbar.OptionSetDescription(phase),
			progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish(), progressbar.OptionSetWidth(30), progressbar.OptionShowCount())
	}
	_ = b.bar.Set(done) // a terminal that cannot be written is no reason to stop
}

func (b *simBar) finish() {
	if b.bar != nil {
		_ = b.bar.Finish()
		b.bar = nil
	}
}

func showFleet(w io.Writer, r sim.Result) error {
	fmt.Fprintf(w, "%s of %s in %s\n", count(r.Devices, "device"), count(r.Owners, "owner"), count(r.Processes, "process"))
	phase := func(name string, p sim.Phase) {
		fmt.Fprintf(w, "%-12s %d in %.1f s, %.0f a second", name, p.Done, p.Seconds, p.Rate)
		if p.Tries > 0 {
			fmt.Fprintf(w, ", %s", count(p.Tries, "connection"))
		}
		fmt.Fprintln(w)
	}
	phase("enrolled", r.Enrolled)
	phase("connected", r.Connected)
	p := r.Published
	fmt.Fprintf(w, "%-12s from the order until verified: half of the devices after %.1f ms, 99 %% after %.1f ms, the last after %.1f ms (%s)\n",
		"published", p.P50, p.P99, p.Last, count(p.Orders, "order"))
	if p.Missed > 0 {
		fmt.Fprintf(w, "%-12s %d times a device did not know within ten seconds\n", "missed", p.Missed)
	}
	if a := r.Attack; a != nil {
		fmt.Fprintf(w, "%-12s %s, %d committed (%.0f a second), %d told to wait; a batch took %.1f ms, 99 %% at most %.1f ms\n",
			"attack", count(a.Sent, "sighting"), a.Accepted, a.Rate, a.Refused, a.P50, a.P99)
	}
	if r.Reconnected != nil {
		phase("reconnected", *r.Reconnected)
	}
	for _, text := range slices.Sorted(maps.Keys(r.Errors)) {
		fmt.Fprintf(w, "%-12s %d × %s\n", "failed", r.Errors[text], text)
	}
	_, err := fmt.Fprintf(w, "%-12s %d\n", "left", r.Left)
	return err
}
