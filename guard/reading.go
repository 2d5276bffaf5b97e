package guard

import (
	"strings"
	"sync"
	"time"

	"github.com/tocsin-io/tocsin"
)

// A reading is what was read of the logs: everything since from, but for gaps. It
// claims no more than it knows: nothing of before the first start, and after a
// restart nothing of meanwhile until what was written then had time to be read.
type reading struct {
	mu      sync.Mutex // guards the fields below
	from    time.Time
	resumed time.Time // until when it was read before this start; zero is a first start
	since   time.Time // this start
	gaps    []tocsin.Gap
}

// catchUp is how long reading back what was written while the guard was off may
// take.
const catchUp = 10 * time.Minute

// resume goes on from what a snapshot says. Without a mark of any log nothing says
// where reading ended, so it begins anew.
func (r *reading) resume(before tocsin.Coverage, streams []*stream, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.from, r.since = now, now
	marked := false
	for _, s := range streams {
		marked = marked || len(s.kept()) > 0
	}
	if before.From.IsZero() || before.Until.After(now) {
		return
	}
	r.from, r.resumed, r.gaps = before.From, before.Until, before.Gaps
	if !marked {
		r.add(before.Until, now, "it is not known where reading ended")
	}
}

// missing notes that lines of a log are lost that were written since the guard was
// off, or since a moment ago.
func (r *reading) missing(now time.Time, log, why string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	from := now.Add(-time.Minute)
	if !r.resumed.IsZero() && now.Sub(r.since) < catchUp {
		from = r.resumed
	}
	r.add(from, now, log+": "+why)
}

// maxReason bounds the reason of a gap, in bytes.
const maxReason = 120

// reason makes text fit for the reason of a gap.
func reason(why string) tocsin.Reason {
	why = printable(why)
	return tocsin.Reason(strings.ToValidUTF8(why[:min(len(why), maxReason)], ""))
}

// add adds a gap; of many the oldest are told by then. The caller holds the lock.
func (r *reading) add(from, to time.Time, why string) {
	if !from.Before(to) {
		return
	}
	r.gaps = append(r.gaps, tocsin.Gap{Span: tocsin.Span{From: from, To: to}, Reason: reason(why)})
	if over := len(r.gaps) - tocsin.MaxGaps; over > 0 {
		r.from = r.gaps[over-1].To // nothing is claimed of before
		r.gaps = append([]tocsin.Gap{}, r.gaps[over:]...)
	}
}

// shift moves everything with a clock that was set.
func (r *reading) shift(by time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.from, r.since = r.from.Add(by), r.since.Add(by)
	if !r.resumed.IsZero() {
		r.resumed = r.resumed.Add(by)
	}
	moved := make([]tocsin.Gap, len(r.gaps))
	for i, g := range r.gaps {
		moved[i] = tocsin.Gap{Span: tocsin.Span{From: g.From.Add(by), To: g.To.Add(by)}, Reason: g.Reason}
	}
	r.gaps = moved
}

// coverage tells what was read until now. A log that is given up ends it.
func (r *reading) coverage(now time.Time, streams []*stream) tocsin.Coverage {
	r.mu.Lock()
	defer r.mu.Unlock()
	until := now
	if !r.resumed.IsZero() && now.Sub(r.since) < catchUp {
		until = r.resumed
	}
	for _, s := range streams {
		if at := s.failedAt(); !at.IsZero() && at.Before(until) {
			until = at
		}
	}
	if until.Before(r.from) {
		until = r.from
	}
	return tocsin.Coverage{Stream: tocsin.LogStream, From: r.from.UTC(), Until: until.UTC(), Gaps: append([]tocsin.Gap(nil), r.gaps...)}
}

// failedAt returns when the stream was given up, or zero.
func (s *stream) failedAt() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failed
}
