package detect

import "github.com/tocsin-io/tocsin/internal/window"

// source is what is remembered of one source, in 92 bytes: see docs/adr/0040.
// Times are seconds since 1970; 0 is never.
type source struct {
	blockEnd   uint32 // of the last decision
	probeStart uint32 // of the window that probes are counted in
	runStart   uint32 // of the window that a person's failures are counted in
	runs       uint16
	probes     uint16
	strikes    uint8 // decisions so far, each of which doubled the block
	failures   window.Ring
}

func (s *source) forgive(until uint32) {
	s.failures.Drop(func(e window.Event) bool { return e.At <= until })
	s.blockEnd, s.probeStart, s.runStart = 0, 0, 0
	s.runs, s.probes, s.strikes = 0, 0, 0
}

func (s *source) shift(move func(*uint32)) {
	move(&s.blockEnd)
	move(&s.probeStart)
	move(&s.runStart)
	for i := range s.failures {
		move(&s.failures[i].At)
	}
}

// newest returns the last time anything happened that is remembered.
func (s *source) newest() uint32 {
	return max(s.blockEnd, s.probeStart, s.runStart, s.failures[0].At)
}

// count counts n up in a window that starts with its first event, so that a
// limit reached was really reached within the span: it may come late, never
// early.
func count(n *uint16, start *uint32, at, span uint32) int {
	if *n == 0 || at < *start || at-*start >= span {
		*n, *start = 0, at
	}
	if *n < 1<<16-1 {
		*n++
	}
	return int(*n)
}

const weekSeconds = uint32(Week / 1e9)

// within reports whether then is a time, and less than span away from at. Later
// counts as well as earlier, since lines come out of order; far ahead is a clock
// that was wrong.
func within(then, at, span uint32) bool {
	return then != 0 && max(then, at)-min(then, at) < span
}
