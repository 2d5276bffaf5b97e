package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/authlog"
	"github.com/tocsin-io/tocsin/logsource"
	"github.com/tocsin-io/tocsin/logsource/file"
)

// gcPercent lets a scan, which keeps little and ends soon, collect its garbage
// seldom.
const gcPercent = 400

// scanFlags are those of tocsin scan.
type scanFlags struct {
	services []string
	format   string
	json     bool
	summary  bool
	zone     string
}

func scanCommand() *cobra.Command {
	var f scanFlags
	cmd := &cobra.Command{
		Use:   "scan [flags] FILE...",
		Short: "Read log files and print each attempt to log in",
		Long: "Scan reads log files (- is standard input; .gz, .xz and .zst are unpacked) and prints each\n" +
			"attempt to log in, one JSON object or table row each. --summary prints who tried what instead,\n" +
			"and whom a guard would have blocked.",
		Example: "  tocsin scan /var/log/auth.log\n  journalctl -u ssh | tocsin scan --summary -\n" +
			"  tocsin scan --service ssh --format table auth.log.*",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return mistake("name at least one log file, or - for standard input")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd, args) },
	}
	cmd.Flags().StringArrayVar(&f.services, "service", nil, "read only this service (repeatable; tocsin services lists them)")
	cmd.Flags().StringVar(&f.format, "format", "json", "json or table")
	cmd.Flags().BoolVar(&f.json, "json", false, "print JSON, the summary too; the same as --format json")
	cmd.Flags().BoolVar(&f.summary, "summary", false, "print a summary of sources, accounts and services instead")
	cmd.Flags().StringVar(&f.zone, "zone", "Local", "time zone of stamps that name none, such as Europe/Berlin")
	return cmd
}

func (f *scanFlags) run(cmd *cobra.Command, files []string) error {
	if f.format != "json" && f.format != "table" {
		return mistake("--format %q: write json or table", f.format)
	}
	if f.json && f.format != "json" {
		return mistake("--json and --format %s: write one of them", f.format)
	}
	zone, err := time.LoadLocation(f.zone)
	if err != nil {
		return mistake("--zone %q: write a name such as Europe/Berlin or UTC", f.zone)
	}
	matcher := authlog.Default()
	if len(f.services) > 0 {
		if matcher, err = matcherOf(f.services); err != nil {
			return usageError{err}
		}
	}
	debug.SetGCPercent(gcPercent)
	// A pipe or a terminal that says nothing is waited for without a look at the
	// context. There is nothing to put in order: a signal may end a scan at once.
	signal.Reset(os.Interrupt, syscall.SIGTERM)
	out := bufio.NewWriterSize(cmd.OutOrStdout(), 64<<10)
	var sink attemptSink
	switch {
	case f.summary:
		sink = newSummary(out, f.json || f.format == "json" && cmd.Flags().Changed("format"))
	case f.format == "table":
		sink = newTableSink(out)
	default:
		sink = &jsonSink{w: cmd.OutOrStdout()}
	}
	s := scan{matcher: matcher, zone: zone, sink: sink, stdin: cmd.InOrStdin(), bar: newProgress(cmd.ErrOrStderr(), files)}
	var unread []error
	for _, name := range files {
		err := s.file(cmd.Context(), name)
		if _, ok := errors.AsType[unreadError](err); ok {
			unread = append(unread, err) // the other files tell what they have
			continue
		}
		if err != nil {
			s.bar.Finish()
			return err
		}
	}
	s.bar.Finish()
	if err := sink.end(); err != nil {
		return err
	}
	if err := out.Flush(); err != nil {
		return err
	}
	if s.read > 0 && !s.found {
		fmt.Fprintf(cmd.ErrOrStderr(), "%s read, and none tells of a log-in; tocsin services lists what is understood.\n", count(s.read, "line"))
	}
	return errors.Join(unread...)
}

// An unreadError is why a file was not read, or not to its end.
type unreadError struct{ error }

func matcherOf(names []string) (*authlog.Matcher, error) {
	services := make([]tocsin.Service, len(names))
	for i, n := range names {
		services[i] = tocsin.Service(n)
	}
	defs, err := authlog.Some(services...)
	if err != nil {
		return nil, err
	}
	return authlog.Compile(defs...)
}

