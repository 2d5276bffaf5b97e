package fleet_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/campaign"
	"github.com/tocsin-io/tocsin/fleet"
	"github.com/tocsin-io/tocsin/internal/accounts"
)

// botnet is a log in which 60 sources work through one list, a guess at a device,
// among 600 that have orders of their own, half of which were there before.
func botnet(seed uint64) (l log, members []string) {
	r := rand.New(rand.NewPCG(seed, 1))
	type try struct {
		at      time.Time
		source  string
		account string
	}
	var list []try
	names := accounts.Public()
	for i := range 660 {
		source := fmt.Sprintf("198.18.%d.%d/32", i%256, 1+i/256)
		order := r.Perm(len(names))[:10]
		if i < 60 {
			members = append(members, source)
			k := r.IntN(12)
			for j := range order {
				order[j] = k + j
			}
		}
		at := day.Add(time.Duration(48+r.IntN(12)) * time.Hour)
		if i >= 60 {
			at = day.Add(time.Duration(r.IntN(72)) * time.Hour)
		}
		for _, n := range order {
			at = at.Add(time.Duration(r.IntN(7200)) * time.Second)
			list = append(list, try{at, source, names[n]})
		}
	}
	// In the order of time: each attempt at a device by chance.
	for len(list) > 0 {
		first := 0
		for i := range list {
			if list[i].at.Before(list[first].at) {
				first = i
			}
		}
		one := list[first]
		list[first] = list[len(list)-1]
		list = list[:len(list)-1]
		owner := r.IntN(100)
		e := seen(fmt.Sprintf("device-%d-%d", owner, r.IntN(3)), fmt.Sprint("owner", owner), one.source, 1, 0, one.at)
		e.Received.Accounts[0].Tag = tocsin.AccountTag(one.account)
		l.add(e, one.at)
	}
	return l, members
}

// TestASourceOfACampaignIsDecidedUponEarlier has a member guess twice at an owner
// that never saw it: enough, where for a stranger it is not.
func TestASourceOfACampaignIsDecidedUponEarlier(t *testing.T) {
	f := fleet.New(config())
	l, members := botnet(1)
	for _, e := range l.events {
		f.Apply(e)
	}
	at := l.events[len(l.events)-1].At.Add(time.Hour)
	opened := false
	for _, e := range f.CampaignEvents() {
		opened = opened || e.Kind == campaign.Opened
	}
	if !opened || len(f.CampaignEvents()) > 0 {
		t.Error("the campaign was not told, or twice")
	}
	n := 0
	var member string
	for _, m := range members {
		if _, ok := f.CampaignOf(netip.MustParsePrefix(m)); ok {
			n, member = n+1, m
		}
	}
	if n < 50 {
		t.Fatalf("%d of 60 sources attributed", n)
	}
	id, _ := f.CampaignOf(netip.MustParsePrefix(member))
	if c, ok := f.Campaign(id, at); !ok || len(c.Sources) < 50 || len(f.Campaigns(at)) == 0 {
		t.Errorf("got %+v", c)
	}
	f.Unattributed(id)

	guesses := func(source, owner string, accounts ...string) (blocked bool) {
		for i, a := range accounts {
			e := seen("new-"+owner, owner, source, 1, 0, at.Add(time.Duration(i)*time.Minute))
			e.Received.Accounts[0].Tag = tocsin.AccountTag(a)
			f.Apply(l.add(e, at.Add(time.Duration(i)*time.Minute)))
		}
		_, by, ok := f.Lookup(tocsin.OwnerID(owner), netip.MustParsePrefix(source).Addr(), at.Add(time.Duration(len(accounts))*time.Minute))
		return ok && by == tocsin.OwnerID(owner)
	}
	if !guesses(member, "newcomer", "root", "admin") {
		t.Error("a member guessed twice and is not blocked")
	}
	if guesses("203.0.113.77/32", "newcomer", "root", "admin") {
		t.Error("a stranger guessed twice and is blocked")
	}
	if guesses(member, "second", "root") {
		t.Error("a member is blocked for one guess")
	}
	if guesses(member, "third", "#grace", "#grace", "#grace") {
		t.Error("a member is blocked for what a person may mistype")
	}
	e := seen("home", "fourth", member, 0, 0, at)
	e.Received.Accounts[0] = tocsin.Tried{Tag: "#grace", Successes: 1}
	e.Received.Successes = 1
	f.Apply(l.add(e, at))
	if guesses(member, "fourth", "root", "admin") {
		t.Error("somebody belongs there, and is blocked for two guesses")
	}

	lift := order("", member, tocsin.Pass, time.Hour, at)
	lift.Order.Lift = true
	f.Apply(l.add(lift, at))
	if _, ok := f.CampaignOf(netip.MustParsePrefix(member)); ok {
		t.Error("who is welcome is still a member")
	}
}
