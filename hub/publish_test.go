package hub

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"testing"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/fleet"
	"github.com/tocsin-io/tocsin/quorum"
	"github.com/tocsin-io/tocsin/ruleset"
	"github.com/tocsin-io/tocsin/store"
	"github.com/tocsin-io/tocsin/store/sqlite"
)

type testSigner struct{ key ed25519.PrivateKey }

func (s testSigner) ID() ruleset.KeyID { return ruleset.IDOf(s.key.Public().(ed25519.PublicKey)) }

func (s testSigner) Sign(m []byte) ([]byte, error) { return ed25519.Sign(s.key, m), nil }

// A stage is a publisher and one device of "home" that takes all it sends.
type stage struct {
	*publisher
	t    *testing.T
	now  time.Time
	mind *fleet.Fleet
	log  uint64
	keys ruleset.Keys
	set  *ruleset.Set
	held map[string]time.Time
	errs []error
}

func newStage(t *testing.T, frames func(store.Frames) store.Frames) *stage {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s := &stage{t: t, now: time.Now().Truncate(time.Hour), mind: fleet.New(fleet.Config{Quorum: quorum.Default()}), held: map[string]time.Time{}}
	s.keys = ruleset.Keys{{ID: ruleset.IDOf(public), Public: public, Until: s.now.AddDate(1, 0, 0)}}
	db, err := sqlite.Open(t.Context(), t.TempDir(), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	s.publisher = newPublisher(frames(db), func() (ruleset.Signer, error) { return testSigner{private}, nil },
		func() time.Time { return s.now }, slog.New(slog.DiscardHandler))
	s.publisher.feed = s
	s.set = ruleset.NewSet(ruleset.Refs("home")...)
	s.must(s.load(t.Context(), s.now, false))
	for _, owner := range []tocsin.OwnerID{fleet.Everybody, "home"} {
		s.must(s.ensure(t.Context(), owner))
	}
	s.must(s.reconcile(t.Context(), s.mind, s.now))
	s.catchUp()
	return s
}

func (s *stage) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// Publish implements Feed.
func (s *stage) Publish(_ ruleset.Ref, m ruleset.Sealed, _ bool) { s.take(m) }

func (s *stage) take(sealed ruleset.Sealed) {
	m, err := ruleset.Open(sealed, s.keys, s.now)
	s.must(err)
	next, c, err := s.set.Apply(m, ruleset.DefaultLimits(), s.now)
	if err != nil {
		s.errs = append(s.errs, err)
		return
	}
	s.set = next
	for _, r := range c.Remove {
		delete(s.held, fmt.Sprint(r.Action, r.Prefix))
	}
	for _, r := range c.Add {
		s.held[fmt.Sprint(r.Action, r.Prefix)] = r.Until
	}
}

func (s *stage) catchUp() {
	for _, p := range s.set.Positions() {
		list, err := s.Since(s.t.Context(), p)
		s.must(err)
		for _, m := range list {
			s.take(m)
		}
	}
	s.errs = nil
}

// order has a person of "home" decide, and what follows published.
func (s *stage) order(o tocsin.Order) error {
	s.t.Helper()
	o.Owner, o.Decision.At = "home", s.now
	s.log++
	s.mind.Apply(tocsin.Event{Serial: s.log, At: s.now, Order: &o})
	return s.change(s.t.Context(), s.now, s.mind.Changes())
}

func rule(a tocsin.Action, prefix string, until time.Time) tocsin.Decision {
	return tocsin.Decision{Action: a, Prefix: netip.MustParsePrefix(prefix), Until: until}
}

func same(f store.Frames) store.Frames { return f }

// TestWhatEndsSoonerEndsSooner orders the same for long, then for a short time.
func TestWhatEndsSoonerEndsSooner(t *testing.T) {
	const who = "198.51.100.7/32"
	for _, a := range []tocsin.Action{tocsin.Block, tocsin.Pass} {
		s := newStage(t, same)
		s.must(s.order(tocsin.Order{Decision: rule(a, who, s.now.Add(10*time.Hour))}))
		s.must(s.order(tocsin.Order{Decision: rule(a, who, s.now.Add(20*time.Minute))}))
		if got := s.held[a.String()+" "+who].Sub(s.now); got <= 0 || got > 30*time.Minute {
			t.Errorf("a %v of twenty minutes lasts %v", a, got)
		}
	}
}

// TestHonestGrowthIsTaken decides about ever new sources for hours: the device
// must refuse none of it, and a pass must never wait.
func TestHonestGrowthIsTaken(t *testing.T) {
	s := newStage(t, same)
	n := 0
	for end := s.now.Add(4 * time.Hour); s.now.Before(end); s.now = s.now.Add(5 * time.Minute) {
		for _, owner := range []tocsin.OwnerID{fleet.Everybody, "home"} {
			c := fleet.Scoped{Owner: owner}
			for range 1500 {
				n++
				p := netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 18 + byte(n>>16), byte(n >> 8), byte(n)}), 32)
				c.Add = append(c.Add, tocsin.Rule{Prefix: p, Action: tocsin.Block, Until: s.now.Add(30 * time.Minute)})
			}
			s.must(s.change(t.Context(), s.now, []fleet.Scoped{c}))
		}
	}
	if len(s.errs) > 0 {
		t.Errorf("the device refused %d frames, first: %v", len(s.errs), s.errs[0])
	}
	s.must(s.order(tocsin.Order{Lift: true, Decision: rule(tocsin.Pass, "203.0.113.7/32", s.now.Add(time.Hour))}))
	if _, ok := s.held["pass 203.0.113.7/32"]; !ok {
		t.Error("a pass waits until the growth of an hour is over")
	}
}

// doubtful frames are committed, once, although the disk said that they are not.
type doubtful struct {
	store.Frames
	left int
}

func (f *doubtful) Publish(ctx context.Context, frames []store.Frame) error {
	err := f.Frames.Publish(ctx, frames)
	if f.left--; f.left == 0 {
		return errors.New("the disk failed")
	}
	return err
}

func TestACommitInDoubtIsNoDeadEnd(t *testing.T) {
	var f *doubtful
	s := newStage(t, func(frames store.Frames) store.Frames { f = &doubtful{Frames: frames}; return f })
	f.left = 1
	if err := s.order(tocsin.Order{Decision: rule(tocsin.Block, "198.51.100.7/32", s.now.Add(time.Hour))}); err == nil {
		t.Fatal("no error")
	}
	for range 2 { // as the loop tries again
		_ = s.reconcile(t.Context(), s.mind, s.now)
	}
	s.must(s.order(tocsin.Order{Decision: rule(tocsin.Block, "198.51.100.8/32", s.now.Add(time.Hour))}))
	s.catchUp()
	for _, who := range []string{"198.51.100.7/32", "198.51.100.8/32"} {
		if _, ok := s.held["block "+who]; !ok {
			t.Errorf("%s is not blocked", who)
		}
	}
}