// An attemptSink takes what a scan finds.
type attemptSink interface {
	attempt(line int, a tocsin.Attempt, n int) error // n of them, all alike
	lines(n int)                                     // how many lines a file had
	end() error
}

// scan reads files one after the other.
type scan struct {
	matcher *authlog.Matcher
	zone    *time.Location
	sink    attemptSink
	stdin   io.Reader
	bar     *progress
	read    int  // lines
	found   bool // an attempt
}

func (s *scan) file(ctx context.Context, name string) error {
	r, err := s.open(name)
	if err != nil {
		return unreadError{err} // it names the file
	}
	defer r.Close()
	p := s.matcher.Parser(s.zone)
	now := time.Now()
	var lines logsource.Lines
	number := 0
	var unread error
	for ctx.Err() == nil {
		n, err := r.Read(lines.Space())
		lines.Fill(n)
		s.bar.Add(n)
		for {
			text, cut, ok := lines.Next()
			if !ok {
				break
			}
			number++
			if err := s.line(p, text, cut, number, now); err != nil {
				return err
			}
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			unread = unreadError{fmt.Errorf("%s: after %s: %w", name, count(number, "line"), err)}
			break
		}
	}
	if text, cut, ok := lines.Rest(); ok {
		number++
		if err := s.line(p, text, cut, number, now); err != nil {
			return err
		}
	}
	s.sink.lines(number)
	s.read += number
	if err := s.overdue(p, number, now.AddDate(1, 0, 0)); err != nil {
		return err
	}
	return cmp.Or(unread, ctx.Err())
}

func (s *scan) line(p *authlog.Parser, text []byte, cut bool, number int, now time.Time) error {
	if cut {
		return nil
	}
	if a, n := p.Parse(text, now); n > 0 {
		if err := s.tell(number, a, n); err != nil {
			return err
		}
	}
	if number%overdueEvery != 0 {
		return nil
	}
	return s.overdue(p, number, now)
}

// overdueEvery is after how many lines a scan looks for attempts whose own line
// never came.
const overdueEvery = 64

// overdue prints the attempts whose own line never came.
func (s *scan) overdue(p *authlog.Parser, number int, now time.Time) error {
	for {
		a, ok := p.Overdue(now)
		if !ok {
			return nil
		}
		if err := s.tell(number, a, 1); err != nil {
			return err
		}
	}
}

// tell gives n attempts of one line to the sink.
func (s *scan) tell(number int, a tocsin.Attempt, n int) error {
	a.Provenance = tocsin.Attested // the person who scans a file vouches for it
	s.found = true
	return s.sink.attempt(number, a, n)
}

func (s *scan) open(name string) (io.ReadCloser, error) {
	if name == "-" && s.stdin != os.Stdin {
		return io.NopCloser(s.stdin), nil
	}
	return file.Open(name)
}

// progress is a bar on a terminal, and nothing elsewhere.
type progress struct{ bar *progressbar.ProgressBar }

func newProgress(w io.Writer, files []string) *progress {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return &progress{}
	}
	var total int64
	for _, name := range files {
		info, err := os.Stat(name)
		packed := strings.HasSuffix(name, ".gz") || strings.HasSuffix(name, ".xz") || strings.HasSuffix(name, ".zst")
		if name == "-" || packed || err != nil || !info.Mode().IsRegular() {
			total = -1 // not known: a spinner
			break
		}
		total += info.Size()
	}
	return &progress{progressbar.NewOptions64(total, progressbar.OptionSetWriter(w), progressbar.OptionShowBytes(true),
		progressbar.OptionSetDescription("reading"), progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionClearOnFinish(), progressbar.OptionSetWidth(30), progressbar.OptionSpinnerType(14))}
}

// Add counts n bytes read. A terminal that cannot be written is no reason to
// stop reading.
func (p *progress) Add(n int) {
	if p.bar != nil {
		_ = p.bar.Add(n)
	}
}

// Finish takes the bar away.
func (p *progress) Finish() {
	if p.bar != nil {
		_ = p.bar.Finish()
	}
}
