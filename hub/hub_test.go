package hub_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/uplink"
)

func TestOneDeviceSeesItItsOwnersOthersDropIt(t *testing.T) {
	w := newWorld(t)
	a, b, c := w.enrol("home"), w.enrol("home"), w.enrol("home")
	stranger := w.enrol("stranger")
	a.attacked("198.51.100.7/32")
	for _, d := range []*device{a, b, c} {
		w.eventually("the owner's devices block it", func() bool { return d.blocks("198.51.100.7/32") })
	}
	if stranger.blocks("198.51.100.7/32") {
		t.Error("one device's word binds a stranger")
	}
	x, err := w.admin.Explain(t.Context(), "home", netip.MustParseAddr("198.51.100.7"))
	w.must(err)
	if len(x.Rules) != 1 || len(x.Lines) == 0 {
		t.Errorf("it does not explain itself: %+v", x)
	}
}

func TestWhatWasToldWhileTheHubWasAwayArrives(t *testing.T) {
	w := newWorld(t)
	a, b := w.enrol("home"), w.enrol("home")
	a.attacked("198.51.100.7/32")
	w.eventually("the first block", func() bool { return b.blocks("198.51.100.7/32") })
	w.halt()
	a.attacked("198.51.100.8/32")
	b.stop() // off meanwhile, too
	w.start()
	b.connect()
	w.eventually("the block of meanwhile", func() bool { return b.blocks("198.51.100.8/32") })
	if !b.blocks("198.51.100.7/32") {
		t.Error("the first block is gone")
	}
}

func TestARestoredHubIsFollowedAndOfferedTheRest(t *testing.T) {
	w := newWorld(t)
	a, b := w.enrol("home"), w.enrol("home")
	a.attacked("198.51.100.7/32")
	w.eventually("the first block", func() bool { return b.blocks("198.51.100.7/32") })
	var backup bytes.Buffer
	w.must(w.admin.Backup(t.Context(), &backup))
	a.attacked("198.51.100.8/32") // acknowledged, and not in the backup
	w.eventually("the second block", func() bool { return b.blocks("198.51.100.8/32") })
	before, err := w.admin.Status(t.Context())
	w.must(err)
	w.restore(backup.Bytes())
	w.eventually("what was acknowledged after the backup is had again", func() bool {
		s, err := w.admin.Status(t.Context())
		return err == nil && s.Serial == before.Serial
	})
	a.attacked("198.51.100.9/32")
	w.eventually("guards follow the new epoch", func() bool { return b.blocks("198.51.100.9/32") && b.blocks("198.51.100.8/32") })
	after, err := w.admin.Status(t.Context())
	w.must(err)
	if after.Lists[0].Epoch <= before.Lists[0].Epoch || after.Unreplayed != 0 {
		t.Errorf("epoch %d after %d, %d lost", after.Lists[0].Epoch, before.Lists[0].Epoch, after.Unreplayed)
	}
}

func TestARevokedDeviceIsOutAtOnce(t *testing.T) {
	w := newWorld(t)
	a, b := w.enrol("home"), w.enrol("home")
	w.eventually("both are connected", func() bool {
		s, err := w.admin.Status(t.Context())
		return err == nil && s.Connected == 2
	})
	if _, err := w.admin.RevokeDevice(t.Context(), a.id); err != nil {
		t.Fatal(err)
	}
	w.eventually("its connection is closed", func() bool {
		d, err := w.admin.Device(t.Context(), a.id)
		return err == nil && !d.Connected
	})
	a.attacked("198.51.100.7/32")
	b.attacked("198.51.100.8/32")
	w.eventually("the other one goes on", func() bool { return b.blocks("198.51.100.8/32") })
	if b.blocks("198.51.100.7/32") {
		t.Error("the word of a revoked device counts")
	}
}

func TestATokenIsRedeemedOnce(t *testing.T) {
	w := newWorld(t)
	token, err := w.admin.NewToken(t.Context(), api.TokenWish{Owner: "home"})
	w.must(err)
	var mu sync.Mutex
	var wg sync.WaitGroup
	won, spent := 0, 0
	for range 8 {
		folder := filepath.Join(t.TempDir(), "device")
		wg.Go(func() {
			_, owner, err := uplink.Enrol(context.Background(), folder, token.Token, uplink.About{})
			mu.Lock()
			defer mu.Unlock()
			var refused *api.Error
			switch {
			case err == nil && owner == "home":
				won++
			case errors.As(err, &refused) && refused.Status == http.StatusGone:
				spent++
			default:
				t.Errorf("got %v", err)
			}
		})
	}
	wg.Wait()
	if won != 1 || spent != 7 {
		t.Errorf("%d of 8 redeemed it, %d were told that it is spent", won, spent)
	}
}

func TestAManInTheMiddleLearnsNothing(t *testing.T) {
	w, other := newWorld(t), newWorld(t)
	token, err := w.admin.NewToken(t.Context(), api.TokenWish{Owner: "home"})
	w.must(err)
	other.halt()
	w.halt()
	other.addr = w.addr // the other hub answers where the token points
	other.start()
	_, _, err = uplink.Enrol(t.Context(), filepath.Join(t.TempDir(), "device"), token.Token, uplink.About{})
	if err == nil || strings.Contains(err.Error(), "spent") {
		t.Fatalf("got %v", err)
	}
	other.halt()
	w.start()
	if _, _, err := uplink.Enrol(t.Context(), filepath.Join(t.TempDir(), "device"), token.Token, uplink.About{}); err != nil {
		t.Errorf("the token is spent: %v", err)
	}
}

