package guard

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/authlog"
	"github.com/tocsin-io/tocsin/internal/clock"
	"github.com/tocsin-io/tocsin/internal/logkey"
	"github.com/tocsin-io/tocsin/internal/run"
	"github.com/tocsin-io/tocsin/logsource"
)

// seen is what one line told, on its way to the loop.
type seen struct {
	attempt tocsin.Attempt
	times   int
	old     bool
	read    time.Time // when the line was read
	stream  *stream
	mark    logsource.Mark
}

// parsers read the lines of one input, or of all inputs of one service: its
// access log and its error log tell the same attempt. Lines read back have a
// parser of their own, since they come between live ones.
type parsers struct {
	guard *Guard

	mu    sync.Mutex // guards the fields below
	live  *authlog.Parser
	back  *authlog.Parser
	timer *clock.Timer      // for attempts whose own line never comes
	trust tocsin.Provenance // of the newest line
	zone  time.Duration     // by which stamps are off, other than 0
	since time.Time         // when they were first so, without another zone in between
}

// A stream reads one input and hands attempts to the loop.
type stream struct {
	guard   *Guard
	input   Input
	parsers *parsers

	mu       sync.Mutex // guards the fields below
	marks    map[uint64]logsource.Mark
	inFlight map[uint64]int            // attempts on their way to the loop, by stream of marks
	ahead    map[uint64]logsource.Mark // read meanwhile without an attempt
	lines    uint64
	attempts uint64
	last     time.Time
	failed   time.Time // when it was given up; zero is not
	late     bool      // a line written just now told of another time, and that was told
}

// newStreams opens inputs, which resume at their marks.
func (g *Guard) newStreams(inputs []Input, marks map[string][]logsource.Mark) []*stream {
	shared := make(map[tocsin.Service]*parsers)
	streams := make([]*stream, 0, len(inputs))
	for _, in := range inputs {
		p := shared[in.Service]
		if p == nil || in.Service == "" {
			p = &parsers{guard: g, live: g.parser(in), back: g.parser(in)}
			shared[in.Service] = p
		}
		s := &stream{
			guard: g, input: in, parsers: p, marks: make(map[uint64]logsource.Mark),
			inFlight: make(map[uint64]int), ahead: make(map[uint64]logsource.Mark),
		}
		for _, m := range marks[in.Name] {
			s.marks[m.Stream()] = m
		}
		streams = append(streams, s)
	}
	return streams
}

func (g *Guard) parser(in Input) *authlog.Parser {
	p := g.deps.Matcher.Parser(g.deps.Zone)
	if in.Service != "" {
		if err := p.Only(in.Service); err != nil {
			g.warn(fmt.Sprintf("%s: %v", in.Name, err))
		}
	}
	return p
}

// readers runs the sources, and starts them anew when the configuration names
// others.
func (g *Guard) readers(ctx context.Context) error {
	for {
		var parts []run.Part
		for _, s := range g.reading() {
			parts = append(parts, run.Part{Name: "log " + s.input.Name, Run: s.run})
		}
		inner, stop := context.WithCancel(ctx)
		var next []Input
		parts = append(parts, run.Part{Name: "reload", Run: func(ctx context.Context) error {
			select {
			case <-ctx.Done():
			case next = <-g.restart:
			}
			return ctx.Err()
		}})
		err := run.All(inner, g.log, parts...)
		stop()
		if err != nil || ctx.Err() != nil || next == nil {
			return err
		}
		if err := g.replaceStreams(ctx, next); err != nil {
			return err
		}
	}
}

// run reads until ctx ends. A source that fails is told and given up: the others
// go on guarding.
func (s *stream) run(ctx context.Context) error {
	src, err := s.input.Open(s.kept())
	if err == nil {
		s.guard.log.Info("reading", logkey.Log, s.input.Name, "trust", s.input.Trust)
		err = src.Run(ctx, func(l logsource.Line) error { return s.line(ctx, l) })
	}
	s.parsers.stop()
	if ctx.Err() == nil && err != nil {
		s.mu.Lock()
		s.failed = s.guard.deps.Now()
		s.mu.Unlock()
		s.guard.warn(fmt.Sprintf("%s is not read any more: %v: mend it, then restart the guard", s.input.Name, err))
	}
	<-ctx.Done()
	return ctx.Err()
}

// kept returns the marks to resume from.
func (s *stream) kept() []logsource.Mark {
	s.mu.Lock()
	defer s.mu.Unlock()
	marks := make([]logsource.Mark, 0, len(s.marks))
	for _, m := range s.marks {
		marks = append(marks, m)
	}
	return marks
}

// line parses l and sends what it tells.
func (s *stream) line(ctx context.Context, l logsource.Line) error {
	if l.Missing != "" {
		s.guard.read.missing(s.guard.deps.Now(), s.input.Name, l.Missing)
		return nil
	}
	a, n, old := s.parsers.parse(ctx, l)
	s.mu.Lock()
	if len(l.Text) > 0 {
		s.lines++
	}
	if n == 0 {
		s.pass(l.Mark)
		s.mu.Unlock()
		return nil
	}
	s.attempts += uint64(n)
	s.last = l.Received
	s.inFlight[l.Mark.Stream()]++
	_, zoned := offset(a.At, l.Received)
	late := l.Live && old && !zoned && !s.late
	s.late = s.late || late
	s.mu.Unlock()
	if late {
		s.guard.warn(fmt.Sprintf("%s: a line written at %s tells of %s: such lines are remembered and block nobody; if they are not old, set the clock of what writes them",
			s.input.Name, l.Received.Format(time.RFC3339), a.At.Format(time.RFC3339)))
	}
	return s.guard.send(ctx, seen{attempt: a, times: n, old: old, read: l.Received, stream: s, mark: l.Mark})
}

