package file

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/internal/logkey"
	"github.com/tocsin-io/tocsin/logsource"
)

// A piece is a part of one file that belongs to a gap.
type piece struct {
	sibling
	from, to int64 // offsets in the text, decompressed; to < 0 is its end
}

// readBack emits the lines of all gaps, oldest first within each.
func (s *Source) readBack(ctx context.Context, gaps []gap, emit func(logsource.Line) error) error {
	for _, g := range gaps {
		pieces, lost, err := s.plan(g)
		if lost {
			if err := emit(logsource.Line{Missing: "the file read last is gone"}); err != nil {
				return err
			}
		}
		if err != nil {
			// A backlog that cannot be read does not end what is live. Its mark
			// stays, so the next start tries again.
			s.log.Warn("older lines cannot be read back", logkey.Log, g.path, logkey.Err, err)
			continue
		}
		whole := true
		for _, p := range pieces {
			err := s.readPiece(ctx, g, p, emit)
			if _, ok := errors.AsType[*readError](err); ok {
				s.log.Warn("older lines cannot be read back", logkey.Log, p.path, logkey.Err, err)
				whole = whole && !errors.Is(err, os.ErrPermission)
				continue
			}
			if err != nil {
				return err
			}
		}
		if whole {
			if err := emit(logsource.Line{Mark: g.doneMark()}); err != nil {
				return err
			}
		}
	}
	return nil
}

// plan finds the files that hold the lines of g; lost says that the one read last
// is not among them.
func (s *Source) plan(g gap) (pieces []piece, lost bool, err error) {
	all, err := siblings(g.path)
	if err != nil {
		return nil, false, err
	}
	all = withoutTwins(all)
	first, found := 0, false
	if g.from.inode != 0 {
		first, found = find(all, g.from)
	}
	if !found {
		first = changedSince(all, g.from.at)
		if g.from.inode != 0 {
			lost = true
			s.log.Warn("the file read last is gone: reading all that changed since", logkey.Log, g.path)
		}
	}
	last, ends := find(all, g.to)
	if g.to.inode == 0 || !ends {
		last = len(all) - 1
		if last >= 0 && rotatedFrom(all[last].path) == "" {
			last-- // the file at the path itself: its lines are live ones
		}
	}
	for i := first; i <= last; i++ {
		pieces = append(pieces, piece{sibling: all[i], to: -1})
	}
	if found && len(pieces) == 0 { // rotation gave the newer an older time
		pieces = append(pieces, piece{sibling: all[first], to: -1})
		if ends {
			pieces = append(pieces, piece{sibling: all[last]})
		}
	}
	if found {
		pieces[0].from = g.from.off
	}
	if ends && len(pieces) > 0 {
		pieces[len(pieces)-1].to = g.to.off
	}
	return pieces, lost, nil
}

// find returns which sibling p is in: by inode and first bytes, or, copied or
// compressed since, by its first bytes alone.
func find(all []sibling, p place) (int, bool) {
	if p.inode == 0 {
		return 0, false
	}
	for i, s := range all {
		if s.inode == p.inode && p.head.matches(firstBytes(s.path)) {
			return i, true
		}
	}
	if p.head.len() < minHead {
		return 0, false
	}
	for i, s := range all {
		if p.head.matches(firstBytes(s.path)) {
			return i, true
		}
	}
	return 0, false
}

// firstBytes returns the first bytes of a log's text; nothing of one that
// cannot be read, which is said when its turn comes.
func firstBytes(path string) []byte {
	r, err := Open(path)
	if err != nil {
		return nil
	}
	buf := make([]byte, maxHead)
	n, _ := io.ReadFull(r, buf) // short is the rule for a short log
	_ = r.Close()               // read only
	return buf[:n]
}

// changedSince returns the first sibling from which on files were changed at t
// or later.
func changedSince(all []sibling, t time.Time) int {
	i := len(all)
	for i > 0 && !all[i-1].changed.Before(t) {
		i--
	}
	return i
}

