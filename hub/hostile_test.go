package hub_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/keys"
)

// What bad input gets, and where it is tried:
//
//	malformed, oversized batches          api: TestABadBatchIsRefusedWhole, TestABombIsNotUnpacked, FuzzBatch
//	replayed, forged, future-dated        here: TestHostileBatchesLeaveNothing
//	a device that lies, alone among 100   here: TestALiarAmongAHundred
//	thousands of Sybils in two networks   hostile_fleet_test.go: TestSybilsInTwoNetworks; quorum: TestP1TwoNetworks, TestCost
//	1 % reporting lost sessions           hostile_fleet_test.go: TestOnePercentUndoesNoBlock; quorum: TestLost
//	frames tampered with, truncated       hostile_frames_test.go: TestASeizedHub; ruleset: TestTampered, FuzzOpen
//	… older, of another hub, mixed        hostile_frames_test.go: TestASeizedHub
//	… with a stolen online key            hostile_frames_test.go: TestASeizedHub; ruleset: TestStolenKey; keys: TestStolenOnlineKeyIsRevoked
//	… frozen                              ruleset: TestFrozen; feed: TestHalfOpen
//	a man in the middle at enrolment      TestAManInTheMiddleLearnsNothing; keys: TestManInTheMiddleLearnsNothing
//	a token raced                         TestATokenIsRedeemedOnce
//	a device off for 90 days              hostile_time_test.go: TestOffForNinetyDays
//	clocks at 1970 and 2038               hostile_time_test.go: TestAClockOf1970, TestAClockOf2038; guard: TestARestartAt1970
//	disk full                             hostile_store_test.go: TestTheDiskIsFull; store/sqlite: TestTinyDisk
//	database locked or damaged            hostile_store_test.go: TestADatabaseThatFails; store/sqlite: TestHeldByAnotherProgram, TestFlippedBytes
//	slow readers, half-open connections   feed: TestSlowDevice, TestHalfOpen; feed/fanout: TestStalledPeersAreDropped
//	descriptors exhausted                 hostile_store_test.go: TestDescriptorsRunOut; feed: TestFullIsToldWithADelay

// client talks to the hub as the device, without its uplink.
func (d *device) client() *api.Client {
	d.w.t.Helper()
	return api.AsDevice(d.w.addr, d.tls())
}

func (d *device) tls() *tls.Config {
	d.w.t.Helper()
	id, err := keys.OpenIdentity(d.folder)
	d.w.must(err)
	config, err := id.TLS(keys.NewClock(d.now, keys.Built(), time.Time{}))
	d.w.must(err)
	return config
}

func (d *device) send(ctx context.Context, batch ...tocsin.Sighting) (api.Taken, error) {
	c := d.client()
	defer c.Close()
	return c.Send(ctx, d.now(), batch)
}

func TestHostileBatchesLeaveNothing(t *testing.T) {
	w := newWorld(t)
	victim, thief := w.enrol("home"), w.enlist(api.TokenWish{Owner: "thief"})
	refused := func(status int, s tocsin.Sighting) {
		t.Helper()
		var e *api.Error
		if _, err := thief.send(t.Context(), s); !errors.As(err, &e) || e.Status != status {
			t.Errorf("got %v, want %d", err, status)
		}
	}
	forged := thief.saw("198.51.100.1/32", 5, tocsin.BlockedHere)
	forged.ID.Device = victim.id
	refused(http.StatusForbidden, forged)
	ahead := thief.saw("198.51.100.2/32", 5, tocsin.BlockedHere)
	ahead.Last = ahead.Last.Add(24 * time.Hour)
	refused(http.StatusUnprocessableEntity, ahead)
	wide := thief.saw("198.51.100.0/24", 5, tocsin.BlockedHere)
	refused(http.StatusBadRequest, wide)

	once := thief.saw("198.51.100.3/32", 5, tocsin.BlockedHere)
	for i := range 5 {
		if i == 3 { // for ever: a restart forgets nothing
			w.halt()
			w.start()
		}
		taken, err := thief.send(t.Context(), once)
		if err != nil || taken.Accepted+taken.Repeated != 1 || (taken.Accepted == 1) != (i == 0) {
			t.Fatalf("time %d: %+v, %v", i, taken, err)
		}
	}
	victim.attacked("198.51.100.4/32")
	w.eventually("an honest device is heard", func() bool { return victim.blocks("198.51.100.4/32") })
	if s, err := w.admin.Status(t.Context()); err != nil || s.Events != 2 {
		t.Errorf("%d events, want one of each: %v", s.Events, err)
	}
	for i := 1; i < 4; i++ {
		if victim.blocks(fmt.Sprintf("198.51.100.%d/32", i)) {
			t.Errorf("198.51.100.%d is blocked at somebody else's", i)
		}
	}
}

// TestALiarAmongAHundred has one device of a hundred blame whom it must not, and
// half the internet.
func TestALiarAmongAHundred(t *testing.T) {
	w := newWorld(t)
	liar, sibling, other := w.enlist(api.TokenWish{Owner: "liar"}), w.enrol("liar"), w.enrol("honest")
	for i := range 97 {
		w.enlist(api.TokenWish{Owner: tocsin.OwnerID(fmt.Sprint("owner", i))})
	}
	var lies []tocsin.Sighting
	for _, s := range []string{"9.9.9.9/32", "1.1.1.1/32"} { // on the hub's allowlist; shared by many
		lies = append(lies, liar.saw(s, 5, tocsin.BlockedHere))
	}
	const half = 4000
	for i := range half {
		a := netip.AddrFrom4([4]byte{198, 18 + byte(i>>15), byte(i >> 4), byte(i << 4)})
		lies = append(lies, liar.saw(a.String()+"/32", 5, tocsin.BlockedHere))
	}
	for len(lies) > 0 {
		n := min(len(lies), api.MaxBatch)
		if _, err := liar.send(t.Context(), lies[:n]...); err != nil {
			t.Fatal(err)
		}
		lies = lies[n:]
	}
	other.attacked("203.0.113.7/32")
	w.eventually("all of it is decided", func() bool { return other.blocks("203.0.113.7/32") })
	count := func(owner tocsin.OwnerID) (n int) {
		for r, err := range w.admin.Rules(t.Context(), owner) {
			w.must(err)
			if n++; r.Prefix == netip.MustParsePrefix("9.9.9.9/32") {
				t.Errorf("the allowlist is blocked at %q", owner)
			}
		}
		return n
	}
	if n := count(""); n != 0 {
		t.Errorf("%d rules bind everybody", n)
	}
	if n := count("honest"); n != 1 {
		t.Errorf("another owner has %d rules, want its own", n)
	}
	// Its own owner believes it, within the quota of an hour.
	if n := count("liar"); n == 0 || n > 50 {
		t.Errorf("its owner has %d rules", n)
	}
	if _, err := w.admin.ChangeDevice(t.Context(), liar.id, api.DeviceChange{Suspect: ptr(true)}); err != nil {
		t.Fatal(err)
	}
	before := count("liar")
	if _, err := liar.send(t.Context(), liar.saw("198.51.100.200/32", 5, tocsin.BlockedHere)); err != nil {
		t.Fatal(err)
	}
	sibling.attacked("198.51.100.201/32")
	w.eventually("its sibling is believed", func() bool { return sibling.blocks("198.51.100.201/32") })
	if n := count("liar"); n != before+1 || sibling.blocks("198.51.100.200/32") {
		t.Errorf("a suspect goes on: %d rules after %d", n, before)
	}
}

func ptr[T any](v T) *T { return &v }
