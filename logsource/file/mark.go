package file

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tocsin-io/tocsin/logsource"
)

// maxHead is how many first bytes at most tell a file from others.
const maxHead = 255

// minHead is how many first bytes must agree where nothing else does.
const minHead = 24

// A head is a fingerprint of a file's first bytes: 56 bits of hash, and how
// many bytes went into it.
type head uint64

func (h head) len() int { return int(h & 0xff) }

// headOf returns the fingerprint of first, at most its first maxHead bytes.
func headOf(first []byte) head {
	if len(first) > maxHead {
		first = first[:maxHead]
	}
	sum := sha256.Sum256(first)
	return head(binary.BigEndian.Uint64(sum[:])&^0xff | uint64(len(first)))
}

// matches reports whether first begins with the bytes that h was made of.
func (h head) matches(first []byte) bool {
	return len(first) >= h.len() && headOf(first[:h.len()]) == h
}

// readHead returns up to maxHead first bytes of the file fd.
func readHead(fd int, buf []byte) []byte {
	n, err := unix.Pread(fd, buf[:maxHead], 0)
	if err != nil {
		return nil // as good as empty: such a file matches nothing
	}
	return buf[:n]
}

// A place is where a file is read: inode and first bytes say which file, the
// time of its last change helps where neither is found again.
type place struct {
	inode uint64
	off   int64
	head  head
	at    time.Time
}

// The streams of one path: its live position, and gaps being read back.
const (
	liveSlot  = 0
	firstSlot = 1
	lastSlot  = 3
)

// pathKey is the part of a stream that names the path.
func pathKey(path string) uint64 {
	sum := sha256.Sum256([]byte(path))
	return max(binary.BigEndian.Uint64(sum[:]), 0x100) &^ 0xff
}

// liveMark is the mark of a live line: where its file goes on.
func liveMark(key uint64, p place) logsource.Mark {
	return logsource.Mark{key | liveSlot, p.inode, uint64(p.off), uint64(p.head), nanos(p.at)}
}

// nanos returns t as marks hold it; the zero time is 0.
func nanos(t time.Time) uint64 {
	if t.IsZero() {
		return 0
	}
	return uint64(t.UnixNano())
}

// A gap is what is still to be read back of one path: all that stands between
// two places, through rotated files. A from without inode begins with whatever
// was changed since from.at; a to without inode ends before the file at path.
type gap struct {
	path     string
	stream   uint64
	from, to place
}

func (g gap) mark(at place) logsource.Mark {
	return logsource.Mark{
		g.stream, at.inode, uint64(at.off), uint64(at.head), nanos(at.at),
		g.to.inode, uint64(g.to.off), uint64(g.to.head),
	}
}

// doneMark says that nothing is left of g.
func (g gap) doneMark() logsource.Mark { return logsource.Mark{g.stream} }

// history is what the marks tell of one path.
type history struct {
	known bool
	live  place
	gaps  []gap // not done
}

// historyOf reads the marks of path. Marks come from disk: whatever they hold,
// the offsets are not negative.
func historyOf(path string, marks []logsource.Mark) history {
	var h history
	key := pathKey(path)
	for _, m := range marks {
		if m[0]&^0xff != key {
			continue
		}
		p := place{inode: m[1], off: int64(m[2] & (1<<63 - 1)), head: head(m[3]), at: time.Unix(0, int64(m[4]))}
		switch slot := m[0] & 0xff; {
		case slot == liveSlot:
			h.known, h.live = true, p
		case slot <= lastSlot && m != (logsource.Mark{m[0]}):
			to := place{inode: m[5], off: int64(m[6] & (1<<63 - 1)), head: head(m[7])}
			h.gaps = append(h.gaps, gap{path: path, stream: m[0], from: p, to: to})
		}
	}
	return h
}

// addGap adds a gap and gives it a stream that is not in use. If none is left,
// the last one grows to cover both: lines may come twice, none is lost.
func (h *history) addGap(g gap) {
	for slot := uint64(firstSlot); slot <= lastSlot; slot++ {
		g.stream = pathKey(g.path) | slot
		if !slices.ContainsFunc(h.gaps, func(old gap) bool { return old.stream == g.stream }) {
			h.gaps = append(h.gaps, g)
			return
		}
	}
	h.gaps[len(h.gaps)-1].to = g.to
}
