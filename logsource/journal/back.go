package journal

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"slices"

	"github.com/tocsin-io/tocsin/internal/logkey"
	"github.com/tocsin-io/tocsin/logsource"
)

// maxArchives bounds the files of one gap, newest first; journald keeps 100.
const maxArchives = 256

// A part is one file that may hold entries of a gap.
type part struct {
	path string
	head header
	id   uint64
}

// readBack emits the entries of all gaps.
func (s *Source) readBack(ctx context.Context, gaps []gap, emit func(logsource.Line) error) error {
	for _, g := range gaps {
		parts := s.parts(g)
		if lost(g, parts) {
			if err := emit(logsource.Line{Missing: "the journal no longer holds what came after the entry read last"}); err != nil {
				return err
			}
		}
		for _, p := range parts {
			if err := s.readPart(ctx, g, p, emit); err != nil {
				return err
			}
		}
		if err := emit(logsource.Line{Mark: g.doneMark()}); err != nil {
			return err
		}
	}
	return nil
}

// lost reports whether entries after the one read last are in no file any more:
// the numbers of a series have no gap.
func lost(g gap, parts []part) bool {
	if g.from.series == 0 || len(parts) == 0 {
		return false
	}
	return !slices.ContainsFunc(parts, func(p part) bool {
		return p.id == g.from.series && p.head.headSeq <= g.from.seqnum+1
	})
}

// parts returns the files that may hold entries of g, oldest first.
func (s *Source) parts(g gap) []part {
	var all []part
	for _, folder := range s.folders {
		paths, err := archives(folder)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			s.warn(folder, err)
		}
		for _, path := range paths {
			p, err := openPart(path)
			if err != nil {
				s.warn(path, err)
				continue
			}
			last := place{series: p.id, seqnum: p.head.tailSeq, realtime: p.head.tailTime}
			first := place{series: p.id, seqnum: p.head.headSeq, realtime: p.head.headTime}
			if p.head.entries > 0 && !last.before(g.from) && first.before(g.to) {
				all = append(all, p)
			}
		}
	}
	slices.SortFunc(all, func(a, b part) int {
		if a.id == b.id && a.head.headSeq != b.head.headSeq {
			return cmpUint(a.head.headSeq, b.head.headSeq)
		}
		return cmpUint(a.head.headTime, b.head.headTime)
	})
	return all[max(0, len(all)-maxArchives):]
}

func cmpUint(a, b uint64) int {
	if a < b {
		return -1
	}
	return 1
}

func openPart(path string) (part, error) {
	r, err := os.Open(path)
	if err != nil {
		return part{}, err
	}
	defer r.Close() //nolint:errcheck // read only
	f, err := newFile(r)
	if err != nil {
		return part{}, err
	}
	h, err := f.header()
	return part{path: path, head: h, id: f.seqnumID}, err
}

// readPart emits the entries of g that one file holds. Only emit and ctx make
// it fail: damage is passed over, and said once.
func (s *Source) readPart(ctx context.Context, g gap, p part, emit func(logsource.Line) error) error {
	r, err := os.Open(p.path)
	if err != nil {
		s.warn(p.path, err) // vacuumed meanwhile, say
		return nil
	}
	defer r.Close() //nolint:errcheck // read only
	f, err := newFile(r)
	if err != nil {
		s.warn(p.path, err)
		return nil
	}
	defer f.unpack.rest()
	h, err := f.header()
	if err != nil {
		s.warn(p.path, err)
		return nil
	}
	var c cursor
	f.seek(&c, h, func(e entry) bool { return f.place(e).before(g.from) })
	damage := 0
	for ctx.Err() == nil {
		off, ok, err := f.step(&c, h)
		if err != nil {
			damage++
		}
		if !ok || err != nil {
			break
		}
		c.pass(off)
		l, done, err := s.older(f, g, off)
		if done {
			break
		}
		if err != nil {
			damage++
			continue
		}
		if l.Text == nil {
			continue
		}
		if err := emit(l); err != nil {
			return err
		}
	}
	if damage += c.bad; damage > 0 {
		s.log.Warn("journal file damaged: entries left out", logkey.Path, p.path, logkey.Count, damage)
	}
	return ctx.Err()
}

// older reads the entry at off of a gap; done says that it is behind the gap.
func (s *Source) older(f *file, g gap, off uint64) (l logsource.Line, done bool, err error) {
	e, err := f.entry(off)
	if err != nil {
		return l, false, err
	}
	p := f.place(e)
	if !p.before(g.to) {
		return l, true, nil
	}
	if p.before(g.from) {
		return l, false, nil // a clock that jumped: seek is no proof
	}
	l, ok, err := f.line(e, s.want)
	if err != nil || !ok {
		return logsource.Line{}, false, err
	}
	fill(&l, e, g.mark(p))
	return l, false, nil
}

func (s *Source) warn(path string, err error) {
	s.log.Warn("journal file left out", logkey.Path, path, logkey.Err, err)
}