func TestTheOwnersKeyReachesEveryDevice(t *testing.T) {
	w := newWorld(t)
	a := w.enrol("home")
	w.eventually("the first device claims its key", func() bool { return claims(w, a) })
	b, other := w.enrol("home"), w.enrol("stranger")
	w.eventually("the second device has the first one's key", func() bool {
		for _, d := range []*device{a, b} { // the next look of each is minutes away
			d.stop()
			d.connect()
		}
		for end := time.Now().Add(time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
			if b.knows(a.ownKey()) {
				return true
			}
		}
		return false
	})
	if other.knows(a.ownKey()) {
		t.Error("a stranger has it, too")
	}
}

func (d *device) ownKey() []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	return bytes.Clone(d.key)
}

func (d *device) knows(key []byte) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return bytes.Equal(d.key, key)
}

// claims reports whether the device's connection has made its key the owner's.
func claims(w *world, d *device) bool {
	s, err := w.admin.Device(w.t.Context(), d.id)
	return err == nil && s.Connected
}

func TestOrdersAndPasses(t *testing.T) {
	w := newWorld(t)
	a := w.enrol("home")
	stranger := w.enrol("stranger")
	_, err := w.admin.Order(t.Context(), api.Order{Verb: api.Block, Prefix: netip.MustParsePrefix("203.0.113.0/24")})
	w.must(err)
	w.eventually("everybody blocks it", func() bool { return a.blocks("203.0.113.0/24") && stranger.blocks("203.0.113.0/24") })
	_, err = w.admin.Order(t.Context(), api.Order{Verb: api.Block, Prefix: netip.MustParsePrefix("203.0.112.0/23")})
	var refused *api.Error
	if !errors.As(err, &refused) || refused.Status != http.StatusBadRequest {
		t.Errorf("a /23: %v", err)
	}
	_, err = w.admin.Order(t.Context(), api.Order{Verb: api.End, Of: api.Block, Prefix: netip.MustParsePrefix("203.0.113.0/24")})
	w.must(err)
	w.eventually("nobody does", func() bool { return !a.blocks("203.0.113.0/24") && !stranger.blocks("203.0.113.0/24") })

	a.attacked("198.51.100.7/32")
	w.eventually("the block", func() bool { return a.blocks("198.51.100.7/32") })
	_, err = w.admin.Order(t.Context(), api.Order{Verb: api.Unblock, Owner: "home", Prefix: netip.MustParsePrefix("198.51.100.7/32")})
	w.must(err)
	w.eventually("it is lifted and passes", func() bool {
		return !a.blocks("198.51.100.7/32") && a.holds("198.51.100.7/32", tocsin.Pass)
	})
	if stranger.holds("198.51.100.7/32", tocsin.Pass) {
		t.Error("an owner's order binds a stranger")
	}
}

func TestSightingsAreStampedByTheHub(t *testing.T) {
	w := newWorld(t)
	a := w.enrol("home", func(t *api.TokenWish) { t.Honeypot = true })
	a.attacked("198.51.100.7/32")
	var got []api.Event
	w.eventually("the event is there", func() bool {
		got = got[:0]
		for e, err := range w.admin.Events(t.Context(), netip.MustParsePrefix("198.51.100.7/32")) {
			w.must(err)
			got = append(got, e)
		}
		return len(got) == 1
	})
	r := got[0].Received
	if r == nil || r.Owner != "home" || r.Channel != "honeypot" || r.From != netip.MustParseAddr("127.0.0.1") || r.Sighting.Device != a.id {
		t.Errorf("got %+v", r)
	}
}

// TestARestoredHubHearsWhatWasBefore has a device tell something new before it
// notices that the hub was restored.
func TestARestoredHubHearsWhatWasBefore(t *testing.T) {
	w := newWorld(t)
	a := w.enrol("home")
	tell := func(n int) {
		for i := range n {
			a.up.Tell([]tocsin.Sighting{a.saw(fmt.Sprintf("198.51.100.%d/32", i+1), 1)})
		}
	}
	tell(3)
	w.acknowledged(3)
	var backup bytes.Buffer
	w.must(w.admin.Backup(t.Context(), &backup))
	tell(20)
	w.acknowledged(23)
	w.halt()
	tell(5) // waits, and is the first that the restored hub would hear
	w.restore(backup.Bytes())
	w.acknowledged(28)
	if s, err := w.admin.Status(t.Context()); err != nil || s.Unreplayed != 0 {
		t.Errorf("%d are lost, %v", s.Unreplayed, err)
	}
}

// acknowledged waits until the hub has so many sightings.
func (w *world) acknowledged(n uint64) {
	w.t.Helper()
	w.eventually(fmt.Sprint(n, " sightings at the hub"), func() bool {
		s, err := w.admin.Status(w.t.Context())
		return err == nil && s.Events == n
	})
}
