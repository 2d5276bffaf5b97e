package conntrack

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/contact"
)

// A Source sums the connections of this machine up, window by window, for whoever
// hands them on. Make one with [NewSource].
type Source struct {
	cfg   Config
	now   func() time.Time
	every time.Duration // windows that are over are handed on

	mu    sync.Mutex // guards the fields below
	since time.Time  // it has been reading; zero is not now
	gaps  []tocsin.Gap
	lost  uint64
}

// NewSource returns a Source that reads nothing yet.
func NewSource(c Config, now func() time.Time) *Source {
	return &Source{cfg: c, now: now, every: handOn}
}

// handOn is how often windows that are over are handed on.
const handOn = time.Minute

// Run reads in the network namespace of this process and calls emit for each
// window that is over, until ctx ends; then for those that are open. An error of
// emit ends it.
func (s *Source) Run(ctx context.Context, emit func(tocsin.Contact) error) error {
	r, err := Open(s.cfg)
	if err != nil {
		return err
	}
	defer r.Close()
	book := contact.NewBook(contact.Limits{})
	flows := make(chan contact.Flow, 256)
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() {
		ended <- r.Read(ctx, func(f contact.Flow) {
			select {
			case flows <- f:
			case <-ctx.Done():
			}
		})
	}()
	s.begin()
	defer s.end()
	t := time.NewTicker(s.every)
	defer t.Stop()
	hand := func(list []tocsin.Contact) error {
		for _, c := range list {
			if err := emit(c); err != nil {
				return err
			}
		}
		return nil
	}
	for {
		select {
		case f := <-flows:
			book.Add("", f) // the guard knows the device
		case <-t.C:
			s.note(r.Stats().Lost)
			if err := hand(book.Take(s.now())); err != nil {
				stop()
				return errors.Join(err, <-ended)
			}
		case err := <-ended:
			for len(flows) > 0 {
				book.Add("", <-flows)
			}
			return errors.Join(err, hand(book.TakeAll()))
		}
	}
}

// begin starts anew: what the kernel lost is counted from here.
func (s *Source) begin() { s.mu.Lock(); defer s.mu.Unlock(); s.since, s.lost = s.now(), 0 }

func (s *Source) end() { s.mu.Lock(); defer s.mu.Unlock(); s.since = time.Time{} }

// note remembers when the kernel had no room for events: what happened then is
// not known.
func (s *Source) note(lost uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if lost == s.lost {
		return
	}
	now := s.now()
	s.lost = lost
	s.gaps = append(s.gaps, tocsin.Gap{Span: tocsin.Span{From: now.Add(-s.every), To: now}, Reason: "the kernel had no room for events"})
	s.gaps = s.gaps[max(0, len(s.gaps)-tocsin.MaxGaps):]
}

// Coverage returns since when, and until when, connections were read.
func (s *Source) Coverage() tocsin.Coverage {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := tocsin.Coverage{Stream: tocsin.FlowStream}
	if !s.since.IsZero() {
		c.From, c.Until, c.Gaps = s.since, s.now(), s.gaps
	}
	return c
}
