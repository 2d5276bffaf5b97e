package guard

import (
	"context"
	"maps"
	"net/netip"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/blocklist"
	"github.com/tocsin-io/tocsin/internal/logkey"
	"github.com/tocsin-io/tocsin/watch"
)

const (
	// saveEvery is how long a change may wait for the next snapshot: decisions
	// are written down at once, and lines are read again after a crash.
	saveEvery = 5 * time.Minute
	// mendAgain is how long to wait after the filter could not be mended.
	mendAgain = 5 * time.Second
	// tooOld is how old a line read back may be and still lead to a block: what
	// was written while the guard was restarted is an attack that goes on.
	tooOld = 2 * time.Minute
)

// loop owns everything remembered. It wakes up for lines, orders, samples and
// deadlines, and for nothing else.
func (g *Guard) loop(ctx context.Context) error {
	if g.deps.Ready != nil {
		g.deps.Ready()
	}
	timer := g.deps.Clock.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		timer.Reset(g.untilNext())
		select {
		case <-ctx.Done():
			return ctx.Err()
		case s := <-g.seen:
			g.tick(ctx)
			for _, s := range g.burst(s) {
				g.observe(ctx, s)
			}
		case d := <-g.drops:
			g.watch.Dropped(d.Source, d.Count, d.At)
			g.metrics.dropped.Add(float64(d.Count))
		case order := <-g.orders:
			g.tick(ctx)
			order(ctx)
		case <-g.drifted:
			g.drifts++
			g.metrics.drifts.Inc()
			g.log.Warn("somebody else changed the firewall: mending it")
			g.mend(ctx)
		case r := <-g.reload:
			g.take(ctx, r)
		case <-timer.C:
			g.tick(ctx)
		}
	}
}

// untilNext returns how long the loop may sleep: never less than a second but
// for a mend that is due, so that nothing wakes the processor in vain.
func (g *Guard) untilNext() time.Duration {
	now := g.deps.Now()
	next := now.Add(time.Hour)
	sooner := func(t time.Time) {
		if t.Before(next) {
			next = t
		}
	}
	if t, ok := g.list.Next(); ok {
		sooner(t)
	}
	if t, ok := g.book.Due(); ok {
		sooner(t)
	}
	if g.dirty {
		sooner(g.saveAt)
	}
	if !g.mendAt.IsZero() {
		sooner(g.mendAt)
	}
	return max(next.Sub(now), time.Second)
}

// tick does what is due.
func (g *Guard) tick(ctx context.Context) {
	now, jumped := g.clock.read()
	if jumped != 0 {
		g.log.Warn("the clock was set: moving every deadline with it", "by", jumped)
		g.watch.Shift(jumped)
		g.read.shift(jumped)
		if jumped < 0 {
			g.book.Told(nil) // what comes now would seem to be of then
		}
		g.touch(now)
		g.save() // what is on the disk ends by the old clock
		g.mend(ctx)
	}
	g.list.Expire(now)
	if t, ok := g.book.Due(); ok && !t.After(now) {
		g.keep(g.book.Take(now))
	}
	if g.dirty && !g.saveAt.After(now) {
		g.saveLists(now, true)
		g.save()
	}
	if !g.mendAt.IsZero() && !g.mendAt.After(now) {
		g.mend(ctx)
	}
	g.metrics.gauges(g.list, g.detector)
}

// touch notes that the snapshot lacks something.
func (g *Guard) touch(now time.Time) {
	if !g.dirty {
		// A large memory is written less often: 10 s more for each MiB.
		wait := saveEvery + time.Duration(g.detector.Bytes()>>20)*10*time.Second
		g.dirty, g.saveAt = true, now.Add(wait)
	}
}

// mostBurst is how many attempts are taken together: orders and samples wait no
// longer than these take.
const mostBurst = 64

// burst returns s and what waits behind it. During an attack by many sources the
// processor fetches what is remembered of them all at once.
func (g *Guard) burst(s seen) []seen {
	g.waiting = append(g.waiting[:0], s)
	for len(g.waiting) < mostBurst {
		select {
		case s := <-g.seen:
			g.waiting = append(g.waiting, s)
			continue
		default:
		}
		break
	}
	if len(g.waiting) > 1 {
		g.warming = g.warming[:0]
		for _, s := range g.waiting {
			g.warming = append(g.warming, s.attempt)
		}
		g.watch.Warm(g.warming)
	}
	return g.waiting
}

// observe takes what a line told.
func (g *Guard) observe(ctx context.Context, s seen) {
	a := s.attempt
	a.Device = g.cfg.Device
	now := g.clock.last
	old := s.old && now.Sub(a.At) > tooOld
	if a.At.After(now) {
		a.At = now
	}
	for range s.times {
		e := g.watch.Observe(a, old)
		g.metrics.attempt(e)
		g.tellAttempt(e, old)
		g.tellFacts(e)
		if e.Decided {
			g.enforce(ctx, e, s.read)
		}
	}
	if due, ok := g.book.Due(); ok && !due.After(now) {
		g.keep(g.book.Take(now)) // a fact is not kept waiting
	}
	g.touch(now)
	if s.stream != nil {
		s.stream.digested(s.mark)
	}
}

