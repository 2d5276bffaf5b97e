package trial_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/fleet"
	"github.com/tocsin-io/tocsin/quorum"
	"github.com/tocsin-io/tocsin/trial"
)

var noon = time.Date(2023, 10, 14, 12, 0, 0, 0, time.UTC)

// A log is events of one owner's device.
type log []tocsin.Event

func (l *log) add(at time.Time, source string, tune func(*tocsin.Received)) {
	n := uint64(len(*l) + 1)
	r := &tocsin.Received{
		Sighting: tocsin.Sighting{
			ID: tocsin.ID{Device: "nas", Boot: 1, Counter: n}, Source: netip.MustParsePrefix(source), Service: "ssh", First: at, Last: at, Provenance: tocsin.Attested,
		},
		At: at, From: netip.MustParseAddr("203.0.113.1"), Channel: tocsin.Enrolled, Owner: "ada", Enrolled: at.Add(-90 * 24 * time.Hour),
	}
	tune(r)
	*l = append(*l, tocsin.Event{Serial: n, At: at, Received: r})
}

func guesses(n int) func(*tocsin.Received) {
	return func(r *tocsin.Received) {
		r.Failures = uint32(n)
		for i := range n {
			r.Accounts = append(r.Accounts, tocsin.Tried{Tag: tocsin.AccountTag(fmt.Sprint("name", i)), Failures: 1, Unknown: true})
		}
	}
}

func play(l log, then quorum.Policy, days int) trial.Result {
	end := noon.Add(time.Hour)
	t := trial.New(fleet.Config{Quorum: quorum.Default()}, fleet.Config{Quorum: then}, end.Add(-time.Duration(days)*24*time.Hour), end)
	for _, e := range l {
		t.Play(e)
	}
	return t.Result()
}

func TestTrial(t *testing.T) {
	var l log
	l.add(noon.Add(-20*24*time.Hour), "198.51.100.1/32", guesses(9)) // before these days
	l.add(noon, "198.51.100.3/32", guesses(3))
	l.add(noon.Add(time.Minute), "198.51.100.9/32", guesses(9))
	l.add(noon.Add(2*time.Minute), "198.51.100.9/32", func(r *tocsin.Received) { r.Dropped = 40 })
	l.add(noon.Add(3*time.Minute), "198.51.100.3/32", func(r *tocsin.Received) { r.Failures = 1 })
	l.add(noon.Add(4*time.Minute), "198.51.100.3/32", func(r *tocsin.Received) {
		r.Successes, r.Accounts = 1, []tocsin.Tried{{Tag: "ada", Successes: 1}}
	})
	strict := quorum.Default()
	strict.Fast.Count = 3
	r := play(l, strict, 7)
	if r.Events != 5 || r.Now.Attempts != 53 || r.Then.Attempts != 53 {
		t.Errorf("played: %+v", r)
	}
	if r.Now.Blocked != 1 || r.Now.Stopped != 40 || r.Now.Welcome != 0 {
		t.Errorf("now: %+v", r.Now)
	}
	if r.Then.Blocked != 2 || r.Then.Stopped != 41 || r.Then.Welcome != 1 || r.Then.Share <= r.Now.Share {
		t.Errorf("then: %+v", r.Then)
	}
	if r.AddedCount != 1 || r.RemovedCount != 0 || r.Added[0].Attempts != 4 || r.Added[0].At != noon || r.Added[0].Why == "" {
		t.Errorf("added %+v, removed %+v", r.Added, r.Removed)
	}
	lax := quorum.Default()
	lax.Fast.Count, lax.Day.Count, lax.Spread.Count, lax.Weekly.Count, lax.Hint.Count = 50, 50, 50, 50, 50
	if r = play(l, lax, 7); r.RemovedCount != 1 || r.Removed[0].Prefix.String() != "198.51.100.9/32" || r.Then.Stopped != 0 {
		t.Errorf("a lax policy: %+v", r)
	}
	if r = play(l, quorum.Default(), 30); r.Events != 6 || r.AddedCount+r.RemovedCount != 0 || r.Now != r.Then {
		t.Errorf("the same policy is another one: %+v", r)
	}
	if r = play(nil, lax, 1); r.Added == nil || r.Removed == nil || r.Now.Share != 0 {
		t.Errorf("of nothing: %+v", r)
	}
}
