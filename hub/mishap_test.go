package hub

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/feed"
	"github.com/tocsin-io/tocsin/ruleset"
	"github.com/tocsin-io/tocsin/store"
	"github.com/tocsin-io/tocsin/store/sqlite"
)

func newStore(t *testing.T) *sqlite.Store {
	t.Helper()
	db, err := sqlite.Open(t.Context(), t.TempDir(), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// TestAPassIsNotLost has the order fail, then whoever redeems it hang up.
func TestAPassIsNotLost(t *testing.T) {
	failing := true
	passed := false
	p := &passes{
		values: newStore(t), now: time.Now,
		order: func(ctx context.Context, _ tocsin.Order) (tocsin.Event, error) {
			if failing {
				return tocsin.Event{}, store.ErrFull
			}
			passed = ctx.Err() == nil
			return tocsin.Event{}, ctx.Err()
		},
		held: func(context.Context, tocsin.OwnerID, netip.Addr) (bool, error) { return !passed, nil },
	}
	code, source := [32]byte{7}, netip.MustParsePrefix("198.51.100.7/32")
	if err := p.AddPasses(t.Context(), "home", [][32]byte{code}, "test"); err != nil {
		t.Fatal(err)
	}
	if _, err := p.RedeemPass(t.Context(), code, source); !errors.Is(err, store.ErrFull) {
		t.Fatalf("got %v", err)
	}
	failing = false
	hungUp, cancel := context.WithCancel(t.Context())
	wait := p.held
	p.held = func(ctx context.Context, o tocsin.OwnerID, a netip.Addr) (bool, error) {
		cancel()
		return wait(ctx, o, a)
	}
	if r, err := p.RedeemPass(hungUp, code, source); err != nil || !r.Lifted {
		t.Fatalf("it is lost: %+v, %v", r, err)
	}
	if _, err := p.RedeemPass(t.Context(), code, source); !errors.Is(err, store.ErrSpent) {
		t.Errorf("used twice: %v", err)
	}
}

type theDevices = store.Devices // an embedded one would hide its method of that name

// slowDevices lets others in between reading and storing.
type slowDevices struct {
	theDevices
	meanwhile func()
}

func (s slowDevices) Change(ctx context.Context, d tocsin.Device) error {
	s.meanwhile()
	return s.theDevices.Change(ctx, d)
}

// TestARevocationIsNotOverwritten revokes a device while its labels change.
func TestARevocationIsNotOverwritten(t *testing.T) {
	db := newStore(t)
	hash := [32]byte{1}
	now := time.Now()
	if err := db.AddToken(t.Context(), store.Token{Hash: hash, Owner: "home", Made: now, Until: now.Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Redeem(t.Context(), hash, now, tocsin.Device{ID: "d-1"}); err != nil {
		t.Fatal(err)
	}
	r := &registry{
		log: slog.New(slog.DiscardHandler), store: db, now: time.Now, drop: func(tocsin.DeviceID) {},
		heads:     func() map[ruleset.Position]int { return nil },
		followers: func() map[tocsin.DeviceID]feed.Follower { return nil },
	}
	if err := r.load(t.Context()); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var once sync.Once
	r.store = slowDevices{db, func() {
		once.Do(func() {
			wg.Go(func() {
				if _, err := r.Revoke(t.Context(), "d-1", "somebody"); err != nil {
					t.Error(err)
				}
			})
			time.Sleep(20 * time.Millisecond) // long enough to overtake, if it can
		})
	}}
	name := "nas"
	if _, err := r.Change(t.Context(), "d-1", api.DeviceChange{Name: &name}, "somebody else"); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	d, err := db.Device(t.Context(), "d-1")
	if err != nil || d.Revoked.IsZero() || d.Name != name || !r.Revoked("d-1") {
		t.Errorf("got %+v, %v", d, err)
	}
}

// TestABrokenRestoreIsNoHub restores half a backup, then all of it.
func TestABrokenRestoreIsNoHub(t *testing.T) {
	db := newStore(t)
	folder := t.TempDir()
	if err := os.MkdirAll(filepath.Join(folder, keysFolder), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, keysFolder, "ca.pem"), []byte("key"), 0o600); err != nil {
		t.Fatal(err)
	}
	u := &upkeep{hub: &Hub{cfg: Config{Folder: folder}, deps: Deps{Store: db}}}
	var backup bytes.Buffer
	if err := u.Backup(t.Context(), &backup); err != nil {
		t.Fatal(err)
	}
	to := t.TempDir()
	for _, part := range []int{backup.Len() / 2, backup.Len() - 4} {
		if err := Restore(to, bytes.NewReader(backup.Bytes()[:part])); err == nil {
			t.Fatalf("%d bytes are a backup", part)
		}
		if _, err := os.Stat(filepath.Join(to, databaseFile)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%d bytes leave a database: %v", part, err)
		}
	}
	if err := Restore(to, &backup); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{databaseFile, restoredFile, filepath.Join(keysFolder, "ca.pem")} {
		if _, err := os.Stat(filepath.Join(to, name)); err != nil {
			t.Error(err)
		}
	}
	if err := Restore(to, &backup); err == nil {
		t.Error("a hub is overwritten")
	}
}
