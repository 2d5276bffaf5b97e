package storetest

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/store"
)

func token(secret string) store.Token {
	return store.Token{Hash: sha256.Sum256([]byte(secret)), Owner: "own-1", Groups: []string{"attic"}, Honeypot: true,
		Made: Noon, Until: Noon.Add(time.Hour), By: "anna"}
}

func device(id tocsin.DeviceID) tocsin.Device {
	return tocsin.Device{ID: id, Owner: "stranger", Groups: []string{"none"}, Name: "nas", Labels: map[string]string{"model": "TS"}}
}

func refused(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: got %v, want %v", what, err, want)
	}
}

func testRedeem(t *testing.T, s *subject) {
	ctx := t.Context()
	must(t, s.AddToken(ctx, token("one")))
	must(t, s.AddToken(ctx, token("two")))
	refused(t, "a token again", s.AddToken(ctx, token("one")), store.ErrExists)
	redeem := func(secret string, now time.Time, d tocsin.Device) error {
		_, err := s.Redeem(ctx, token(secret).Hash, now, d)
		return err
	}
	refused(t, "a token that nobody made", redeem("three", Noon, device("dev-1")), store.ErrNotFound)
	refused(t, "a token too old", redeem("one", Noon.Add(time.Hour), device("dev-1")), store.ErrSpent)
	if redeem("one", Noon, device("")) == nil {
		t.Error("a device without an ID: got no error")
	}
	at := Noon.Add(time.Minute).In(time.FixedZone("", 3600))
	got, err := s.Redeem(ctx, token("one").Hash, at, device("dev-1"))
	must(t, err)
	want := device("dev-1")
	want.Owner, want.Groups, want.Honeypot, want.Enrolled = "own-1", []string{"attic"}, true, Noon.Add(time.Minute)
	same(t, "returned", got, want)
	s.reopen(t)
	got, err = s.Device(ctx, "dev-1")
	must(t, err)
	same(t, "stored", got, want)
	refused(t, "a token spent", redeem("one", Noon, device("dev-2")), store.ErrSpent)
	refused(t, "a device that exists", redeem("two", Noon, device("dev-1")), store.ErrExists)
	_, err = s.Device(ctx, "dev-2")
	refused(t, "a device that got no token", err, store.ErrNotFound)
	must(t, redeem("two", Noon, device("dev-2")))
}

func testRedeemRace(t *testing.T, s *subject) {
	for round := range 10 {
		secret := fmt.Sprint("secret ", round)
		must(t, s.AddToken(t.Context(), token(secret)))
		errs := make([]error, 16)
		var wg sync.WaitGroup
		for i := range errs {
			wg.Go(func() {
				_, errs[i] = s.Redeem(t.Context(), token(secret).Hash, Noon, device(tocsin.DeviceID(fmt.Sprintf("dev-%d-%d", round, i))))
			})
		}
		wg.Wait()
		won := 0
		for _, err := range errs {
			if err == nil {
				won++
			} else {
				refused(t, "a loser", err, store.ErrSpent)
			}
		}
		same(t, "winners", won, 1)
	}
	same(t, "devices", len(all(t, s.Devices(t.Context()))), 10)
}

func testDevices(t *testing.T, s *subject) {
	ctx := t.Context()
	for i := range 510 {
		secret := fmt.Sprint(i)
		must(t, s.AddToken(ctx, token(secret)))
		_, err := s.Redeem(ctx, token(secret).Hash, Noon, device(tocsin.DeviceID(fmt.Sprintf("dev-%03d", (i*7)%510))))
		must(t, err)
	}
	for i, d := range all(t, s.Devices(ctx)) {
		same(t, "by ID", d.ID, tocsin.DeviceID(fmt.Sprintf("dev-%03d", i)))
	}
	d, err := s.Device(ctx, "dev-007")
	must(t, err)
	d.Revoked, d.Suspect, d.Name, d.Owner = Noon.Add(time.Hour), true, "garage", "own-2"
	must(t, s.Change(ctx, d))
	got, err := s.Device(ctx, "dev-007")
	must(t, err)
	same(t, "changed", got, d)
	refused(t, "change of nobody", s.Change(ctx, device("nobody")), store.ErrNotFound)
	_, err = s.Device(ctx, "nobody")
	refused(t, "nobody", err, store.ErrNotFound)
	same(t, "devices", len(all(t, s.Devices(ctx))), 510)
}

func testStates(t *testing.T, s *subject) {
	ctx := t.Context()
	for _, id := range []tocsin.DeviceID{"dev-2", "dev-1"} {
		must(t, s.AddToken(ctx, token(string(id))))
		_, err := s.Redeem(ctx, token(string(id)).Hash, Noon, device(id))
		must(t, err)
	}
	state := store.DeviceState{At: Noon, Version: "1.2", Offset: -time.Minute, Note: "hot",
		Lists: []store.ListState{{List: "fleet/1h", Epoch: 3, Serial: 9}}}
	must(t, s.Reported(ctx, "dev-2", state))
	must(t, s.Reported(ctx, "dev-1", store.DeviceState{At: Noon}))
	state.At = Noon.Add(time.Second)
	must(t, s.Reported(ctx, "dev-2", state))
	refused(t, "nobody", s.Reported(ctx, "nobody", state), store.ErrNotFound)
	state.Device = "dev-2"
	same(t, "states", all(t, s.States(ctx)), []store.DeviceState{{Device: "dev-1", At: Noon}, state})
}

