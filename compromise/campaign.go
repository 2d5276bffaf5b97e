package compromise

import (
	"net/netip"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/internal/accounts"
)

// near is how long before and after a campaign's attempts its source counts as
// the campaign's: an address is soon somebody else's.
const near = 24 * time.Hour

// sources says which addresses belong to campaigns, and when.
type sources map[netip.Prefix][]Period

func sourcesOf(campaigns []tocsin.Campaign) sources {
	all := sources{}
	for _, c := range campaigns {
		for _, m := range c.Sources {
			p := tocsin.SourcePrefix(m.Source.Addr())
			all[p] = append(all[p], Period{From: m.First.Add(-near), To: m.Last.Add(near)})
		}
	}
	return all
}

// active reports whether a source was a campaign's at some time from first to
// last.
func (s sources) active(source netip.Prefix, first, last time.Time) bool {
	if !source.IsValid() {
		return false
	}
	for _, p := range s[tocsin.SourcePrefix(source.Addr())] {
		if !last.Before(p.From) && !first.After(p.To) {
			return true
		}
	}
	return false
}

// proves reports whether a sighting tells that somebody in particular was let
// in: guests are let in whoever they are.
func proves(s tocsin.Sighting) bool {
	var told uint64
	for _, t := range s.Accounts {
		if t.Successes > 0 && !accounts.IsGuest(string(t.Tag)) {
			return true
		}
		told += uint64(t.Successes)
	}
	// The list of accounts is bounded: what it has no room for was no guest.
	return len(s.Accounts) >= fullList && uint64(s.Successes) > told
}

// fullList is from how many accounts on the list of a sighting may be cut.
const fullList = 16
