// Package file reads log files as they grow: a path, or a pattern such as
// /var/log/samba/log.* in its last element. It follows rotation by rename, by
// copying and truncating and by a changed symbolic link; it resumes where it
// stopped, through rotated and compressed siblings; and it reads a backlog
// apart from live lines, so that what happens now is told now.
//
// It learns of every change from the kernel (inotify) and never polls: at rest
// it does not wake up and touches no disk. It does not know what a line says.
//
// A file system mounted over a followed folder, and one whose changes are made
// by another machine (NFS, SMB), tell inotify nothing: not followed.
package file

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/internal/inotify"
	"github.com/tocsin-io/tocsin/logsource"
)

// MaxFiles bounds the files that one pattern follows: names of log files may
// hold what a client chose. Over it, the file quiet for longest is given up.
const MaxFiles = 256

// Options say how a file is read. The zero Options read from now on, and vouch
// for nothing but that a local user wrote.
type Options struct {
	// Log gets what a person should know; nil is nobody.
	Log *slog.Logger
	// Provenance is [tocsin.Attested] for a file that only its daemon writes,
	// otherwise [tocsin.Local]. Attested falls to Local where others than root
	// and Owners may write the file or its folder.
	Provenance tocsin.Provenance
	// Owners are users besides root whom an Attested file may belong to.
	Owners []uint32
	// Marks are the newest marks kept of this source; none is a first start.
	Marks []logsource.Mark
	// Since makes a first start read back the file, and its rotated siblings
	// changed since then; zero reads nothing back.
	Since time.Time
	// Poll has the file looked at so often instead of the kernel asked, which lets
	// no user follow very many; zero asks the kernel.
	Poll time.Duration
	// Now is when a line was received; nil is the wall clock.
	Now func() time.Time
}

// A Source follows one path or pattern. Run it once.
type Source struct {
	path string
	opt  Options
	log  *slog.Logger
}

var _ logsource.Source = (*Source)(nil)

// New returns a source that reads the file at path, or all files that match
// path if its last element is a pattern of [filepath.Match].
func New(path string, opt Options) *Source {
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if opt.Now == nil {
		opt.Now = time.Now
	}
	if opt.Provenance != tocsin.Attested {
		opt.Provenance = tocsin.Local
	}
	return &Source{path: path, opt: opt, log: opt.Log}
}

func (s *Source) instance() (*inotify.Instance, error) {
	if s.opt.Poll > 0 {
		return inotify.Blind(s.opt.Poll)
	}
	return inotify.Open()
}

// Name returns the path or pattern as it was given.
func (s *Source) Name() string { return s.path }

// Run follows the file until ctx ends; see [logsource.Source].
func (s *Source) Run(ctx context.Context, emit func(logsource.Line) error) error {
	path, err := filepath.Abs(s.path)
	if err != nil {
		return err
	}
	if isPattern(filepath.Dir(path)) {
		return fmt.Errorf("%s: only the last element of a path may be a pattern: name each folder", s.path)
	}
	if _, err := filepath.Match(filepath.Base(path), ""); err != nil {
		return fmt.Errorf("%s: %w", s.path, err)
	}
	n, err := s.instance()
	if err != nil {
		return fmt.Errorf("%s: %w", s.path, err)
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	f := newFollower(s, path, n, emit)
	defer f.close()
	gaps, err := f.start()
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
	err = f.run(ctx)
	stop(err)
	<-done
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		return cause
	}
	return err
}

func isPattern(s string) bool { return strings.ContainsAny(s, `*?[\`) }