// parse reads one line. Old says that it tells of the past.
func (ps *parsers) parse(ctx context.Context, l logsource.Line) (a tocsin.Attempt, n int, old bool) {
	if len(l.Text) == 0 || l.Cut {
		return a, 0, false
	}
	ps.mu.Lock()
	defer ps.mu.Unlock()
	p := ps.live
	if !l.Live {
		p = ps.back
	}
	a, n = parse(p, l)
	old = !l.Live || n > 0 && !ps.isNow(a.At, l.Received)
	if !old {
		a.At = l.Received // the writer's clock may be wrong, or the line's zone
	}
	ps.trust = l.Provenance
	ps.watchEchoes(ctx, p)
	return a, n, old
}

const (
	slack   = 2 * time.Minute  // between what happens and what is written
	quarter = 15 * time.Minute // time zones differ by a multiple of it
	zones   = 15 * time.Hour   // and by less than this from any clock here
	settled = 5 * time.Minute  // how long a log must have been in another zone
)

// isNow reports whether a line that was just written tells of now. Its stamp may
// be in another zone than its reader takes it for; but a line stamped otherwise
// was moved here: a log put back from a backup is live to its reader, and must
// not block anybody. Of such a log, too, some lines are whole quarters old, so a
// zone counts only once the log has been in it for a while.
func (ps *parsers) isNow(stamped, received time.Time) bool {
	zone, ok := offset(stamped, received)
	switch {
	case ok && zone == 0:
		return true
	case !ok:
		ps.since = time.Time{}
		return false
	case zone != ps.zone || ps.since.IsZero():
		ps.zone, ps.since = zone, received
		return false
	}
	return received.Sub(ps.since) >= settled
}

// offset returns by which zone a stamp is off, and whether one explains it.
func offset(stamped, received time.Time) (zone time.Duration, ok bool) {
	lag := received.Sub(stamped)
	zone = lag.Round(quarter)
	return zone, lag.Abs() <= zones+slack && (lag-zone).Abs() <= slack
}

func (ps *parsers) stop() {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if ps.timer != nil {
		ps.timer.Stop()
	}
}

func parse(p *authlog.Parser, l logsource.Line) (tocsin.Attempt, int) {
	if l.Program == "" {
		a, n := p.Parse(l.Text, l.Received)
		a.Provenance = l.Provenance
		return a, n
	}
	a, n := p.ParseEntry(authlog.Entry{
		Message: l.Text, Program: l.Program, PID: l.PID, At: l.At, Received: l.Received,
		Writer: authlog.Writer(l.Writer),
	})
	if a.Provenance == tocsin.Local && isPerson(l.Writer) {
		a.Provenance = tocsin.Network // the journal itself says that no service wrote it
	}
	return a, n
}

// firstPerson is the first user who is a person, or nobody: services have lower
// numbers (login.defs, UID_MIN).
const firstPerson = 1000

// isPerson reports whether a line was written by somebody who may log whatever
// he likes and is no service: what he says of others proves nothing.
func isPerson(w logsource.Writer) bool { return w.Known && w.UID >= firstPerson }

func (g *Guard) send(ctx context.Context, one seen) error {
	select {
	case g.seen <- one:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// watchEchoes sets the timer for what p may still have to tell.
func (ps *parsers) watchEchoes(ctx context.Context, p *authlog.Parser) {
	due, ok := p.Pending()
	if !ok {
		return
	}
	wait := max(due.Sub(ps.guard.deps.Now()), time.Millisecond)
	if ps.timer == nil {
		ps.timer = ps.guard.deps.Clock.AfterFunc(wait, func() { ps.echoes(ctx) })
		return
	}
	ps.timer.Reset(wait)
}

// echoes sends the attempts whose own line never came.
func (ps *parsers) echoes(ctx context.Context) {
	now := ps.guard.deps.Now()
	for _, p := range []*authlog.Parser{ps.live, ps.back} {
		for {
			ps.mu.Lock()
			a, ok := p.Overdue(now)
			trust := ps.trust
			ps.mu.Unlock()
			if !ok {
				break
			}
			if a.Provenance == 0 {
				a.Provenance = trust
			}
			if p == ps.live {
				a.At = now
			}
			if err := ps.guard.send(ctx, seen{attempt: a, times: 1, old: p == ps.back, read: now}); err != nil {
				return
			}
		}
		ps.mu.Lock()
		ps.watchEchoes(ctx, p)
		ps.mu.Unlock()
	}
}

// pass notes a line without an attempt. Its mark counts once the attempts before
// it are digested.
func (s *stream) pass(m logsource.Mark) {
	id := m.Stream()
	if id == 0 {
		return
	}
	if s.inFlight[id] > 0 {
		s.ahead[id] = m
		return
	}
	s.marks[id] = m
}

// digested says that the loop has taken what the line at m told.
func (s *stream) digested(m logsource.Mark) {
	id := m.Stream()
	if id == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.marks[id] = m
	if s.inFlight[id]--; s.inFlight[id] > 0 {
		return
	}
	delete(s.inFlight, id)
	if ahead, ok := s.ahead[id]; ok {
		s.marks[id] = ahead
		delete(s.ahead, id)
	}
}
