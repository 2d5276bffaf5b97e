package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/tocsin-io/tocsin/sim"
)

const (
	consoles       = 50
	consoleDevices = 64
	consoleRate    = 5000 // sightings a second, offered
	consoleAttack  = 8 * time.Second
	consoleRounds  = 3
)

// crowded measures ingest without and with open consoles, which watch what happens
// and ask for the overview once a second, on the same processors as hub and
// devices.
func (h *consoleHub) crowded(ctx context.Context, s *section) error {
	flat, err := h.fleet(ctx, flatOut)
	if err != nil {
		return err
	}
	defer flat.Close()
	var alone, watched []ingested
	for range consoleRounds { // in turn, so that what else the machine does hits both
		a, _, err := h.attack(ctx, flat, 0)
		if err != nil {
			return err
		}
		w, _, err := h.attack(ctx, flat, consoles)
		if err != nil {
			return err
		}
		alone, watched = append(alone, a), append(watched, w)
	}
	steady, err := h.fleet(ctx, consoleRate)
	if err != nil {
		return err
	}
	defer steady.Close()
	calm, _, err := h.attack(ctx, steady, 0)
	if err != nil {
		return err
	}
	live, seen, err := h.attack(ctx, steady, consoles)
	if err != nil {
		return err
	}
	a, w := fastest(alone), fastest(watched)
	loss := 1 - w.rate/a.rate
	s.rows = append(s.rows,
		row{figure: fmt.Sprintf("… %d consoles open, %d sightings a second offered: ingested", consoles, consoleRate), must: "≥ 0.9 × of none open",
			measured: fmt.Sprintf("%.0f a second (none open %.0f); the hub's processor time %.2f of a core (none open %.2f)", live.rate, calm.rate, live.cores, calm.cores),
			verdict:  judge(live.rate >= 0.9*calm.rate)},
		row{figure: "… all devices as fast as they can: ingested", must: "≥ 0.9 × of none open",
			measured: fmt.Sprintf("%.3f × (%.0f a second; none open %.0f); devices, hub and consoles on the same processors", 1-loss, w.rate, a.rate), verdict: judge(loss <= 0.1)},
		row{figure: "… age of what a console is told, at the console", must: "≤ 1 s",
			measured: fmt.Sprintf("rules %v; the counts %v", seen.rules, seen.now), verdict: judge(len(seen.rules) > 0 && seen.rules.at(0.99) <= time.Second)},
		row{figure: "… the overview asked again once a second", must: "≤ 300 ms p95", measured: seen.overview.String() + ", p95 " + ms(seen.overview.at(0.95)),
			verdict: judge(seen.overview.at(0.95) <= mostPage)},
	)
	return nil
}

func (h *consoleHub) fleet(ctx context.Context, rate float64) (*sim.Fleet, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	f, err := sim.Start(ctx, sim.Config{
		Admin: h.admin, Devices: consoleDevices, Attack: rate, For: consoleAttack, Share: []string{self, shareArgument}, Apart: true,
	})
	if err != nil {
		return nil, err
	}
	if err := errors.Join(f.Enrol(ctx), f.Connect(ctx)); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// An ingested is what a hub took.
type ingested struct {
	rate  float64 // sightings a second
	cores float64 // processors that the hub used
}

func fastest(list []ingested) ingested {
	return slices.MaxFunc(list, func(a, b ingested) int { return int(a.rate - b.rate) })
}

// attack has devices report while so many consoles are open.
func (h *consoleHub) attack(ctx context.Context, f *sim.Fleet, open int) (r ingested, v view, err error) {
	w := h.watch(ctx, open)
	before, begun := h.spent(), time.Now()
	err = f.Watch(ctx)
	r.cores = (h.spent() - before).Seconds() / time.Since(begun).Seconds()
	v, seen := w.close()
	if err := errors.Join(err, seen); err != nil {
		return r, v, err
	}
	r.rate = f.Result().Attack.Rate
	return r, v, nil
}

// spent is the hub's processor time.
func (h *consoleHub) spent() time.Duration {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", h.cmd.Process.Pid))
	_, after, ok := bytes.Cut(b, []byte(") ")) // its name may hold blanks
	words := strings.Fields(string(after))
	if err != nil || !ok || len(words) < 13 {
		return 0
	}
	var ticks int64
	for _, word := range words[11:13] { // utime and stime
		n, err := strconv.ParseInt(word, 10, 64)
		if err != nil {
			return 0
		}
		ticks += n
	}
	return time.Duration(ticks) * time.Second / 100 // USER_HZ
}

// A view is what open consoles saw.
type view struct{ rules, now, overview latencies }

// A watching is consoles that are open.
type watching struct {
	stop context.CancelFunc
	wg   sync.WaitGroup

	mu   sync.Mutex // guards the fields below
	view view
	err  error
}

func (h *consoleHub) watch(ctx context.Context, n int) *watching {
	w := &watching{}
	ctx, w.stop = context.WithCancel(ctx)
	for i := range n {
		w.wg.Go(func() { w.note(ctx, h.stream(ctx, w)) })
		w.wg.Go(func() {
			wait(ctx, time.Duration(i)*time.Second/time.Duration(n))
			for ctx.Err() == nil {
				start := time.Now()
				if err := h.glance(ctx); err != nil {
					w.note(ctx, err)
					return
				}
				w.add(&w.view.overview, time.Since(start))
				wait(ctx, time.Second-time.Since(start))
			}
		})
	}
	return w
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

func (w *watching) note(ctx context.Context, err error) {
	if ctx.Err() == nil && err != nil {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.err = err
	}
}

func (w *watching) add(to *latencies, d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	*to = append(*to, d)
}

func (w *watching) close() (view, error) {
	w.stop()
	w.wg.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.view, w.err
}

func (h *consoleHub) glance(ctx context.Context) error {
	resp, err := h.ask(ctx, "/v1/overview?span=1h")
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return errors.Join(err, resp.Body.Close())
}

// stream reads what is told live, and notes how old it is.
func (h *consoleHub) stream(ctx context.Context, w *watching) error {
	resp, err := h.ask(ctx, "/v1/live")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 1<<20)
	var kind string
	for lines.Scan() {
		key, value, _ := bytes.Cut(lines.Bytes(), []byte(": "))
		switch string(key) {
		case "event":
			kind = string(value)
		case "data":
			if kind != "now" && kind != "rule" {
				continue
			}
			var v struct{ At time.Time }
			if err := json.Unmarshal(value, &v); err != nil {
				return fmt.Errorf("live: %s: %w", kind, err)
			}
			to := &w.view.now
			if kind == "rule" {
				to = &w.view.rules
			}
			w.add(to, time.Since(v.At))
		}
	}
	return errors.Join(lines.Err(), errors.New("the stream ended"))
}
