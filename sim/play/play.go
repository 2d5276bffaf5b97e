// Package play has the files of an invented incident (package sim/incident) written
// as if it happened now, so that real guards read it live: line by line in the
// order of time, some times as fast, each line's own time stamp moved to the
// present in the form that it has. What else happened on a device is done to files
// below a folder of its own.
//
// It promises that every line is written once and whole, whenever it is stopped,
// and that a log is rotated where the incident has it so. It writes records below
// one folder, sends nothing, and does not know what is true of the incident.
package play

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/tocsin-io/tocsin/internal/clock"
)

// Bounds of the speed.
const (
	MinSpeed = 0.1
	MaxSpeed = 100_000
)

// A Config says what to play.
type Config struct {
	From     string                           // folder that package sim/incident wrote
	To       string                           // folder to play into: empty, not there, or prepared
	Speed    float64                          // how many times as fast as it happened
	Prepare  bool                             // only make the folders and the logs of before the start
	Zone     *time.Location                   // of stamps that name none: the guards'; nil is UTC
	Clock    *clock.Clock                     // nil is the wall clock
	Start    time.Time                        // by Clock, when it begins; zero is when it is played
	Now      func() time.Time                 // nil is what Clock shows
	Progress func(phase string, done, of int) // nil is nobody
}

// A Summary is what was played.
type Summary struct {
	Folder   string    `json:"folder"`
	Devices  int       `json:"devices"`
	Start    time.Time `json:"start,omitzero"`
	End      time.Time `json:"end,omitzero"`
	Speed    float64   `json:"speed,omitempty"`
	Logs     int       `json:"logs"`
	Lines    int       `json:"lines"`   // of logs, those of before the start included
	Changes  int       `json:"changes"` // to the devices themselves
	Flows    int       `json:"flows"`
	Prepared bool      `json:"prepared,omitempty"` // and not played yet
}

// Check returns c with its zeros replaced, or what is wrong with it, all at once.
func (c Config) Check() (Config, error) {
	var errs []error
	if c.From == "" || c.To == "" {
		errs = append(errs, errors.New("name the folder of the incident and the one to play into"))
	}
	if !c.Prepare && (math.IsNaN(c.Speed) || c.Speed < MinSpeed || c.Speed > MaxSpeed) {
		errs = append(errs, fmt.Errorf("speed %g: write a number from %g to %d", c.Speed, MinSpeed, MaxSpeed))
	}
	if c.Zone == nil {
		c.Zone = time.UTC
	}
	if c.Now == nil {
		c.Now = c.Clock.Now
	}
	if c.Progress == nil {
		c.Progress = func(string, int, int) {}
	}
	return c, errors.Join(errs...)
}

// Run plays an incident to its end. If ctx ends before, what was played stays, and
// the error says how much that is. A folder that holds something else, or was
// played into before, is refused.
func Run(ctx context.Context, c Config) (Summary, error) {
	c, err := c.Check()
	if err != nil {
		return Summary{}, err
	}
	s, err := read(c.From)
	if err != nil {
		return Summary{}, err
	}
	f, err := openFolder(c.To)
	if err != nil {
		return Summary{}, err
	}
	defer f.close()
	p := &player{c: c, story: s, folder: f, buffers: make([][]byte, len(s.logs))}
	p.sum = Summary{Folder: c.To, Devices: len(s.devices), Logs: len(s.logs) - 1}
	p.begins()
	if !f.prepared {
		if err := p.prepare(); err != nil {
			return p.sum, err
		}
	}
	if p.sum.Prepared = c.Prepare; c.Prepare {
		return p.sum, nil
	}
	if err := f.begin(); err != nil {
		return p.sum, err
	}
	p.begins()
	p.sum.Start, p.sum.Speed = p.start.UTC(), c.Speed
	err = p.play(ctx)
	p.sum.End = c.Now().UTC()
	return p.sum, err
}

// begins notes when the incident begins.
func (p *player) begins() {
	if p.start = p.c.Start; p.start.IsZero() {
		p.start = p.c.Now()
	}
}

// A player is an incident on its way.
type player struct {
	c Config
	*story
	folder  *folder
	start   time.Time // now, when the incident begins
	buffers [][]byte  // by log: what is due and not written
	due     []int     // logs that have some
	sum     Summary
}

// moved returns when something happens now. What was before the start was as long
// ago as it is invented.
func (p *player) moved(at time.Time) time.Time {
	d := at.Sub(p.story.start)
	if d > 0 {
		d = time.Duration(float64(d) / p.c.Speed)
	}
	return p.start.Add(d)
}

// together is for how long what is due is gathered: one write for many lines.
const together = 20 * time.Millisecond

func (p *player) play(ctx context.Context) error {
	t := p.c.Clock.NewTimer(0)
	defer t.Stop()
	for done := 0; ; {
		select {
		case <-ctx.Done():
			return fmt.Errorf("stopped after %d of %d lines and changes, which stay in %s: %w", done, len(p.items), p.c.To, context.Cause(ctx))
		case <-t.C:
		}
		next, err := p.until(done, p.c.Now())
		if err = errors.Join(err, p.flush()); err != nil {
			return err
		}
		done = next
		p.c.Progress("playing", done, len(p.items))
		if done == len(p.items) {
			return nil
		}
		t.Reset(max(p.c.Clock.Scaled(together), p.moved(p.at(done)).Sub(p.c.Now())))
	}
}

func (p *player) at(i int) time.Time { return time.UnixMicro(p.items[i].at).UTC() }

// until does what is due, from item i on, and returns the first that is not.
func (p *player) until(i int, now time.Time) (int, error) {
	for ; i < len(p.items); i++ {
		it := &p.items[i]
		at := p.moved(p.at(i))
		if at.After(now) {
			break
		}
		switch it.act {
		case write:
			p.line(it)
		case rotate:
			if err := errors.Join(p.flush(), p.folder.rotate(p.logs[it.log].name)); err != nil {
				return i, err
			}
		case change:
			if err := p.folder.change(p.events[it.log]); err != nil {
				return i, err
			}
			p.sum.Changes++
		}
	}
	return i, nil
}

// line puts a line among those that are due.
func (p *player) line(it *item) {
	b := p.buffers[it.log]
	if len(b) == 0 {
		p.due = append(p.due, int(it.log))
	}
	if it.log == 0 {
		b = reflow(b, it.line, p.moved)
		if len(it.line) > 0 && it.line[0] != '#' {
			p.sum.Flows++
		}
	} else {
		b = p.restamped(b, it.line)
		p.sum.Lines++
	}
	p.buffers[it.log] = append(b, '\n')
}

// restamped appends a line of a log with its time moved; one that tells no time
// stays as it is.
func (p *player) restamped(out, line []byte) []byte {
	s, ok := findStamp(line, p.end)
	if !ok {
		return append(out, line...)
	}
	return restamp(out, line, s, p.moved(s.at), p.c.Zone)
}

// flush writes what is due.
func (p *player) flush() error {
	for _, i := range p.due {
		if err := p.folder.append(p.logs[i].name, p.buffers[i]); err != nil {
			return err
		}
		p.buffers[i] = p.buffers[i][:0]
	}
	p.due = p.due[:0]
	return nil
}
