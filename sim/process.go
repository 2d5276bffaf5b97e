package sim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
)

// A process runs one share: another process, or a goroutine of this one.
type process struct {
	in   io.WriteCloser
	wait func() error

	mu      sync.Mutex // guards the fields below, and writing to in
	number  int
	waiting map[int]chan report
	over    error // why it ended
}

func begin(ctx context.Context, command []string) (*process, error) {
	p := &process{waiting: map[int]chan report{}}
	var out io.Reader
	if len(command) == 0 {
		orders, in := io.Pipe()
		answers, w := io.Pipe()
		done := make(chan error, 1)
		go func() {
			err := Serve(ctx, orders, w)
			_ = w.CloseWithError(io.EOF)   // it never fails
			_ = orders.CloseWithError(err) // it never fails
			done <- err
		}()
		p.in, out, p.wait = in, answers, func() error { return <-done }
	} else {
		cmd := exec.CommandContext(ctx, command[0], command[1:]...)
		cmd.Stderr = os.Stderr
		in, err := cmd.StdinPipe()
		if err != nil {
			return nil, err
		}
		answers, err := cmd.StdoutPipe()
		if err != nil {
			return nil, err
		}
		if err := cmd.Start(); err != nil {
			return nil, fmt.Errorf("another process: %w", err)
		}
		p.in, out, p.wait = in, answers, cmd.Wait
	}
	go p.listen(out)
	return p, nil
}

// listen hands reports on until there are no more.
func (p *process) listen(out io.Reader) {
	dec := json.NewDecoder(out)
	for {
		var r report
		err := dec.Decode(&r)
		p.mu.Lock()
		if err != nil {
			p.over = errors.New("a process of the fleet has ended")
			for _, c := range p.waiting {
				close(c)
			}
			clear(p.waiting)
			p.mu.Unlock()
			return
		}
		c := p.waiting[r.ID]
		if !r.Part {
			delete(p.waiting, r.ID)
		}
		p.mu.Unlock()
		if c != nil {
			c <- r
		}
	}
}

// order has o done, and returns the last report; part hears of the others.
func (p *process) order(ctx context.Context, o order, part func(report)) (report, error) {
	reports := make(chan report, 16)
	p.mu.Lock()
	if p.over != nil {
		p.mu.Unlock()
		return report{}, p.over
	}
	p.number++
	o.ID = p.number
	p.waiting[o.ID] = reports
	err := json.NewEncoder(p.in).Encode(o)
	p.mu.Unlock()
	if err != nil {
		return report{}, fmt.Errorf("a process of the fleet: %w", err)
	}
	for {
		select {
		case <-ctx.Done():
			go func() { // so that nobody waits to hand it on
				for r := range reports {
					if !r.Part {
						return
					}
				}
			}()
			return report{}, ctx.Err()
		case r, ok := <-reports:
			switch {
			case !ok:
				return report{}, p.over
			case !r.Part:
				return r, nil
			}
			part(r)
		}
	}
}

func (p *process) close() {
	_ = p.in.Close() // it ends then
	_ = p.wait()     // whatever it was, it is over
}
