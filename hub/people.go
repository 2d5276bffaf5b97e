package hub

import (
	"context"
	"time"

	"github.com/tocsin-io/tocsin/api"
)

// Consoles returns where browsers find the console: this machine's first.
func (h *Hub) Consoles() (list []string) {
	if h.deps.Console != nil {
		list = append(list, "http://"+h.deps.Console.Addr().String())
	}
	for _, a := range h.cfg.Addresses {
		list = append(list, "https://"+a)
	}
	return list
}

// Settled reports whether anybody can sign in to the console.
func (h *Hub) Settled(ctx context.Context) (bool, error) { return h.desk.Settled(ctx) }

// Welcome makes the one-time link for the first account, an admin's, and tells
// until when it holds. It replaces the one before.
func (h *Hub) Welcome(ctx context.Context) (link string, until time.Time, err error) {
	i, err := h.desk.First(ctx, "the hub itself")
	return api.WelcomePath + i.Code, i.Until, err
}