// enforce writes a decision down, carries it to the filter and proves it there.
// Writing comes first, and does not wait for the disk: killed in between, the
// next guard enforces what this one did not, and never lifts what this one did.
func (g *Guard) enforce(ctx context.Context, e watch.Event, read time.Time) {
	d := e.Decision
	if e.Verdict != blocklist.Enforced {
		g.log.Warn("not blocked", logkey.Prefix, d.Prefix, logkey.Reason, d.Reason, "because", e.Verdict.String())
		return
	}
	g.write(record{Kind: decide, Decision: d}, false)
	g.decisions++
	if err := g.apply(ctx, e.Change); err != nil {
		return // told; tried again until it is in force
	}
	took := g.deps.Now().Sub(read)
	word := "blocked"
	if g.cfg.DryRun {
		word = "would block"
	}
	g.log.Info(word, logkey.Prefix, d.Prefix, logkey.Until, d.Until.Format(time.RFC3339), logkey.Reason, d.Reason, logkey.Took, took)
	g.metrics.decision(d, took)
}

// apply makes the filter enforce c. If it cannot, or if the kernel does not hold
// what it took, everything is put there anew. An error says that c is not in force
// yet: the loop goes on trying.
func (g *Guard) apply(ctx context.Context, c tocsin.Change) error {
	if c.Empty() {
		return nil
	}
	if err := g.deps.Filter.Change(ctx, c); err != nil {
		g.log.Error("firewall not changed: trying again as a whole", logkey.Err, err)
		return g.mend(ctx)
	}
	for _, r := range c.Add {
		held, err := g.deps.Filter.Holds(ctx, r.Prefix)
		if err != nil || !held {
			g.log.Error("the kernel does not hold a rule that it took: putting all there anew", logkey.Prefix, r.Prefix, logkey.Err, err)
			return g.mend(ctx)
		}
	}
	return nil
}

// mend puts all rules into the filter anew.
func (g *Guard) mend(ctx context.Context) error {
	start := g.deps.Now()
	err := g.deps.Filter.Replace(ctx, g.list.Rules(start))
	if err != nil {
		g.mendAt = start.Add(mendAgain)
		g.log.Error("firewall not mended: trying again in "+mendAgain.String(), logkey.Err, err)
		return err
	}
	g.mendAt = time.Time{}
	blocks, passes := g.list.Len()
	g.log.Info("firewall mended", logkey.Rules, blocks+passes, logkey.Took, g.deps.Now().Sub(start))
	return nil
}

// write appends to the decisions log. A full disk is told; the guard goes on,
// and the next snapshot holds what the log lacks.
func (g *Guard) write(r record, sync bool) error {
	err := g.state.append(r, sync)
	if err != nil {
		g.log.Error("decision not written down: it is in force, but a restart forgets it", logkey.Path, g.cfg.State, logkey.Err, err)
		if soon := g.clock.last.Add(time.Minute); !g.dirty || soon.Before(g.saveAt) {
			g.dirty, g.saveAt = true, soon // not put off by each further one
		}
	}
	return err
}

// tellAttempt logs one attempt, for whoever wants to see them all.
func (g *Guard) tellAttempt(e watch.Event, old bool) {
	a := e.Attempt
	if old {
		return
	}
	g.log.Debug(a.Outcome.String(), logkey.Service, a.Service, logkey.Source, a.Source.Addr(),
		logkey.Account, a.Account, "provenance", a.Provenance.String())
}

// tellFacts logs what is worth a person's attention.
func (g *Guard) tellFacts(e watch.Event) {
	a := e.Attempt
	for _, f := range []tocsin.Fact{tocsin.SuccessAfterFailures, tocsin.SuccessFromBlocked, tocsin.Spray, tocsin.InstantAccount} {
		if !e.Facts.Has(f) {
			continue
		}
		g.metrics.facts.WithLabelValues(f.String()).Inc()
		// Each failure on such an account is that fact: one line for a decision
		// is enough, and who cannot be blocked does not fill our log.
		if (f != tocsin.InstantAccount || e.Decided) && g.worthTelling(f, a) {
			g.log.Warn(f.String(), logkey.Service, a.Service, logkey.Source, a.Source.Addr(), logkey.Account, a.Account, "at", a.At.Format(time.RFC3339))
		}
	}
	if e.Facts.Has(tocsin.AddressMissing) {
		g.warn(missingText(a))
		g.metrics.facts.WithLabelValues(tocsin.AddressMissing.String()).Inc()
	}
}

// A telling is a fact about a source.
type telling struct {
	fact   tocsin.Fact
	source netip.Prefix
}

// Bounds of what facts may write to our log: whoever has one valid account makes
// a fact with each log-in.
const (
	tellAgain = time.Hour
	maxTold   = 1000
)

// worthTelling reports whether a fact goes to the log: once an hour of each
// source, and at most maxTold of them. Sightings and metrics have them all.
func (g *Guard) worthTelling(f tocsin.Fact, a tocsin.Attempt) bool {
	now := g.clock.last
	t := telling{f, tocsin.SourcePrefix(a.Source.Addr())}
	if last, ok := g.told[t]; ok && now.Sub(last).Abs() < tellAgain {
		return false
	}
	if len(g.told) >= maxTold {
		maps.DeleteFunc(g.told, func(_ telling, last time.Time) bool { return now.Sub(last).Abs() >= tellAgain })
	}
	if len(g.told) >= maxTold {
		return false
	}
	g.told[t] = now
	return true
}
