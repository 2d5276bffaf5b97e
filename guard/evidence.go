package guard

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/internal/logkey"
	"github.com/tocsin-io/tocsin/internal/run"
	"github.com/tocsin-io/tocsin/sighting"
)

// A ClueSource notices things about this device besides log-ins.
type ClueSource interface {
	// Run calls emit for each thing noticed until ctx ends; an error of emit ends
	// it. The guard gives a clue its device and number, and takes names of accounts
	// out of its subject.
	Run(ctx context.Context, emit func(tocsin.Clue) error) error
}

// A ContactSource tells of the connections that this device opens.
type ContactSource interface {
	// Run calls emit for each window until ctx ends; one that grew is told again. An
	// error of emit ends it.
	Run(ctx context.Context, emit func(tocsin.Contact) error) error
}

// A Coverer knows what it read of the device's telemetry.
type Coverer interface {
	Coverage() tocsin.Coverage
}

// clues numbers clues and counts them.
type clues struct {
	mu       sync.Mutex // guards the fields below
	last     uint64     // number of the newest clue of this start
	contacts uint64
	hour     time.Time // since when lines are counted
	lines    int       // written to our log since then
}

// mostClueLines bounds the clues that an hour writes to our log.
const mostClueLines = 100

func (c *clues) counts() (clues, contacts uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.last, c.contacts
}

// mayLog reports whether one more may go to our log. The caller holds the lock.
func (c *clues) mayLog(now time.Time) bool {
	if now.Sub(c.hour).Abs() >= time.Hour {
		c.hour, c.lines = now, 0
	}
	c.lines++
	return c.lines <= mostClueLines
}

// noticing returns the parts that notice things about this device.
func (g *Guard) noticing() (parts []run.Part) {
	for i, src := range g.deps.Clues {
		name := fmt.Sprint("clues ", i+1)
		parts = append(parts, run.Part{Name: name, Run: func(ctx context.Context) error {
			return g.lasting(ctx, name, src.Run(ctx, g.noticed))
		}})
	}
	for i, src := range g.deps.Contacts {
		name := fmt.Sprint("contacts ", i+1)
		parts = append(parts, run.Part{Name: name, Run: func(ctx context.Context) error {
			return g.lasting(ctx, name, src.Run(ctx, g.contacted))
		}})
	}
	return parts
}

// lasting waits for the end of ctx: a source that fails is told and given up, and
// the guard goes on.
func (g *Guard) lasting(ctx context.Context, name string, err error) error {
	if ctx.Err() == nil && err != nil {
		g.warn(fmt.Sprintf("%s: nothing is noticed there any more: %v: mend it, then restart the guard", name, err))
	}
	<-ctx.Done()
	return ctx.Err()
}

// noticed takes a clue. What the hub hears has the order of the numbers, so both
// are one step.
func (g *Guard) noticed(c tocsin.Clue) error {
	now := g.deps.Now()
	g.clues.mu.Lock()
	defer g.clues.mu.Unlock()
	g.metrics.clues.WithLabelValues(c.Fact.String()).Inc()
	if g.clues.mayLog(now) {
		tell := g.log.Info
		if g.deps.Hub == nil { // nobody else will hear of it
			tell = g.log.Warn
		}
		tell(c.Fact.String(), "subject", c.Subject, logkey.Source, c.Source, "to", c.To, "at", c.At.Format(time.RFC3339))
	}
	g.clues.last++
	if g.deps.Hub == nil || g.deps.Hub.TellClues == nil {
		return nil
	}
	key, err := ownerKey(g.cfg.State)
	if err != nil {
		// Without the key nothing of it may leave; the rest of the clue does.
		g.log.Error("a clue is told without its subject", logkey.Err, err)
		c.Subject = ""
	} else {
		c.Subject = sighting.Subject(key, c.Fact, c.Subject)
	}
	if c.At.IsZero() || c.At.After(now) {
		c.At = now
	}
	c.Device = g.cfg.Device
	c.ID = tocsin.ID{Device: g.cfg.Device, Boot: g.boot, Counter: g.clues.last}
	g.deps.Hub.TellClues([]tocsin.Clue{c})
	return nil
}

// contacted takes a contact.
func (g *Guard) contacted(c tocsin.Contact) error {
	g.clues.mu.Lock()
	g.clues.contacts++
	g.clues.mu.Unlock()
	if g.deps.Hub != nil && g.deps.Hub.TellContacts != nil {
		c.Device = g.cfg.Device
		g.deps.Hub.TellContacts([]tocsin.Contact{c})
	}
	return nil
}

// Coverage returns what was read of this device's telemetry, one of each stream.
func (g *Guard) Coverage() []tocsin.Coverage {
	list := []tocsin.Coverage{g.read.coverage(g.deps.Now(), g.reading())}
	add := func(src any) {
		c, ok := src.(Coverer)
		if !ok {
			return
		}
		told := c.Coverage()
		told.Gaps = slices.Clone(told.Gaps)
		for i := range told.Gaps {
			told.Gaps[i].Reason = reason(string(told.Gaps[i].Reason))
		}
		known := slices.ContainsFunc(list, func(one tocsin.Coverage) bool { return one.Stream == told.Stream })
		if told.Stream != "" && !told.From.IsZero() && !told.Until.Before(told.From) && !known {
			told.Gaps = told.Gaps[max(0, len(told.Gaps)-tocsin.MaxGaps):]
			list = append(list, told)
		}
	}
	for _, src := range g.deps.Clues {
		add(src)
	}
	for _, src := range g.deps.Contacts {
		add(src)
	}
	return list
}
