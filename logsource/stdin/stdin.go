// Package stdin reads log lines from a stream that somebody else opened: the
// standard input, or a pipe. Every line counts as live, for nothing else is
// known of it; there is nothing to resume, so its lines have no marks.
package stdin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/logsource"
)

// A Source reads one stream. Run it once.
type Source struct{ r io.Reader }

var _ logsource.Source = (*Source)(nil)

// New returns a source that reads the lines of r.
func New(r io.Reader) *Source { return &Source{r: r} }

// Name returns "-", as the command line does.
func (s *Source) Name() string { return "-" }

// Run emits each line until the stream ends, which is no error. If ctx ends
// first, a reader that has deadlines (a pipe, a socket) is woken up; any other
// is left behind in its last read, whose bytes are dropped.
func (s *Source) Run(ctx context.Context, emit func(logsource.Line) error) error {
	if d, ok := s.r.(interface{ SetReadDeadline(time.Time) error }); ok {
		defer context.AfterFunc(ctx, func() { _ = d.SetReadDeadline(time.Unix(1, 0)) })()
	}
	var (
		mu   sync.Mutex // held while a line is emitted: never after Run
		done = make(chan error, 1)
	)
	go func() {
		done <- s.read(ctx, func(l logsource.Line) error {
			mu.Lock()
			defer mu.Unlock()
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return emit(l)
		})
	}()
	select {
	case err := <-done:
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return err
	case <-ctx.Done():
		mu.Lock()
		defer mu.Unlock()
		return ctx.Err()
	}
}

func (s *Source) read(ctx context.Context, emit func(logsource.Line) error) error {
	var lines logsource.Lines
	tell := func(text []byte, cut bool) error {
		if len(text) == 0 {
			return nil
		}
		return emit(logsource.Line{Text: text, Cut: cut, Received: time.Now(), Live: true, Provenance: tocsin.Local})
	}
	for {
		n, err := s.r.Read(lines.Space())
		if ctx.Err() != nil {
			return ctx.Err()
		}
		lines.Fill(n)
		for {
			text, cut, ok := lines.Next()
			if !ok {
				break
			}
			if err := tell(text, cut); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			if text, cut, ok := lines.Rest(); ok {
				return tell(text, cut)
			}
			return nil
		}
		if err != nil {
			return fmt.Errorf("standard input: %w", err)
		}
	}
}