func frame(list string, epoch, serial uint64, snapshot bool, made time.Duration) store.Frame {
	return store.Frame{List: list, Epoch: epoch, Serial: serial, Snapshot: snapshot, Made: Noon.Add(made),
		Sealed: fmt.Append(nil, list, epoch, serial, snapshot)}
}

func testFrames(t *testing.T, s *subject) {
	ctx := t.Context()
	var want []store.Frame
	for i := range uint64(70) {
		want = append(want, frame("fleet/1h", 1, i+1, false, 0))
	}
	must(t, s.Publish(ctx, want))
	must(t, s.Publish(ctx, []store.Frame{frame("fleet/1h", 1, 70, true, 0), frame("owner/a/1h", 1, 1, false, 0)}))
	same(t, "all", all(t, s.FramesSince(ctx, "fleet/1h", 1, 0)), want)
	same(t, "some", all(t, s.FramesSince(ctx, "fleet/1h", 1, 68)), want[68:])
	same(t, "none", len(all(t, s.FramesSince(ctx, "fleet/1h", 1, 70))), 0)
	same(t, "of another epoch", len(all(t, s.FramesSince(ctx, "fleet/1h", 2, 0))), 0)
	same(t, "of no list", len(all(t, s.FramesSince(ctx, "fleet/24h", 1, 0))), 0)

	refused(t, "a serial again", s.Publish(ctx, []store.Frame{frame("owner/a/1h", 1, 2, false, 0), frame("fleet/1h", 1, 70, false, 0)}), store.ErrExists)
	same(t, "all or none", all(t, s.FramesSince(ctx, "owner/a/1h", 1, 0)), []store.Frame{frame("owner/a/1h", 1, 1, false, 0)})
	refused(t, "an older snapshot", s.Publish(ctx, []store.Frame{frame("fleet/1h", 1, 69, true, 0)}), store.ErrExists)
	got, err := s.Snapshot(ctx, "fleet/1h")
	must(t, err)
	same(t, "snapshot", got, frame("fleet/1h", 1, 70, true, 0))
	_, err = s.Snapshot(ctx, "owner/a/1h")
	refused(t, "no snapshot", err, store.ErrNotFound)

	must(t, s.Publish(ctx, []store.Frame{frame("fleet/1h", 1, 70, true, time.Hour)})) // signed again
	must(t, s.Publish(ctx, []store.Frame{frame("fleet/1h", 2, 1, true, time.Hour), frame("owner/b/1h", 5, 1, true, 0)}))
	s.reopen(t)
	got, err = s.Snapshot(ctx, "fleet/1h")
	must(t, err)
	same(t, "snapshot of the next epoch", got, frame("fleet/1h", 2, 1, true, time.Hour))
	heads := func(name string, want ...store.Frame) {
		t.Helper()
		got, err := s.Heads(ctx)
		must(t, err)
		same(t, name, got, want)
	}
	a, b := frame("owner/a/1h", 1, 1, false, 0), frame("owner/b/1h", 5, 1, true, 0)
	heads("heads", frame("fleet/1h", 2, 1, true, time.Hour), a, b)
	must(t, s.Publish(ctx, []store.Frame{frame("fleet/1h", 2, 2, false, time.Hour)}))
	heads("later heads", frame("fleet/1h", 2, 2, false, time.Hour), a, b)
}

func testForgetFrames(t *testing.T, s *subject) {
	ctx := t.Context()
	var frames []store.Frame
	for i := range uint64(600) {
		frames = append(frames, frame("fleet/1h", 1, i+1, false, time.Duration(i)*time.Second))
	}
	must(t, s.Publish(ctx, append(frames, frame("owner/a/1h", 1, 1, false, 0))))
	forget := func(before time.Duration, want int) {
		t.Helper()
		if n, err := s.ForgetFrames(ctx, Noon.Add(before)); err != nil || n != want {
			t.Errorf("got %d, %v; want %d", n, err, want)
		}
	}
	forget(time.Hour, 0) // without a snapshot everything is needed
	must(t, s.Publish(ctx, []store.Frame{frame("fleet/1h", 1, 500, true, 0)}))
	forget(10*time.Second, 10)
	forget(time.Hour, 490)
	same(t, "left", all(t, s.FramesSince(ctx, "fleet/1h", 1, 0)), frames[500:])
	must(t, s.Publish(ctx, []store.Frame{frame("fleet/1h", 2, 1, true, 0)}))
	forget(time.Hour, 100)
	heads, err := s.Heads(ctx)
	must(t, err)
	same(t, "heads", heads, []store.Frame{frame("fleet/1h", 2, 1, true, 0), frame("owner/a/1h", 1, 1, false, 0)})
}