// withoutTwins leaves out auth.log.2.gz while auth.log.2 is still there: it is
// being written.
func withoutTwins(all []sibling) []sibling {
	plain := map[string]bool{}
	for _, s := range all {
		plain[s.path] = true
	}
	kept := all[:0]
	for _, s := range all {
		if i := strings.LastIndexByte(s.path, '.'); compressed(s.path) && plain[s.path[:i]] {
			continue
		}
		kept = append(kept, s)
	}
	return kept
}

// A readError says that a file could not be read, in contrast to what emit
// returned.
type readError struct{ error }

// Unwrap returns the cause.
func (e *readError) Unwrap() error { return e.error }

// readPiece emits the lines of one piece.
func (s *Source) readPiece(ctx context.Context, g gap, p piece, emit func(logsource.Line) error) error {
	r, err := Open(p.path)
	if err != nil {
		return &readError{err}
	}
	defer r.Close() //nolint:errcheck // read only
	b := &backlog{gap: g, piece: p, r: r, emit: emit, prov: s.opt.Provenance, now: s.opt.Now}
	b.at = place{inode: p.inode, head: headOf(firstBytes(p.path)), at: p.changed}
	if b.prov == tocsin.Attested && distrust(p.path, int(r.f.Fd()), s.opt.Owners) != "" {
		b.prov = tocsin.Local
	}
	return b.read(ctx)
}

// A backlog reads one piece.
type backlog struct {
	gap   gap
	piece piece
	r     *Reader
	emit  func(logsource.Line) error
	prov  tocsin.Provenance
	now   func() time.Time
	at    place
	lines logsource.Lines
}

func (b *backlog) read(ctx context.Context) error {
	if err := b.skip(); err != nil {
		return err
	}
	for pos := b.piece.from; ; {
		if err := ctx.Err(); err != nil {
			return err
		}
		space := b.lines.Space()
		if b.piece.to >= 0 {
			space = space[:max(0, min(int64(len(space)), b.piece.to-pos))]
		}
		var n int
		var err error = io.EOF
		if len(space) > 0 {
			n, err = b.r.Read(space)
		}
		pos += int64(n)
		b.lines.Fill(n)
		if n >= holeBlock && err == nil && zeros(space[:n]) {
			var hole int64
			hole, err = b.skipHole(pos)
			pos += hole
		}
		if err := b.drain(); err != nil {
			return err
		}
		if err == io.EOF {
			return b.rest()
		}
		if err != nil {
			return &readError{fmt.Errorf("%s: %w", b.piece.path, err)}
		}
	}
}

// skip goes to where the piece begins.
func (b *backlog) skip() error {
	b.lines.Reset(b.piece.from)
	if b.piece.from == 0 {
		return nil
	}
	if b.r.plain() {
		return b.r.seek(b.piece.from)
	}
	if _, err := io.CopyN(io.Discard, b.r, b.piece.from); err != nil && err != io.EOF {
		return &readError{fmt.Errorf("%s: %w", b.piece.path, err)}
	}
	return nil
}

// skipHole leaves out what was never written of a plain file, and returns how
// much that is.
func (b *backlog) skipHole(pos int64) (int64, error) {
	if !b.r.plain() {
		return 0, nil
	}
	next := dataAfter(int(b.r.f.Fd()), pos)
	if b.piece.to >= 0 {
		next = max(pos, min(next, b.piece.to))
	}
	b.lines.Skip(next - pos)
	return next - pos, b.r.seek(next)
}

func (b *backlog) drain() error {
	for {
		line, cut, ok := b.lines.Next()
		if !ok {
			return nil
		}
		if err := b.tell(line, cut); err != nil {
			return err
		}
	}
}

// rest emits a last line without an end: in a rotated file none will come.
func (b *backlog) rest() error {
	if line, cut, ok := b.lines.Rest(); ok {
		return b.tell(line, cut)
	}
	return nil
}

func (b *backlog) tell(line []byte, cut bool) error {
	if len(line) == 0 {
		return nil
	}
	b.at.off = b.lines.Offset()
	return b.emit(logsource.Line{
		Text: line, Received: b.now(), Provenance: b.prov, Cut: cut, Mark: b.gap.mark(b.at),
	})
}
