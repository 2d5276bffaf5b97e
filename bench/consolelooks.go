package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"time"
)

// paintScript opens the console in a browser.
const paintScript = "web/test/paint.mjs"

// mostScript is how much JavaScript the entry page may load, in bytes, compressed.
const mostScript = 120_000

// firstLink is what a hub prints that nobody has an account at.
var firstLink = regexp.MustCompile(`https?://\S+/console/welcome#\S+`)

// looks measures what a browser fetches before it shows the overview, and how soon it
// shows anything.
func (h *consoleHub) looks(ctx context.Context, s *section) error {
	log, err := os.ReadFile(filepath.Join(h.dir, "hub.log"))
	if err != nil {
		return err
	}
	link := firstLink.Find(log)
	if link == nil {
		return errors.New("first render: the hub printed no link for the first account")
	}
	for _, program := range []string{"node", "chromium"} {
		if _, err := exec.LookPath(program); err != nil {
			return fmt.Errorf("first render: %w", err)
		}
	}
	var errs bytes.Buffer
	cmd := exec.CommandContext(ctx, "node", paintScript, string(link))
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("first render: %w: %s", err, errs.Bytes())
	}
	var seen struct {
		Paints         []float64 // milliseconds
		Scripts, Entry int       // bytes
	}
	if err := json.Unmarshal(out, &seen); err != nil || len(seen.Paints) == 0 {
		return errors.Join(err, errors.New("first render: the browser measured nothing"))
	}
	var took latencies
	for _, p := range seen.Paints {
		took = append(took, time.Duration(p*float64(time.Millisecond)))
	}
	s.rows = append(s.rows,
		row{figure: "… JavaScript that the overview loads with nothing kept, compressed", must: "≤ 120 KB",
			measured: fmt.Sprintf("%d bytes (the entry alone %d)", seen.Scripts, seen.Entry), verdict: judge(seen.Scripts <= mostScript)},
		row{figure: "… first render of the overview in headless Chromium, nothing kept", must: "≤ 1 s",
			measured: fmt.Sprintf("median %s, slowest %s of %d", ms(took.at(0.5)), ms(slices.Max(took)), len(took)), verdict: judge(took.at(0.5) <= time.Second)})
	return nil
}
