//go:build !small

package main

import (
	"context"
	"log/slog"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/config"
	"github.com/tocsin-io/tocsin/console"
	"github.com/tocsin-io/tocsin/fleet"
	"github.com/tocsin-io/tocsin/hub"
	"github.com/tocsin-io/tocsin/internal/clock"
	"github.com/tocsin-io/tocsin/internal/logkey"
	"github.com/tocsin-io/tocsin/live"
)

// openConsole makes what answers the pages of a hub, and has the hub tell it what
// happens.
func openConsole(cfg config.Hub, clk *clock.Clock, db console.Store, deps *hub.Deps, log *slog.Logger) (*console.Part, error) {
	told := live.Config{Version: deps.Version, Log: log, Now: clk.Now}
	if deps.Demo != nil {
		told.Demo = func() any { return deps.Demo.Clock() }
	}
	deps.Live = live.New(told)
	p, err := console.New(console.Deps{Store: db, Live: deps.Live, Notified: notified(cfg), File: cfg, Log: log, Now: clk.Now})
	if err != nil {
		return nil, err
	}
	also := deps.OnApplied
	deps.OnApplied, deps.OnPublished = p.Applied, p.Published
	if also != nil {
		deps.OnApplied = func(e tocsin.Event, effects []fleet.Effect) {
			p.Applied(e, effects)
			also(e, effects)
		}
	}
	deps.Answers = func(h *hub.Hub, answers api.Incident) (api.Console, error) {
		p.Join(h, answers)
		return p, nil
	}
	return p, nil
}

// withSaved returns the configuration with the policy that was saved in the console.
// One that does not go with the file any more stops no hub.
func withSaved(ctx context.Context, db console.Store, cfg config.Hub, log *slog.Logger) config.Hub {
	changed, err := console.WithSaved(ctx, db, cfg)
	if err != nil {
		log.Error("the policy of the file is in force: save it anew in the console", logkey.Err, err)
	}
	return changed
}

// notified tells who is told of what happens, without what only they should know.
func notified(cfg config.Hub) (list []api.Notified) {
	for _, r := range cfg.Incident.Recipients {
		n := api.Notified{Name: r.Name, Kind: "mail", Events: append([]string{}, r.Kinds...), To: maskMail(r.Mail)}
		if r.URL != "" {
			n.Kind, n.To = "webhook", maskURL(r.URL)
		}
		list = append(list, n)
	}
	return list
}

// maskMail leaves the first letter and the domain.
func maskMail(mail string) string {
	name, domain, _ := strings.Cut(mail, "@")
	_, n := utf8.DecodeRuneInString(name)
	return name[:n] + "…@" + domain
}

// maskURL leaves the host: what follows is often a secret.
func maskURL(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return "…"
	}
	return u.Scheme + "://" + u.Host + "/…"
}
