package replay

import (
	"fmt"
	"io"
)

// Run plays a whole trace. It reads while it plays, and has stopped reading when
// it returns.
func Run(c Config, trace io.Reader) (Summary, error) {
	p, err := New(c)
	if err != nil {
		return Summary{}, err
	}
	f := newFeeder()
	go f.feed(NewReader(trace))
	defer f.stop()
	for b := range f.full {
		for _, a := range b.list {
			if err := p.Play(a); err != nil {
				return Summary{}, fmt.Errorf("line %d: %w", a.Line, err)
			}
		}
		if b.err == io.EOF {
			return p.End(), nil
		}
		if b.err != nil {
			return Summary{}, b.err
		}
		f.free <- b.list[:0]
	}
	panic("replay: a trace that does not end")
}

// A feeder reads a trace beside whoever plays it.
type feeder struct {
	full chan batch     // what was read, closed when reading stopped
	free chan []Attempt // to be filled anew
	quit chan struct{}
}

// A batch is some attempts, and what came after them if that was no attempt.
type batch struct {
	list []Attempt
	err  error
}

const (
	batches  = 4
	perBatch = 512
)

func newFeeder() *feeder {
	f := &feeder{full: make(chan batch, batches), free: make(chan []Attempt, batches), quit: make(chan struct{})}
	for range batches {
		f.free <- make([]Attempt, 0, perBatch)
	}
	return f
}

func (f *feeder) feed(r *Reader) {
	defer close(f.full)
	for {
		var b batch
		select {
		case b.list = <-f.free:
		case <-f.quit:
			return
		}
		for len(b.list) < perBatch && b.err == nil {
			var a Attempt
			if a, b.err = r.Next(); b.err == nil {
				b.list = append(b.list, a)
			}
		}
		f.full <- b // has room for every batch there is
		if b.err != nil {
			return
		}
	}
}

func (f *feeder) stop() {
	close(f.quit)
	for range f.full { // until reading has stopped
	}
}
