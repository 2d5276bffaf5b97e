package guard

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/operator"
)

// Status implements [operator.Handler].
func (g *Guard) Status(ctx context.Context) (st operator.Status, err error) {
	err = g.do(ctx, func(context.Context) {
		blocks, passes := g.list.Len()
		st = operator.Status{
			Version: g.deps.Version, Since: g.since, Backend: g.deps.Backend, DryRun: g.cfg.DryRun,
			User: g.deps.User, Power: g.deps.Power, Blocks: blocks, Passes: passes,
			Sources: g.detector.Len(), MemoryBytes: g.detector.Bytes(), Decisions: g.decisions,
			Drifts: g.drifts, Protected: g.protected(), Warnings: g.warned(),
		}
		if g.deps.HubStatus != nil {
			st.Hub = g.deps.HubStatus()
			st.Hub.Frozen = g.frozen()
		}
		st.Clues, st.Contacts = g.clues.counts()
		for service, t := range g.metrics.services {
			st.Services = append(st.Services, operator.ServiceCount{
				Service: service, Failures: t.failures, Successes: t.successes, Probes: t.probes,
			})
		}
		for _, s := range g.reading() {
			st.Logs = append(st.Logs, s.status())
		}
	})
	slices.SortFunc(st.Services, func(a, b operator.ServiceCount) int { return cmp.Compare(a.Service, b.Service) })
	return st, err
}

func (g *Guard) warned() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.warnings)
}

func (s *stream) status() operator.LogStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	return operator.LogStatus{
		Name: s.input.Name, Provenance: s.input.Trust, Lines: s.lines, Attempts: s.attempts, Last: s.last,
	}
}

// Sightings implements [operator.Handler].
func (g *Guard) Sightings(ctx context.Context, yield func(tocsin.Sighting) error) error {
	var all []tocsin.Sighting
	if err := g.do(ctx, func(context.Context) {
		g.keep(g.book.Flush())
		all = slices.Clone(g.kept)
	}); err != nil {
		return err
	}
	for _, s := range all {
		if err := yield(s); err != nil {
			return err
		}
	}
	return nil
}

// missingText says how a service comes to log the real address.
func missingText(a tocsin.Attempt) string {
	how := "let the proxy pass the client's address on (X-Forwarded-For or the PROXY protocol) and have the service trust that proxy"
	switch a.Service {
	case "nextcloud":
		how = "set trusted_proxies and forwarded_for_headers in Nextcloud's config.php"
	case "nginx":
		how = "set set_real_ip_from and real_ip_header in nginx"
	case "apache":
		how = "enable mod_remoteip and set RemoteIPHeader and RemoteIPInternalProxy"
	case "dovecot":
		how = "set haproxy_trusted_networks, or login_trusted_networks for XCLIENT"
	case "ssh", "dropbear":
		how = "forward the port without rewriting the source; in Docker switch the userland proxy off or use the host network"
	}
	return fmt.Sprintf("all log-ins of %s come from %v, which stands for others: the real address is missing, and nothing can be blocked; %s",
		a.Service, a.Source.Addr(), how)
}

// printable makes text of a person fit for one line of a log.
func printable(s string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) || r == ' ' {
			return r
		}
		return '?'
	}, strings.ToValidUTF8(s, "?")))
}