func testValues(t *testing.T, s *subject) {
	ctx := t.Context()
	_, err := s.Value(ctx, "key/a")
	refused(t, "no value", err, store.ErrNotFound)
	long := bytes.Repeat([]byte{0, 255}, 1<<11)
	must(t, s.Put(ctx, "key/a", []byte("first")))
	must(t, s.Put(ctx, "key/a", long))
	must(t, s.Put(ctx, "key/b", nil))
	must(t, s.Put(ctx, "kez", []byte("x")))
	must(t, s.Put(ctx, "ke%y/_", []byte("x")))
	got, err := s.PutNew(ctx, "key/a", []byte("second"))
	must(t, err)
	same(t, "put new where there is one", got, long)
	got, err = s.PutNew(ctx, "key/ä", []byte("second"))
	must(t, err)
	same(t, "put new", got, []byte("second"))
	s.reopen(t)
	got, err = s.Value(ctx, "key/a")
	must(t, err)
	same(t, "value", got, long)
	got, err = s.Value(ctx, "key/b")
	must(t, err)
	same(t, "empty value", len(got), 0)
	for prefix, want := range map[string][]string{
		"key/": {"key/a", "key/b", "key/ä"}, "": {"ke%y/_", "key/a", "key/b", "key/ä", "kez"}, "ke%": {"ke%y/_"}, "k_": nil,
	} {
		names, err := s.Names(ctx, prefix)
		must(t, err)
		same(t, "names with "+prefix, names, want)
	}
	must(t, s.Drop(ctx, "key/a"))
	must(t, s.Drop(ctx, "key/a"))
	_, err = s.Value(ctx, "key/a")
	refused(t, "dropped", err, store.ErrNotFound)
}

func testPutNewRace(t *testing.T, s *subject) {
	got := make([]string, 16)
	var wg sync.WaitGroup
	for i := range got {
		wg.Go(func() {
			v, err := s.PutNew(t.Context(), "secret", fmt.Append(nil, i))
			if err != nil {
				t.Error(err)
			}
			got[i] = string(v)
		})
	}
	wg.Wait()
	stored, err := s.Value(t.Context(), "secret")
	must(t, err)
	for _, v := range got {
		same(t, "what each was told", v, string(stored))
	}
}

func testAccesses(t *testing.T, s *subject) {
	ctx := t.Context()
	access := func(name string) store.Access {
		return store.Access{Hash: sha256.Sum256([]byte(name)), Name: name, Role: store.Analyst, Made: Noon, Until: Noon.Add(time.Hour)}
	}
	a, b := access("a"), access("b")
	must(t, s.AddAccess(ctx, b))
	must(t, s.AddAccess(ctx, a))
	twin := access("c")
	twin.Name = "a"
	refused(t, "a name again", s.AddAccess(ctx, twin), store.ErrExists)
	twin = a
	twin.Name = "c"
	refused(t, "a hash again", s.AddAccess(ctx, twin), store.ErrExists)
	a.Used = Noon.Add(time.Minute)
	must(t, s.UseAccess(ctx, a.Hash, a.Used))
	refused(t, "use of none", s.UseAccess(ctx, access("c").Hash, Noon), store.ErrNotFound)
	s.reopen(t)
	got, err := s.Access(ctx, a.Hash)
	must(t, err)
	same(t, "access", got, a)
	list, err := s.Accesses(ctx)
	must(t, err)
	same(t, "accesses", list, []store.Access{a, b})
	must(t, s.DropAccess(ctx, "a"))
	refused(t, "drop of none", s.DropAccess(ctx, "a"), store.ErrNotFound)
	_, err = s.Access(ctx, a.Hash)
	refused(t, "dropped", err, store.ErrNotFound)
}

func testUpkeep(t *testing.T, s *subject) {
	ctx := t.Context()
	want := fill(t, s, 50)
	must(t, s.Put(ctx, "name", []byte("value")))
	must(t, s.Check(ctx))
	if size, n, err := s.Size(ctx); err != nil || n != 50 || size < 1000 {
		t.Errorf("size: got %d bytes, %d events, %v", size, n, err)
	}
	path := filepath.Join(t.TempDir(), "copy ?#%.db")
	must(t, s.Backup(ctx, path))
	if s.Backup(ctx, path) == nil {
		t.Error("a backup over another: got no error")
	}
	if fi, err := os.Stat(path); err != nil || fi.Mode().Perm()&0o077 != 0 {
		t.Errorf("others may read the backup: %v, %v", fi.Mode(), err)
	}
	same(t, "events after a backup", all(t, s.Since(ctx, 0)), want)
}

func testClosed(t *testing.T, s *subject) {
	must(t, s.Close())
	if _, err := s.Append(t.Context(), batch("dev-1", 1, 1)); !errors.Is(err, os.ErrClosed) {
		t.Errorf("append: got %v", err)
	}
	if _, err := s.Heads(t.Context()); !errors.Is(err, os.ErrClosed) {
		t.Errorf("heads: got %v", err)
	}
}
