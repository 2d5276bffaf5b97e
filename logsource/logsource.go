// Package logsource is the contract between whatever holds log lines (a file,
// the journal, a pipe) and whoever reads them. It understands nothing of what a
// line says: that is the business of package authlog.
package logsource

import (
	"context"
	"time"

	"github.com/tocsin-io/tocsin"
)

// MaxLine bounds a line, in bytes. The rest of a longer one is dropped and the
// line is marked Cut: no pattern matches it.
const MaxLine = 64 << 10

// A Line is one log line and what vouches for it.
type Line struct {
	// Text has no line end. It is valid only until emit returns. A Line without
	// Text only brings its Mark: a source emits one at the start, before any
	// line, so that nothing is lost if the reader dies with none seen.
	Text []byte
	// At is the time stamp of a source that keeps it apart from the text; zero
	// where it stands inside Text.
	At time.Time
	// Received is when the line was read.
	Received time.Time
	// Program is the name the writer gave itself, where the source keeps it
	// apart from Text; "" where it stands inside Text.
	Program string
	// PID is the writer's process, 0 if unknown.
	PID int
	// Writer is who wrote the line, as the source itself saw it.
	Writer Writer
	// Provenance is what the source as a whole is good for.
	Provenance tocsin.Provenance
	// Live says that the line was written while the source was watched; a line
	// read back from before is not.
	Live bool
	// Cut says that the line was longer than [MaxLine].
	Cut bool
	// Missing says that lines between what was read last and now are lost, and
	// why; then the line has neither Text nor Mark.
	Missing string
	// Mark is where to go on once this line is digested.
	Mark Mark
}

// A Writer is who wrote a line, attested by the system and not by the writer
// (journald's trusted fields). The zero Writer is nobody known.
type Writer struct {
	Known bool // the source tells who wrote
	UID   uint32
	Exe   string // path of the program, such as /usr/sbin/sshd
	Unit  string // systemd unit, such as ssh.service
}

// A Mark says how far a source was read, in the source's own terms: store it,
// hand it back to resume, but never interpret it. A source has several streams
// of marks (a file of a pattern each, lines read back apart from live ones): of
// each [Mark.Stream] keep the newest Mark, and hand all of them back. A Mark
// equal to the one kept need not be stored again.
type Mark [8]uint64

// Stream tells the streams of one source apart; 0 is that of the zero Mark,
// which need not be kept.
func (m Mark) Stream() uint64 { return m[0] }

// A Source reads lines until ctx ends.
type Source interface {
	// Name tells people what is read: a path, "journal", "-".
	Name() string
	// Run calls emit for each line, in order within a stream, until ctx ends;
	// it may call it from two goroutines at once, one for live lines and one
	// for lines read back, so that a backlog never delays what happens now. An
	// error of emit ends Run. A source that vanishes is waited for, with one
	// message to the log, and is no error.
	Run(ctx context.Context, emit func(Line) error) error
}
