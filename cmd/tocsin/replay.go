package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/tocsin-io/tocsin/config"
	"github.com/tocsin-io/tocsin/detect"
	"github.com/tocsin-io/tocsin/fleet"
	"github.com/tocsin-io/tocsin/logsource/file"
	"github.com/tocsin-io/tocsin/replay"
)

// replayFlags are those of tocsin replay.
type replayFlags struct {
	devices int
	policy  string
	json    bool
}

func replayCommand() *cobra.Command {
	var f replayFlags
	cmd := &cobra.Command{
		Use:   "replay [flags] TRACE.jsonl",
		Short: "Play old attempts to a fleet and see what would have been stopped",
		Long: "Replay plays a trace of attempts to log in to the detection of devices and hub, in virtual time,\n" +
			"and tells what would have been stopped and who would have been blocked wrongly. The trace (- is\n" +
			"standard input; .gz, .xz and .zst are unpacked) holds one attempt a line as JSON, with the names\n" +
			"that tocsin scan prints; \"device\", \"owner\" and \"label\":\"benign\" may be added. Attempts without\n" +
			"a device are dealt to virtual ones.",
		Example: "  tocsin scan /var/log/auth.log | tocsin replay -\n  tocsin replay --devices 50 --policy hub.toml trace.jsonl.gz",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return mistake("name one trace, or - for standard input")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd, args[0]) },
	}
	cmd.Flags().IntVar(&f.devices, "devices", 10, "virtual devices that attempts without a device are dealt to")
	cmd.Flags().StringVar(&f.policy, "policy", "", "file of the hub's configuration: its [policy] and [never_block] hold")
	cmd.Flags().BoolVar(&f.json, "json", false, "print the summary as JSON")
	return cmd
}

func (f *replayFlags) run(cmd *cobra.Command, name string) error {
	if f.devices < 1 || f.devices > replay.MaxDevices {
		return mistake("--devices %d: write a number from 1 to %d", f.devices, replay.MaxDevices)
	}
	hub, err := hubPolicy(f.policy)
	if err != nil {
		return err
	}
	debug.SetGCPercent(gcPercent)
	// A pipe that says nothing is waited for without a look at the context. There
	// is nothing to put in order: a signal may end a replay at once.
	signal.Reset(os.Interrupt, syscall.SIGTERM)
	trace, err := openTrace(name, cmd.InOrStdin())
	if err != nil {
		return err
	}
	defer trace.Close()
	bar := newProgress(cmd.ErrOrStderr(), []string{name})
	sum, err := replay.Run(replay.Config{
		Devices: f.devices, Detect: detect.Default(), Fleet: fleet.Config{Quorum: hub.Policy, Allow: hub.Allow},
	}, io.TeeReader(trace, barWriter{bar}))
	bar.Finish()
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if f.json {
		return json.NewEncoder(cmd.OutOrStdout()).Encode(sum)
	}
	return showReplay(cmd.OutOrStdout(), sum)
}

// hubPolicy reads the hub's configuration; no name is the default.
func hubPolicy(name string) (config.Hub, error) {
	if name == "" {
		return config.DefaultHub(), nil
	}
	const most = 1<<20 + 1 // one more than ParseHub takes
	r, err := os.Open(name)
	if err != nil {
		return config.Hub{}, fmt.Errorf("--policy: %w", err)
	}
	defer r.Close()
	b, err := io.ReadAll(io.LimitReader(r, most))
	if err != nil {
		return config.Hub{}, fmt.Errorf("--policy: %w", err)
	}
	hub, err := config.ParseHub(b)
	if err != nil {
		return config.Hub{}, fmt.Errorf("--policy %s: %w", name, err)
	}
	return hub, nil
}

func openTrace(name string, stdin io.Reader) (io.ReadCloser, error) {
	if name == "-" && stdin != os.Stdin {
		return io.NopCloser(stdin), nil
	}
	return file.Open(name)
}

// barWriter moves a bar by what is written to it.
type barWriter struct{ *progress }

func (w barWriter) Write(b []byte) (int, error) {
	w.Add(len(b))
	return len(b), nil
}

func showReplay(w io.Writer, s replay.Summary) error {
	fmt.Fprintf(w, "%s from %s on %s of %s", count(s.Attempts, "attempt"), count(s.Sources, "source"),
		count(s.Devices, "device"), count(s.Owners, "owner"))
	if s.Attempts > 0 {
		const day = "2006-01-02 15:04:05"
		fmt.Fprintf(w, ", %s to %s UTC", s.First.Format(day), s.Last.Format(day))
	}
	fmt.Fprint(w, "\n\n")
	percent := func(share float64) string { return fmt.Sprintf("%.1f %%", 100*share) }
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tab, "RULE\tATTEMPTS STOPPED\tOF THE CEILING")
	for _, r := range []struct {
		name  string
		share float64
	}{
		{"this policy", s.StoppedShare},
		{"2 attempts in 7 days, for ever", s.Permanent},
		{"1 attempt, for ever (the ceiling)", s.Ceiling},
	} {
		of := "-"
		if s.Ceiling > 0 {
			of = percent(r.share / s.Ceiling)
		}
		fmt.Fprintf(tab, "%s\t%s\t%s\n", r.name, percent(r.share), of)
	}
	if err := tab.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(w, "\n%s blocked.\n", count(s.Blocked, "source"))
	if s.Benign > 0 {
		fmt.Fprintf(w, "%s that people who belong there came from: %d blocked wrongly; %d of %s stopped.\n",
			count(s.BenignSources, "source"), s.BenignBlocked, s.BenignStopped, count(s.Benign, "attempt"))
	}
	_, err := fmt.Fprintf(w, "Rules in force at the end: sha256 %s\n", s.RulesetSHA256)
	return err
}
