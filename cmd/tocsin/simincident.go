//go:build !small

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/spf13/cobra"

	"github.com/tocsin-io/tocsin/sim/incident"
)

// incidentFlags are those of tocsin sim incident.
type incidentFlags struct {
	out       string
	seed      uint64
	devices   int
	hours     float64
	start     string
	jsonFlows bool
	force     bool
	json      bool
}

func simIncidentCommand() *cobra.Command {
	var f incidentFlags
	cmd := &cobra.Command{
		Use:   "incident --out DIR [flags]",
		Short: "Write the files of an invented incident",
		Long: "Sim incident writes what an attack such as that of 14 October 2023 leaves behind: logs of each\n" +
			"device, the connections they opened, an inventory, tables of networks, and what is true of it all.\n" +
			"The same seed and flags give the same files. All addresses are of the ranges kept for\n" +
			"documentation and benchmarks, and nothing is sent to anybody.",
		Example: "  tocsin sim incident --out incident --seed 7\n" +
			"  tocsin sim incident --out large --seed 7 --devices 1000 --hours 6 --json\n" +
			"  tocsin sim incident --out today --seed 7 --start 2026-11-27T06:00:00Z",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd) },
	}
	cmd.Flags().StringVar(&f.out, "out", "", "folder to write to; made if need be")
	cmd.Flags().Uint64Var(&f.seed, "seed", 1, "number that decides everything left to chance")
	cmd.Flags().IntVar(&f.devices, "devices", incident.DefaultDevices, "devices to invent")
	cmd.Flags().Float64Var(&f.hours, "hours", incident.DefaultSpan.Hours(), "how long it lasts")
	cmd.Flags().StringVar(&f.start, "start", incident.Start.Format(time.RFC3339), "when it begins; the loud campaign comes 42 minutes later")
	cmd.Flags().BoolVar(&f.jsonFlows, "json-flows", false, "write the connections as JSON, too")
	cmd.Flags().BoolVar(&f.force, "force", false, "replace an earlier incident, or write beside other files")
	cmd.Flags().BoolVar(&f.json, "json", false, "print JSON")
	return cmd
}

func (f *incidentFlags) config() (incident.Config, error) {
	low, high := incident.MinSpan.Hours(), incident.MaxSpan.Hours()
	start, err := time.Parse(time.RFC3339, f.start)
	switch {
	case f.out == "":
		return incident.Config{}, mistake("write the folder to make: --out DIR")
	case f.devices < 1 || f.devices > incident.MaxDevices:
		return incident.Config{}, mistake("--devices %d: write a number from 1 to %d", f.devices, incident.MaxDevices)
	case math.IsNaN(f.hours) || f.hours < low || f.hours > high:
		return incident.Config{}, mistake("--hours %g: write a number from %g to %g", f.hours, low, high)
	case err != nil:
		return incident.Config{}, mistake("--start %q: write a time such as 2023-10-14T18:00:00Z", f.start)
	}
	c := incident.Config{
		Seed: f.seed, Devices: f.devices, Span: time.Duration(f.hours * float64(time.Hour)), Start: start,
		JSONFlows: f.jsonFlows, Force: f.force,
	}
	if c, err = c.Check(); err != nil {
		return c, usageError{err}
	}
	return c, nil
}

func (f *incidentFlags) run(cmd *cobra.Command) error {
	c, err := f.config()
	if err != nil {
		return err
	}
	bar := &simBar{w: cmd.ErrOrStderr()}
	c.Progress = bar.show
	s, err := incident.Write(cmd.Context(), f.out, c)
	bar.finish()
	if err != nil {
		return err
	}
	if f.json {
		return json.NewEncoder(cmd.OutOrStdout()).Encode(s)
	}
	return showIncident(cmd.OutOrStdout(), s)
}

func showIncident(w io.Writer, s incident.Summary) error {
	fmt.Fprintf(w, "%s holds an invented incident: %s, %d KiB.\n", clean(s.Folder), count(s.Files, "file"), (s.Bytes+1023)>>10)
	fmt.Fprintf(w, "%s of %s, %s to %s; %d compromised, %d with telemetry removed.\n", count(s.Devices, "device"), count(s.Owners, "owner"),
		s.Start.Format(time.RFC3339), s.End.Format(time.RFC3339), s.Compromised, s.Removed)
	_, err := fmt.Fprintf(w, "%s from %s; %s opened by the devices. README.md in it says what is what.\n",
		count(s.Attempts, "attempt"), count(s.Sources, "source"), count(s.Flows, "connection"))
	return err
}
