package hub_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/hub"
	"github.com/tocsin-io/tocsin/quorum"
	"github.com/tocsin-io/tocsin/store"
	"github.com/tocsin-io/tocsin/store/storetest"
)

// TestAnotherPolicyLeavesNoGap: what the new policy makes of the log is published, what
// both make stays all the while; and where it cannot be published the one before stays.
func TestAnotherPolicyLeavesNoGap(t *testing.T) {
	var faulty *storetest.Faulty
	var h *hub.Hub
	w := newWorld(t, func(w *world) {
		w.wrap = func(s hub.Store) hub.Store {
			faulty = &storetest.Faulty{Store: s.(storetest.Store)}
			return faulty
		}
		w.hear = func(d *hub.Deps) {
			d.Incident = func(made *hub.Hub) (api.Incident, error) { h = made; return nil, nil }
		}
	})
	d := w.enrol("home")
	d.attacked("203.0.113.1/32")
	s := d.saw("203.0.113.2/32", 3)
	s.Accounts = []tocsin.Tried{{Tag: "admin", Failures: 1, Unknown: true}, {Tag: "guest", Failures: 1, Unknown: true}, {Tag: "test", Failures: 1, Unknown: true}}
	d.up.Tell([]tocsin.Sighting{s})
	w.eventually("its own block", func() bool { return d.blocks("203.0.113.1/32") })
	w.eventually("both came", func() bool { s, err := w.admin.Status(t.Context()); return err == nil && s.Serial == 2 })
	strict := quorum.Default()
	strict.Fast.Count = 3
	before := h.FleetConfig()
	faulty.Fail("Publish", 1, store.ErrFull)
	if err := h.Adopt(t.Context(), strict); !errors.Is(err, store.ErrFull) {
		t.Errorf("published on a full disk: %v", err)
	}
	if h.FleetConfig().Quorum.Fast != before.Quorum.Fast || d.blocks("203.0.113.2/32") || !d.blocks("203.0.113.1/32") {
		t.Error("the policy before did not stay")
	}
	w.must(h.Adopt(t.Context(), strict))
	w.eventually("the new policy's block", func() bool { return d.blocks("203.0.113.2/32") })
	if !d.blocks("203.0.113.1/32") || h.FleetConfig().Quorum.Seed != before.Quorum.Seed {
		t.Error("what both make was lost")
	}
	d.attacked("203.0.113.3/32")
	w.eventually("what comes after", func() bool { return d.blocks("203.0.113.3/32") })
	w.must(h.Adopt(t.Context(), quorum.Default()))
	w.eventually("it is withdrawn", func() bool { return !d.blocks("203.0.113.2/32") && d.blocks("203.0.113.3/32") })
}

// A closing store has somebody hang up once the first frame is out.
type closing struct {
	hub.Store
	hangUp atomic.Pointer[context.CancelFunc]
}

func (s *closing) Publish(ctx context.Context, frames []store.Frame) error {
	err := s.Store.Publish(ctx, frames)
	if hangUp := s.hangUp.Load(); hangUp != nil {
		(*hangUp)()
	}
	return err
}

// TestHangingUpLeavesOnePolicy: whoever hangs up while another policy is published gets
// it everywhere, or nowhere.
func TestHangingUpLeavesOnePolicy(t *testing.T) {
	var kept *closing
	var h *hub.Hub
	w := newWorld(t, func(w *world) {
		w.wrap = func(s hub.Store) hub.Store { kept = &closing{Store: s}; return kept }
		w.hear = func(d *hub.Deps) {
			d.Incident = func(made *hub.Hub) (api.Incident, error) { h = made; return nil, nil }
		}
	})
	one, two := w.enrol("home"), w.enrol("office")
	s := one.saw("203.0.113.2/32", 3)
	s.Accounts = []tocsin.Tried{{Tag: "admin", Failures: 1, Unknown: true}, {Tag: "guest", Failures: 1, Unknown: true}, {Tag: "test", Failures: 1, Unknown: true}}
	one.up.Tell([]tocsin.Sighting{s})
	r := two.saw("203.0.113.2/32", 3)
	r.Accounts = s.Accounts
	two.up.Tell([]tocsin.Sighting{r})
	w.eventually("both came", func() bool { s, err := w.admin.Status(t.Context()); return err == nil && s.Serial == 2 })
	strict := quorum.Default()
	strict.Fast.Count = 3
	ctx, hangUp := context.WithCancel(t.Context())
	kept.hangUp.Store(&hangUp)
	w.must(h.Adopt(ctx, strict))
	if h.FleetConfig().Quorum.Fast.Count != 3 {
		t.Error("it is not in force")
	}
	for _, d := range []*device{one, two} {
		w.eventually("the new policy's block", func() bool { return d.blocks("203.0.113.2/32") })
	}
}
