package hub

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/ledger"
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
	if err != nil {
		return "", until, err
	}
	e, err := h.deps.Store.Enter(ctx, ledger.Entry{By: "tocsin", How: ledger.Hub, Did: "make the link of the first account", Outcome: "done"})
	h.noted(e)
	return api.WelcomePath + i.Code, i.Until, err
}

// noted tells consoles that the log of what operators did grew, and which table
// with it.
func (h *Hub) noted(e ledger.Entry) {
	if h.deps.Live == nil {
		return
	}
	h.deps.Live.Publish("log", map[string]uint64{"serial": e.Serial})
	for _, one := range shownIn {
		if strings.Contains(e.Path, one.path) {
			h.deps.Live.Publish("table", map[string]string{"name": one.table})
			return
		}
	}
}

// shownIn says which table shows what an operator changed: other consoles see it at once.
var shownIn = []struct{ path, table string }{
	{"/v1/users", "users"},
	{"/v1/invitation", "users"},
	{"/v1/session", "users"},
	{"/v1/accesses", "accesses"},
	{"/v1/passes", "passes"},
	{"/v1/notices", "notices"},
	{"/v1/orders", "rules"},
	{"/v1/lists", "rules"},
	{"/v1/devices", "devices"},
	{"/v1/cases", "cases"},
	{"/v1/compromise", "compromise"},
}

// begunAnew ends what a restored hub has to do once, if it is one: sessions and
// links that a backup brought back end.
func (h *Hub) begunAnew(ctx context.Context) error {
	if !h.restored {
		return nil
	}
	if err := h.desk.Restored(ctx); err != nil {
		return err
	}
	h.log.Warn("restored from a backup: a new epoch begins, devices are asked for what they told since, and people sign in anew")
	return os.Remove(filepath.Join(h.cfg.Folder, restoredFile))
}
