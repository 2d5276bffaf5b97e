package watch

import (
	"net/netip"
	"slices"

	"github.com/tocsin-io/tocsin"
)

// enough is how many attempts of a service must all come from one source before
// it is taken for a stand-in, and several how many accounts they must try: a
// lone laptop at home uses one or two.
const (
	enough  = 10
	several = 3
)

// shared notices services whose log tells the address of a proxy instead of the
// client's: behind a reverse proxy or a Docker gateway all attempts come from
// one private address, and blocking it would block everybody.
type shared struct {
	proxies  []netip.Prefix
	services map[tocsin.Service]*soleSource
}

type soleSource struct {
	source   netip.Addr
	attempts int
	accounts []string // at most several
	done     bool     // told, or a second source was seen
}

func newShared(proxies []netip.Prefix) shared {
	return shared{proxies: proxies, services: make(map[tocsin.Service]*soleSource)}
}

// missing reports, once for each service, that its real addresses are missing.
func (s *shared) missing(a tocsin.Attempt) bool {
	one := s.services[a.Service]
	source := a.Source.Addr()
	if one == nil {
		one = &soleSource{source: source}
		s.services[a.Service] = one
	}
	if one.done {
		return false
	}
	if source != one.source || !s.standIn(source) {
		one.done = true
		return false
	}
	one.attempts++
	if a.Account != "" && len(one.accounts) < several && !slices.Contains(one.accounts, a.Account) {
		one.accounts = append(one.accounts, a.Account)
	}
	one.done = one.attempts >= enough && len(one.accounts) >= several
	return one.done
}

// standIn reports whether a could stand for others.
func (s *shared) standIn(a netip.Addr) bool {
	return a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() ||
		slices.ContainsFunc(s.proxies, func(p netip.Prefix) bool { return p.Contains(a) })
}
