package api

import (
	"context"
	"errors"
	"sync"

	"github.com/tocsin-io/tocsin/store"
)

// holds are the long answers to API tokens, by its name: they end when it is
// dropped. The zero value has none.
type holds struct {
	mu   sync.Mutex // guards the field below
	open map[string]map[*context.CancelFunc]struct{}
}

func (h *holds) add(token string, end context.CancelFunc) (forget func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.open[token] == nil {
		if h.open == nil {
			h.open = map[string]map[*context.CancelFunc]struct{}{}
		}
		h.open[token] = map[*context.CancelFunc]struct{}{}
	}
	h.open[token][&end] = struct{}{}
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if delete(h.open[token], &end); len(h.open[token]) == 0 {
			delete(h.open, token)
		}
	}
}

func (h *holds) end(token string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for end := range h.open[token] {
		(*end)()
	}
}

// holdToken returns a context for a long answer to an API token.
func (a *API) holdToken(ctx context.Context, c *call) (held context.Context, release func(), err error) {
	held, cancel := context.WithCancel(ctx)
	if !c.access.Until.IsZero() {
		held, cancel = context.WithTimeout(ctx, c.access.Until.Sub(c.at))
	}
	forget := a.holds.add(c.access.Name, cancel)
	release = func() { cancel(); forget() }
	if _, err = a.Accesses.Access(ctx, c.access.Hash); err != nil { // dropped before it was held
		release()
		if errors.Is(err, store.ErrNotFound) {
			err = errToken
		}
		return nil, nil, err
	}
	return held, release, nil
}
