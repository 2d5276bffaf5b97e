package journal

import "github.com/tocsin-io/tocsin/logsource"

// A place is an entry, or where one would be. Numbers count within a series;
// where the series is another one, the time decides.
type place struct {
	series, seqnum uint64
	realtime       uint64 // µs since 1970
	monotonic      uint64 // µs since boot
	boot           uint64
}

func (f *file) place(e entry) place {
	return place{series: f.seqnumID, seqnum: e.seqnum, realtime: e.realtime, monotonic: e.monotonic, boot: e.boot}
}

// before reports whether p was written before q or is q.
func (p place) before(q place) bool {
	if p.series == q.series {
		return p.seqnum <= q.seqnum
	}
	return p.realtime <= q.realtime
}

// The streams of marks: the live one, and gaps being read back.
const (
	liveStream = 1
	firstGap   = 2
	lastGap    = 4
)

func (p place) mark() logsource.Mark {
	return logsource.Mark{liveStream, p.series, p.seqnum, p.realtime}
}

// A gap is what is still to be read back: after from, up to to.
type gap struct {
	stream   uint64
	from, to place
}

func (g gap) mark(at place) logsource.Mark {
	return logsource.Mark{g.stream, at.series, at.seqnum, at.realtime, g.to.series, g.to.seqnum, g.to.realtime}
}

// doneMark says that nothing is left of g.
func (g gap) doneMark() logsource.Mark { return logsource.Mark{g.stream} }

// history reads the marks: where live reading stopped, and the gaps not done.
func history(marks []logsource.Mark) (live place, known bool, gaps []gap) {
	for _, m := range marks {
		p := place{series: m[1], seqnum: m[2], realtime: m[3]}
		switch {
		case m[0] == liveStream:
			live, known = p, true
		case m[0] >= firstGap && m[0] <= lastGap && m != (logsource.Mark{m[0]}):
			gaps = append(gaps, gap{m[0], p, place{series: m[4], seqnum: m[5], realtime: m[6]}})
		}
	}
	return live, known, gaps
}

// addGap adds a gap under a stream that is not in use. If none is left, the
// last one grows to cover both: lines may come twice, none is lost.
func addGap(gaps []gap, g gap) []gap {
	for g.stream = firstGap; g.stream <= lastGap; g.stream++ {
		used := false
		for _, old := range gaps {
			used = used || old.stream == g.stream
		}
		if !used {
			return append(gaps, g)
		}
	}
	gaps[len(gaps)-1].to = g.to
	return gaps
}
