package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/internal/clock"
)

// A monitor stands for the network monitors of the fleet: it hands the hub the
// connections that are recorded while they are recorded, by the same call as
// tocsin flows import.
type monitor struct {
	path   string
	head   []byte // the lines that name the columns
	at     int64
	rest   []byte // of a line that is not whole
	client *api.Client
}

// handInEvery is how often connections are handed in, by the demo's clock.
const handInEvery = 2 * time.Minute

// run hands in what is new until ctx ends.
func (m *monitor) run(ctx context.Context, clk *clock.Clock) error {
	t := clk.NewTicker(handInEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-t.C:
		}
		if err := m.handIn(ctx); err != nil && ctx.Err() == nil {
			return fmt.Errorf("hand in connections: %w", err)
		}
	}
}

// handIn hands in the whole lines that are new.
func (m *monitor) handIn(ctx context.Context) error {
	f, err := os.Open(m.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // nothing was recorded yet
	}
	if err != nil {
		return err
	}
	defer f.Close()
	b, err := io.ReadAll(io.NewSectionReader(f, m.at, 1<<30))
	if err != nil {
		return err
	}
	m.at += int64(len(b))
	b = append(m.rest, b...)
	end := bytes.LastIndexByte(b, '\n') + 1
	b, m.rest = b[:end], bytes.Clone(b[end:])
	body := bytes.Clone(m.head)
	for line := range bytes.Lines(b) {
		if line[0] == '#' {
			m.head = append(m.head, line...)
		}
		body = append(body, line...)
	}
	if len(b) == 0 || len(body) == len(m.head) {
		return nil
	}
	_, err = m.client.ImportFlows(ctx, bytes.NewReader(body))
	return err
}
