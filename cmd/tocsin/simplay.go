//go:build !small

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/spf13/cobra"

	"github.com/tocsin-io/tocsin/sim/play"
)

// playFlags are those of tocsin sim play.
type playFlags struct {
	dir     string
	out     string
	speed   float64
	prepare bool
	json    bool
}

func simPlayCommand() *cobra.Command {
	var f playFlags
	cmd := &cobra.Command{
		Use:   "play --dir DIR --out LIVE [flags]",
		Short: "Write the logs of an invented incident as if it happened now",
		Long: "Sim play writes the logs of an incident that sim incident made, line by line in the order of\n" +
			"time, each with its time moved to the present: guards that read LIVE/NAME/*.log take them for\n" +
			"live. Connections go to LIVE/conn.log, and what else happens on a device is done to the files\n" +
			"below LIVE/NAME/root, where nothing is ever run. It sends nothing to anybody.",
		Example: "  tocsin sim play --dir incident --out live --prepare   # make the folders, then start guards\n" +
			"  tocsin sim play --dir incident --out live --speed 200\n" +
			"  tocsin sim play --dir incident --out live --json",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd) },
	}
	cmd.Flags().StringVar(&f.dir, "dir", "", "folder that tocsin sim incident wrote")
	cmd.Flags().StringVar(&f.out, "out", "", "folder to play into: empty, or prepared; made if need be")
	cmd.Flags().Float64Var(&f.speed, "speed", 60, "how many times as fast as it happened")
	cmd.Flags().BoolVar(&f.prepare, "prepare", false, "only make the folders, and the logs of before the start")
	cmd.Flags().BoolVar(&f.json, "json", false, "print JSON")
	return cmd
}

func (f *playFlags) run(cmd *cobra.Command) error {
	switch {
	case f.dir == "":
		return mistake("write the folder of the incident: --dir DIR")
	case f.out == "":
		return mistake("write the folder to play into: --out LIVE")
	case math.IsNaN(f.speed) || f.speed < play.MinSpeed || f.speed > play.MaxSpeed:
		return mistake("--speed %g: write a number from %g to %d", f.speed, play.MinSpeed, play.MaxSpeed)
	}
	bar := &simBar{w: cmd.ErrOrStderr()}
	s, err := play.Run(cmd.Context(), play.Config{
		From: f.dir, To: f.out, Speed: f.speed, Prepare: f.prepare, Zone: time.Local, Now: time.Now, Progress: bar.show,
	})
	bar.finish()
	if err != nil {
		return err
	}
	if f.json {
		return json.NewEncoder(cmd.OutOrStdout()).Encode(s)
	}
	return showPlayed(cmd.OutOrStdout(), s)
}

func showPlayed(w io.Writer, s play.Summary) error {
	what := "played"
	if s.Prepared {
		what = "prepared"
	}
	fmt.Fprintf(w, "%s into %s: %s in %s of %s.\n", what, clean(s.Folder), count(s.Lines, "line"), count(s.Logs, "log"), count(s.Devices, "device"))
	if s.Prepared {
		_, err := fmt.Fprintln(w, "Start the guards, then play: the same command without --prepare.")
		return err
	}
	_, err := fmt.Fprintf(w, "%s to devices, %s; %s at %g times the speed.\n", count(s.Changes, "change"), count(s.Flows, "connection"),
		s.End.Sub(s.Start).Round(time.Second), s.Speed)
	return err
}
