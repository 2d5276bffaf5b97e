// Package run starts the long-lived parts of a program and stops them all when
// one fails or the context ends. A goroutine that outlives a call belongs to a
// part.
package run

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/tocsin-io/tocsin/internal/logkey"
)

// A Part is something that runs until its context ends. Returning nil or the
// context's error is a clean stop; anything else stops every other part.
type Part struct {
	Name string
	Run  func(ctx context.Context) error
}

// Grace is how long parts may take to return once asked to stop.
const Grace = 10 * time.Second

// All runs the parts until one fails, one returns or ctx ends, waits for the
// others, and returns what went wrong, part by part. Parts that do not return
// within [Grace] are named in the error: a hang is a bug with an owner.
func All(ctx context.Context, log *slog.Logger, parts ...Part) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()

	var (
		mu      sync.Mutex // guards the fields below
		errs    []error
		pending = make(map[string]bool, len(parts))
	)
	var wg sync.WaitGroup
	for _, p := range parts {
		mu.Lock()
		pending[p.Name] = true
		mu.Unlock()
		wg.Go(func() {
			err := p.Run(ctx)
			stop()
			mu.Lock()
			defer mu.Unlock()
			delete(pending, p.Name)
			if err != nil && !errors.Is(err, context.Canceled) {
				errs = append(errs, fmt.Errorf("%s: %w", p.Name, err))
			}
			log.Debug("part stopped", logkey.Part, p.Name, logkey.Err, err)
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()

	<-ctx.Done()
	select {
	case <-done:
	case <-time.After(Grace):
	}
	mu.Lock()
	defer mu.Unlock()
	for name := range pending {
		errs = append(errs, fmt.Errorf("%s: did not stop within %v", name, Grace))
	}
	return errors.Join(errs...)
}
