// Package journal reads the system journal of journald from its files: without
// cgo, without a journalctl process, and with buffers of some 50 KiB. What the
// kernel vouched for (who wrote a line) comes with each line.
//
// Only system.journal and its archives are read. journald keeps what ordinary
// users log in files of their own (user-1000.journal): no daemon writes there,
// so nothing is missed, and most forged lines are never even seen. Where
// journald does not split (volatile storage), forged lines do come, with the
// user who wrote them.
//
// It promises nothing for damaged files but to end: what is readable is told,
// the rest is left out with one message.
package journal

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/tocsin-io/tocsin/internal/inotify"
	"github.com/tocsin-io/tocsin/logsource"
)

// ErrNone says that this machine keeps no journal: read log files instead.
var ErrNone = errors.New("no journal on this machine")

// activeName is the file that journald appends the system's entries to.
const activeName = "system.journal"

// DefaultHints are opened by each log-in that PAM checks, and by each connection
// to OpenSSH, whose server runs its own program anew.
var DefaultHints = []string{
	"/etc/shadow", "/usr/sbin/sshd", "/usr/lib/openssh/sshd-session", "/usr/libexec/openssh/sshd-session",
}

// Options say how the journal is read. The zero Options read everybody's
// lines of this machine's journal, from now on.
type Options struct {
	// Log gets what a person should know; nil is nobody.
	Log *slog.Logger
	// Folders hold the journal's files; none is this machine's own two.
	Folders []string
	// Programs are the names (SYSLOG_IDENTIFIER, or the command's name) whose
	// lines are read; none is all of them. Others are skipped cheaply.
	Programs []string
	// Interesting says which lines are worth to be quick after: while they
	// come, the journal is looked at every 10 ms. nil is all that pass
	// Programs.
	Interesting func(logsource.Line) bool
	// Hints are files that are opened whenever somebody logs in, so that even
	// the first line after rest is seen at once: journald itself tells of it
	// after 250 ms. nil is [DefaultHints]; those that are missing or unreadable
	// are left out.
	Hints []string
	// Marks are the newest marks kept of this source; none is a first start.
	Marks []logsource.Mark
	// Since makes a first start read back what was written since; zero reads
	// nothing back.
	Since time.Time
}

// A Source follows the journal. Run it once.
type Source struct {
	opt      Options
	log      *slog.Logger
	folders  []string
	programs map[string]bool
}

var _ logsource.Source = (*Source)(nil)

// New returns a source that reads the journal. The error is [ErrNone] if there
// is none, and says what to do if it may not be read.
func New(opt Options) (*Source, error) {
	s := &Source{opt: opt, log: opt.Log, folders: opt.Folders, programs: map[string]bool{}}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	for _, p := range opt.Programs {
		s.programs[p] = true
	}
	if len(s.folders) == 0 {
		s.folders = ownFolders()
	}
	if s.opt.Hints == nil {
		s.opt.Hints = DefaultHints
	}
	return s, s.check()
}

// ownFolders returns where journald keeps this machine's journal: on the disk,
// or in memory where it has no such folder and while the machine starts.
func ownFolders() []string {
	id, err := os.ReadFile("/etc/machine-id")
	if err != nil {
		return nil // no machine of systemd
	}
	name := strings.TrimSpace(string(id))
	return []string{filepath.Join("/var/log/journal", name), filepath.Join("/run/log/journal", name)}
}

// check finds out whether there is a journal, and whether it may be read.
func (s *Source) check() error {
	found := false
	for _, folder := range s.folders {
		if st, err := os.Stat(folder); err != nil || !st.IsDir() {
			continue
		}
		found = true
		f, err := os.Open(filepath.Join(folder, activeName))
		if errors.Is(err, os.ErrPermission) {
			return fmt.Errorf("%w: run as root, add the user to the group systemd-journal, or give the program CAP_DAC_READ_SEARCH", err)
		}
		if err == nil {
			_ = f.Close() // read only
		}
	}
	if !found {
		return ErrNone
	}
	return nil
}

// Name returns "journal".
func (s *Source) Name() string { return "journal" }

// want reports whether lines of a program are read. A command's name is cut
// after 15 bytes by the kernel.
func (s *Source) want(program, comm string) bool {
	return len(s.programs) == 0 || s.programs[program] || s.programs[comm]
}

func (s *Source) interesting(l logsource.Line) bool {
	return s.opt.Interesting == nil || s.opt.Interesting(l)
}

// Run follows the journal until ctx ends; see [logsource.Source].
func (s *Source) Run(ctx context.Context, emit func(logsource.Line) error) error {
	n, err := inotify.Open()
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	v := &live{src: s, n: n, emit: emit, folders: map[int]string{}, files: map[string]*active{}}
	defer v.close()
	v.start()
	gaps, err := s.begin(v.at, emit)
	if err != nil {
		return err
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := s.readBack(ctx, gaps, emit); err != nil {
			stop(err)
		}
	}()
	err = v.run(ctx)
	stop(err)
	<-done
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		return cause
	}
	return err
}

// begin finds what is to be read back up to end, and emits the marks of it and
// of live lines: the gaps first, or a crash between the two would lose them.
func (s *Source) begin(end place, emit func(logsource.Line) error) ([]gap, error) {
	from, known, gaps := history(s.opt.Marks)
	switch {
	case known && from.series == end.series && from.seqnum == end.seqnum:
	case known:
		gaps = addGap(gaps, gap{from: from, to: end})
	case len(s.opt.Marks) == 0 && !s.opt.Since.IsZero():
		gaps = addGap(gaps, gap{from: place{realtime: micros(s.opt.Since) - 1}, to: end})
	}
	for _, g := range gaps {
		if err := emit(logsource.Line{Mark: g.mark(g.from)}); err != nil {
			return nil, err
		}
	}
	return gaps, emit(logsource.Line{Mark: end.mark(), Live: true})
}

func micros(t time.Time) uint64 { return uint64(max(1, t.UnixMicro())) }

// archives returns the files of the system's journal in folder, damaged ones
// too, in no order.
func archives(folder string) ([]string, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, err
	}
	var paths []string
	for _, e := range entries {
		name := e.Name()
		if strings.HasPrefix(name, "system") && (strings.HasSuffix(name, ".journal") || strings.HasSuffix(name, ".journal~")) {
			paths = append(paths, filepath.Join(folder, name))
		}
	}
	slices.Sort(paths)
	return paths, nil
}
