package logsource

import "bytes"

// window is the size of the buffer behind [Lines]: room for the longest line
// and as much again to read into.
const window = 2 * MaxLine

// Lines cuts a stream of bytes into lines without copying them: read into
// Space, tell Fill how much came, and take lines from Next until there is none.
// It holds at most one window of 128 KiB, however long the lines are. The zero
// Lines is ready to use.
type Lines struct {
	buf  []byte
	r, w int   // not taken yet: buf[r:w]
	seen int   // buf[r:seen] holds no line end
	over int64 // bytes of the line begun that are dropped already
	cut  bool  // the line begun is longer than MaxLine
	off  int64 // bytes up to the end of the last line taken
}

// Space returns where the next bytes of the stream are read into; it is never
// empty, provided that Next was asked until it had no more.
func (l *Lines) Space() []byte {
	l.skipNULs()
	if len(l.buf) < window {
		l.Lend(make([]byte, window))
	}
	if l.r > 0 {
		copy(l.buf, l.buf[l.r:l.w])
		l.seen, l.w, l.r = max(0, l.seen-l.r), l.w-l.r, 0
	}
	// One byte more than a line is kept: it may be the \r before the \n.
	if keep := MaxLine + 1; l.w > keep {
		l.over += int64(l.w - keep)
		l.w, l.seen, l.cut = keep, keep, true
	}
	return l.buf[l.w:]
}

// skipNULs drops zeros at the beginning of a line. A writer that does not
// append goes on at its old offset after the file was truncated, and leaves a
// hole before the next line.
func (l *Lines) skipNULs() {
	for !l.cut && l.r < l.w && l.buf[l.r] == 0 {
		l.r++
		l.over++
	}
}

// Fill says that n bytes were read into Space.
func (l *Lines) Fill(n int) { l.w += n }

// Skip says that n bytes of the stream are left out: a hole of zeros.
func (l *Lines) Skip(n int64) { l.over += n }

// Next returns the next whole line without its line end (\n or \r\n), and
// whether it was longer than [MaxLine] and is cut. The line is valid until
// Space is called.
func (l *Lines) Next() (line []byte, cut, ok bool) {
	from := max(l.seen, l.r)
	i := bytes.IndexByte(l.buf[from:l.w], '\n')
	if i < 0 {
		l.seen = l.w
		return nil, false, false
	}
	line, cut = l.take(from+i, from+i+1)
	return line, cut, true
}

// Rest returns the line begun as if it had ended: when the stream has.
func (l *Lines) Rest() (line []byte, cut, ok bool) {
	l.skipNULs()
	if l.r == l.w {
		return nil, false, false
	}
	line, cut = l.take(l.w, l.w)
	return line, cut, true
}

// take takes buf[r:end] as a line, and goes on at next.
func (l *Lines) take(end, next int) (line []byte, cut bool) {
	line = l.buf[l.r:end]
	for !l.cut && len(line) > 0 && line[0] == 0 {
		line = line[1:]
	}
	if n := len(line); n > 0 && line[n-1] == '\r' && end < next {
		line = line[:n-1]
	}
	cut = l.cut || len(line) > MaxLine
	if len(line) > MaxLine {
		line = line[:MaxLine]
	}
	l.off += l.over + int64(next-l.r)
	l.r, l.seen, l.over, l.cut = next, next, 0, false
	return line, cut
}

// Offset returns how many bytes the lines taken so far have used, their ends
// included: where to go on reading after a restart.
func (l *Lines) Offset() int64 { return l.off }

// Begun reports whether bytes of a line without an end are held.
func (l *Lines) Begun() bool { return l.r < l.w }

// Reset forgets what is held and counts on from off.
func (l *Lines) Reset(off int64) {
	l.r, l.w, l.seen, l.over, l.cut, l.off = 0, 0, 0, 0, false, off
}

// SkipLine drops what comes up to the next line end, because the stream is
// taken up in the middle of a line: the next line is returned as a cut one.
func (l *Lines) SkipLine() { l.cut = true }

// Lend gives l a buffer of at least 2*[MaxLine] bytes to work in, so that many
// streams can share one; see Park.
func (l *Lines) Lend(buf []byte) {
	copy(buf, l.buf[l.r:l.w])
	l.seen, l.w, l.r = max(0, l.seen-l.r), l.w-l.r, 0
	l.buf = buf
}

// Park gives the buffer back and keeps a copy of the line begun.
func (l *Lines) Park() {
	rest := l.buf[l.r:l.w]
	l.buf = append(make([]byte, 0, len(rest)), rest...)
	l.seen, l.w, l.r = max(0, l.seen-l.r), len(rest), 0
}
