package operator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"

	"github.com/tocsin-io/tocsin"
)

// A Client asks the guard behind a socket. The zero Client is not usable: set
// Path.
type Client struct{ Path string }

// Order has o carried out.
func (c Client) Order(ctx context.Context, o Order) (done Done, err error) {
	err = c.ask(ctx, request{Order: &o}, func(a answer) error {
		if a.Done != nil {
			done = *a.Done
		}
		return nil
	})
	return done, err
}

// Rules calls yield for each rule in force.
func (c Client) Rules(ctx context.Context, yield func(Rule) error) error {
	return c.ask(ctx, request{Rules: &struct{}{}}, func(a answer) error {
		if a.Rule == nil {
			return nil
		}
		return yield(*a.Rule)
	})
}

// Sightings calls yield for each sighting gathered so far.
func (c Client) Sightings(ctx context.Context, yield func(tocsin.Sighting) error) error {
	return c.ask(ctx, request{Sightings: &struct{}{}}, func(a answer) error {
		if a.Sighting == nil {
			return nil
		}
		return yield(*a.Sighting)
	})
}

// Status asks how the guard is.
func (c Client) Status(ctx context.Context) (st Status, err error) {
	err = c.ask(ctx, request{Status: &struct{}{}}, func(a answer) error {
		if a.Status != nil {
			st = *a.Status
		}
		return nil
	})
	return st, err
}

func (c Client) ask(ctx context.Context, r request, each func(answer) error) error {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", c.Path)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s: %w", c.Path, ErrRefused)
	case err != nil:
		return fmt.Errorf("%s: %w", c.Path, ErrNoGuard)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	// A guard that refuses does not wait for the request: its answer is there.
	unsent := json.NewEncoder(conn).Encode(r)
	dec := json.NewDecoder(conn)
	for {
		var a answer
		if err := dec.Decode(&a); err != nil {
			if unsent != nil {
				return fmt.Errorf("%s: %w", c.Path, unsent)
			}
			if errors.Is(err, io.EOF) {
				err = errors.New("the guard hung up: look into its log")
			}
			return fmt.Errorf("%s: %w", c.Path, err)
		}
		if a.Error != "" {
			return errors.New(a.Error)
		}
		if err := each(a); err != nil {
			return err
		}
		if a.End {
			return nil
		}
	}
}
