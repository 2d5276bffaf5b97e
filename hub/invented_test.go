package hub_test

import (
	"errors"
	"log/slog"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/hub"
	"github.com/tocsin-io/tocsin/internal/clock"
	"github.com/tocsin-io/tocsin/keys"
	"github.com/tocsin-io/tocsin/uplink"
)

// october is a demo's clock, before this program could be built.
func october(w *world) {
	w.clock = clock.New(clock.State{Shows: time.Date(2023, 10, 14, 18, 0, 0, 0, time.UTC), Speed: 100})
	w.now = w.clock.Now
}

// TestDemoTakesOnlyItsOwn: a hub whose time is invented serves devices of the same
// clock, and neither believes anybody whose time is real.
func TestDemoTakesOnlyItsOwn(t *testing.T) {
	demo, usual := newWorld(t, october), newWorld(t)
	token := func(w *world) string {
		made, err := w.admin.NewToken(t.Context(), api.TokenWish{Owner: "home"})
		w.must(err)
		return made.Token
	}
	enrol := func(token string, clk *clock.Clock) error {
		_, _, err := uplink.Enrol(t.Context(), filepath.Join(t.TempDir(), "device"), token, uplink.About{Clock: clk})
		return err
	}
	if err := enrol(token(demo), nil); !errors.Is(err, keys.ErrInvented) || !strings.Contains(err.Error(), "enrol this device with a real hub") {
		t.Errorf("an ordinary device is told %v by a demo", err)
	}
	if err := enrol(token(usual), demo.clock); !errors.Is(err, keys.ErrInvented) || !strings.Contains(err.Error(), "does not talk to a real hub") {
		t.Errorf("a demo's device is told %v by an ordinary hub", err)
	}
	if d := demo.enrol("home"); !d.up.Status().Certificate.Before(demo.now().AddDate(0, 2, 0)) {
		t.Errorf("the certificate ends %v", d.up.Status().Certificate)
	} else {
		_, err := demo.admin.Order(t.Context(), api.Order{Verb: api.Block, Prefix: netip.MustParsePrefix("203.0.113.7/32"), Seconds: 3600})
		demo.must(err)
		demo.eventually("the order is in force", func() bool { return d.blocks("203.0.113.7/32") })
	}
}

// TestHubsRefuseWhatIsNotMarked: the hub itself looks, too, whatever the device
// believes.
func TestHubsRefuseWhatIsNotMarked(t *testing.T) {
	for name, tune := range map[string]func(*world){"demo": october, "usual": func(*world) {}} {
		w := newWorld(t, tune)
		made, err := w.admin.NewToken(t.Context(), api.TokenWish{Owner: "home"})
		w.must(err)
		token, err := keys.ParseToken(made.Token)
		w.must(err)
		judge := keys.NewClock(time.Now, keys.Built(), time.Time{})
		if w.clock.Invented() {
			judge = keys.NewInventedClock(w.now)
		}
		conn, _, err := token.Dial(t.Context(), judge, "http/1.1")
		w.must(err)
		_, err = api.OverConn(conn).Enrol(t.Context(), api.Enrolment{
			Secret: token.Secret.Text(), CSR: "unread", SealingKey: make([]byte, 32), Invented: !w.clock.Invented(),
		})
		if err == nil || !strings.Contains(err.Error(), "whose time is invented") {
			t.Errorf("%s: a device that is marked otherwise is told %v", name, err)
		}
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestKeysOfTheOtherKind: neither hub starts on the keys of the other.
func TestKeysOfTheOtherKind(t *testing.T) {
	clk := clock.New(clock.State{Shows: time.Date(2023, 10, 14, 18, 0, 0, 0, time.UTC), Speed: 100})
	usual, err := keys.CreateAuthority(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	invented, err := keys.CreateInvented(t.TempDir(), clk.Now())
	if err != nil {
		t.Fatal(err)
	}
	for _, deps := range []hub.Deps{{Authority: usual, Clock: clk}, {Authority: invented}} {
		deps.Log, deps.Metrics = slog.New(slog.DiscardHandler), prometheus.NewRegistry()
		if _, err := hub.New(t.Context(), hub.Config{Folder: t.TempDir()}, deps); !errors.Is(err, keys.ErrInvented) {
			t.Errorf("the hub starts with %v", err)
		}
	}
}
