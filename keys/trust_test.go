package keys_test

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/theupdateframework/go-tuf/v2/metadata"

	"github.com/tocsin-io/tocsin/keys"
	"github.com/tocsin-io/tocsin/ruleset"
)

// A fleet is a repository in a folder and one device that trusts it.
type fleet struct {
	t *testing.T
	*keys.Repository
	dir   string
	trust *keys.Trust
	home  string // of the device
}

func newFleet(t *testing.T) *fleet {
	t.Helper()
	f := &fleet{t: t, dir: t.TempDir()}
	r, err := keys.CreateRepository(f.dir, start)
	if err != nil {
		t.Fatal(err)
	}
	f.Repository = r
	f.home = t.TempDir()
	f.trust, err = keys.Pin(f.home, r.Root())
	if err != nil {
		t.Fatal(err)
	}
	f.follow(start)
	return f
}

// follow has the device update; it must succeed.
func (f *fleet) follow(now time.Time) {
	f.t.Helper()
	if err := f.trust.Update(f.File, now); err != nil {
		f.t.Fatalf("update at %s: %v", now, err)
	}
}

func (f *fleet) upkeep(now time.Time) {
	f.t.Helper()
	if err := f.Upkeep(now); err != nil {
		f.t.Fatalf("upkeep at %s: %v", now, err)
	}
}

func (f *fleet) signer(now time.Time) ruleset.Signer {
	f.t.Helper()
	s, err := f.Signer(now)
	if err != nil {
		f.t.Fatalf("signer at %s: %v", now, err)
	}
	return s
}

// accepts reports whether the device accepts what that key signs at now.
func (f *fleet) accepts(id ruleset.KeyID, now time.Time) bool {
	return slices.ContainsFunc(f.trust.Keys(now), func(k ruleset.Key) bool {
		return k.ID == id && !now.Before(k.From) && now.Before(k.Until)
	})
}

// set serves files by name.
func set(files map[string][]byte) func(string) ([]byte, error) {
	return func(name string) ([]byte, error) {
		if data, ok := files[name]; ok {
			return data, nil
		}
		return nil, fs.ErrNotExist
	}
}

// stolen returns a private key as somebody finds it who read the hub's folder:
// that of the hub that signs a role.
func (f *fleet) stolen(role string) ed25519.PrivateKey {
	f.t.Helper()
	data, err := os.ReadFile(filepath.Join(f.dir, "repository.json"))
	if err != nil {
		f.t.Fatal(err)
	}
	var s struct{ Secrets map[string][]byte }
	if err := json.Unmarshal(data, &s); err != nil {
		f.t.Fatal(err)
	}
	root, err := new(metadata.Metadata[metadata.RootType]).FromBytes(f.Root())
	if err != nil {
		f.t.Fatal(err)
	}
	id := root.Signed.Roles[role].KeyIDs[0]
	seed := s.Secrets[root.Signed.Keys[id].Value.PublicKey]
	if len(seed) == 0 {
		f.t.Fatalf("no key of role %s on the hub", role)
	}
	return ed25519.NewKeyFromSeed(seed)
}

// forge changes a file's content and signs it with key.
func forge[T metadata.Roles](t *testing.T, data []byte, key ed25519.PrivateKey, change func(*T)) []byte {
	t.Helper()
	m, err := new(metadata.Metadata[T]).FromBytes(data)
	if err != nil {
		t.Fatal(err)
	}
	change(&m.Signed)
	m.ClearSignatures()
	s, err := signature.LoadED25519Signer(key)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Sign(s); err != nil {
		t.Fatal(err)
	}
	data, err = m.ToBytes(false)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestDeviceFollowsTheHub(t *testing.T) {
	f := newFleet(t)
	s := f.signer(start)
	if !f.accepts(s.ID(), start) {
		t.Fatalf("the device does not accept %s: %v", s.ID(), f.trust.Keys(start))
	}
	sig, err := s.Sign([]byte("frame"))
	if err != nil || !ed25519.Verify(f.trust.Keys(start)[0].Public, []byte("frame"), sig) {
		t.Errorf("signature does not hold: %v", err)
	}
	if w := f.trust.Warning(start); w != "" {
		t.Errorf("warns of %q", w)
	}
	again, err := keys.OpenTrust(f.home)
	if err != nil || len(again.Keys(start)) != 1 || !again.Until().Equal(f.trust.Until()) {
		t.Errorf("after a restart: %v, %v", again, err)
	}
	r, err := keys.OpenRepository(f.dir)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := r.Signer(start); err != nil || got.ID() != s.ID() {
		t.Errorf("hub after a restart: %v, %v", got, err)
	}
	if _, err := keys.CreateRepository(f.dir, start); !errors.Is(err, fs.ErrExist) {
		t.Errorf("second repository: got %v", err)
	}
	if _, err := f.File("repository.json"); !errors.Is(err, fs.ErrNotExist) {
		t.Error("the private file is served")
	}
	for name, data := range f.Files() {
		if len(data) > keys.MaxFile || strings.ContainsAny(name, "/\\") {
			t.Errorf("file %q of %d bytes", name, len(data))
		}
	}
}

func TestKeysRotateByThemselves(t *testing.T) {
	f := newFleet(t)
	seldom, err := keys.Pin(t.TempDir(), f.Root())
	if err != nil {
		t.Fatal(err)
	}
	used := map[ruleset.KeyID]bool{}
	for h := 0; h < 3*365*24; h += 72 {
		now := start.Add(time.Duration(h) * time.Hour)
		f.upkeep(now)
		s := f.signer(now)
		// The device asked days ago, and yet knows the key.
		if !f.accepts(s.ID(), now) {
			t.Fatalf("%s: %s is not accepted", now, s.ID())
		}
		used[s.ID()] = true
		f.follow(now)
		if h%(90*24) == 0 { // another is off for 90 days at a time
			if err := seldom.Update(f.File, now); err != nil || len(seldom.Keys(now)) == 0 {
				t.Fatalf("%s: off for 90 days: %v", now, err)
			}
		}
		if d := f.Due(now); d.Level != keys.DueNothing || d.Sentence != "" {
			t.Fatalf("%s: asks for %+v", now, d)
		}
	}
	if got, want := len(used), 3*365/45+1; got != want {
		t.Errorf("%d keys signed in three years, want %d", got, want)
	}
	if f.trust.Root() < 3 {
		t.Errorf("root is version %d after three years: it was not renewed", f.trust.Root())
	}
}

func TestHubThatWasOff(t *testing.T) {
	f := newFleet(t)
	old := f.signer(start).ID()
	for _, off := range []time.Duration{8 * day, 90 * day, 401 * day, 5000 * day} {
		now := start.Add(off)
		if got := f.trust.Keys(now); len(got) != 0 {
			t.Errorf("after %v without the hub: %d keys are accepted", off, len(got))
		}
		if w := f.trust.Warning(now); !strings.Contains(w, "out of date") {
			t.Errorf("after %v: warns %q", off, w)
		}
		if err := f.trust.Update(f.File, now); !errors.Is(err, keys.ErrRanOut) {
			t.Errorf("after %v: got %v, want %v", off, err, keys.ErrRanOut)
		}
	}
	now := start.Add(401 * day)
	f.upkeep(now)
	f.follow(now)
	if s := f.signer(now); !f.accepts(s.ID(), now) || f.accepts(old, now) {
		t.Error("the device does not follow the hub that came back")
	}
}

func TestAttacks(t *testing.T) {
	f := newFleet(t)
	before := f.Files()
	next := start.Add(2 * day)
	f.upkeep(next)
	if _, err := f.Rotate(next); err != nil {
		t.Fatal(err)
	}
	f.follow(next)
	now := f.Files()
	other, err := keys.CreateRepository(t.TempDir(), next)
	if err != nil {
		t.Fatal(err)
	}
	with := func(files map[string][]byte, change func(map[string][]byte)) map[string][]byte {
		files = maps.Clone(files)
		change(files)
		return files
	}
	fresh := f.stolen(metadata.TIMESTAMP)
	for _, tt := range []struct {
		name  string
		files map[string][]byte
		at    time.Duration
		want  error
	}{
		{"rolled back", before, 0, keys.ErrRolledBack},
		{"another hub", other.Files(), 0, keys.ErrForged},
		{"frozen", now, 8 * day, keys.ErrRanOut},
		{"2038", now, 12 * 365 * day, keys.ErrRanOut},
		{"nothing", nil, 0, fs.ErrNotExist},
		{"a root of another hub", with(now, func(m map[string][]byte) { m["2.root.json"] = other.Root() }), 0, keys.ErrForged},
		{"a root signed by the key of the timestamp", with(now, func(m map[string][]byte) {
			m["2.root.json"] = forge(t, f.Root(), fresh, func(r *metadata.RootType) { r.Version = 2 })
		}), 0, keys.ErrForged},
		{"a snapshot of before under a new timestamp", with(now, func(m map[string][]byte) {
			mix(t, m, before, fresh)
		}), 0, keys.ErrRolledBack},
		{"null", with(now, func(m map[string][]byte) {
			m["timestamp.json"] = forge(t, m["timestamp.json"], fresh, func(s *metadata.TimestampType) { s.Version++; s.Meta["snapshot.json"] = nil })
		}), 0, keys.ErrForged},
		{"giant", with(now, func(m map[string][]byte) { m["timestamp.json"] = make([]byte, keys.MaxFile+1) }), 0, keys.ErrForged},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := f.trust.Update(set(tt.files), next.Add(tt.at))
			if !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			if got := f.trust.Keys(next); len(got) != 2 {
				t.Errorf("%d keys are accepted afterwards, want the 2 of before", len(got))
			}
		})
	}
	f.follow(next.Add(time.Hour))
}

// mix puts an old snapshot under a timestamp that the thief of its key makes.
func mix(t *testing.T, m, old map[string][]byte, fresh ed25519.PrivateKey) {
	for name, data := range old {
		version, ok := strings.CutSuffix(name, ".snapshot.json")
		if !ok {
			continue
		}
		m["timestamp.json"] = forge(t, m["timestamp.json"], fresh, func(s *metadata.TimestampType) {
			s.Version++
			sum := sha256.Sum256(data)
			var v int64
			if err := json.Unmarshal([]byte(version), &v); err != nil {
				t.Fatal(err)
			}
			s.Meta["snapshot.json"] = &metadata.MetaFiles{Version: v, Length: int64(len(data)), Hashes: metadata.Hashes{"sha256": sum[:]}}
		})
		m[name] = data
	}
}

func TestMixedFilesAreRefused(t *testing.T) {
	f := newFleet(t)
	before := f.Files()
	now := start.Add(2 * day)
	if _, err := f.Rotate(now); err != nil {
		t.Fatal(err)
	}
	kinds := []string{".snapshot.json", ".targets.json", ".keys.json"}
	// Each file of before in the place of its successor.
	for _, kind := range kinds {
		files := f.Files()
		var old []byte
		for name, data := range before {
			if strings.HasSuffix(name, kind) {
				old = data
			}
		}
		for name := range files {
			if strings.HasSuffix(name, kind) {
				files[name] = old
			}
		}
		if err := f.trust.Update(set(files), now); !errors.Is(err, keys.ErrForged) {
			t.Errorf("old %s: got %v, want %v", kind, err, keys.ErrForged)
		}
	}
	f.follow(now)
}

func TestEveryByteIsSigned(t *testing.T) {
	f := newFleet(t)
	now := start.Add(2 * day)
	if _, err := f.Rotate(now); err != nil {
		t.Fatal(err)
	}
	good := f.Files()
	var trust *keys.Trust
	for name, data := range good {
		if strings.HasSuffix(name, "root.json") {
			continue // the device has it
		}
		for i := 0; i < len(data); i += 5 {
			if trust == nil {
				var err error
				if trust, err = keys.Pin(t.TempDir(), f.Root()); err != nil {
					t.Fatal(err)
				}
			}
			files := maps.Clone(good)
			files[name] = slices.Clone(data)
			files[name][i] ^= 1
			err := trust.Update(set(files), now)
			if err != nil && len(trust.Keys(now)) != 0 {
				t.Fatalf("%s, byte %d: refused and yet believed", name, i)
			}
			if err == nil {
				// Only what says nothing may change, such as the name of a field that
				// nobody knows then.
				if len(trust.Keys(now)) != 2 || name != "timestamp.json" {
					t.Fatalf("%s, byte %d: accepted, with %d keys", name, i, len(trust.Keys(now)))
				}
				trust = nil
			}
		}
	}
}

func TestRecoveryFromFilesOfTheFuture(t *testing.T) {
	f := newFleet(t)
	files := f.Files()
	files["timestamp.json"] = forge(t, files["timestamp.json"], f.stolen(metadata.TIMESTAMP), func(s *metadata.TimestampType) { s.Version = 1 << 60 })
	if err := f.trust.Update(set(files), start); err != nil {
		t.Fatalf("the thief has the key, and is yet refused: %v", err)
	}
	now := start.Add(day)
	f.upkeep(now)
	if err := f.trust.Update(f.File, now); !errors.Is(err, keys.ErrRolledBack) {
		t.Fatalf("got %v, want %v", err, keys.ErrRolledBack)
	}
	old := f.signer(now).ID()
	if _, err := f.Recover(now); err != nil {
		t.Fatal(err)
	}
	f.follow(now)
	if s := f.signer(now).ID(); !f.accepts(s, now) || f.accepts(old, now) {
		t.Error("after the recovery the device accepts the stolen key, or not the new one")
	}
	if err := f.trust.Update(set(files), now); err == nil {
		t.Error("the thief's timestamp still counts")
	}
}

func TestStolenOnlineKeyIsRevoked(t *testing.T) {
	f := newFleet(t)
	old := f.signer(start).ID()
	if _, err := f.Revoke(ruleset.KeyID{1}, start); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a key that is not: got %v", err)
	}
	now := start.Add(time.Hour)
	if _, err := f.Revoke(old, now); err != nil {
		t.Fatal(err)
	}
	if s := f.signer(now).ID(); s == old {
		t.Error("the hub still signs with it")
	}
	f.follow(now)
	if f.accepts(old, now) || !f.accepts(f.signer(now).ID(), now) {
		t.Error("the device still accepts it, or not the new one")
	}
	data, err := os.ReadFile(filepath.Join(f.dir, "repository.json"))
	if err != nil || strings.Contains(string(data), hex.EncodeToString(old[:])) {
		t.Errorf("the stolen key is still kept: %v", err)
	}
}

func TestRestoredHubGoesOn(t *testing.T) {
	f := newFleet(t)
	path := filepath.Join(f.dir, "repository.json")
	backup, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for d := range 10 {
		f.upkeep(start.Add(time.Duration(d) * day))
		if _, err := f.Rotate(start.Add(time.Duration(d) * day)); err != nil {
			t.Fatal(err)
		}
		f.follow(start.Add(time.Duration(d) * day))
	}
	if err := os.WriteFile(path, backup, 0o600); err != nil {
		t.Fatal(err)
	}
	if f.Repository, err = keys.OpenRepository(f.dir); err != nil {
		t.Fatal(err)
	}
	now := start.Add(10 * day)
	f.upkeep(now)
	if _, err := f.Rotate(now); err != nil {
		t.Fatal(err)
	}
	f.follow(now)
	if !f.accepts(f.signer(now).ID(), now) {
		t.Error("the device does not accept the restored hub's key")
	}
}

func TestHubWhoseClockWasWrong(t *testing.T) {
	f := newFleet(t)
	f.upkeep(time.Date(2038, 1, 19, 3, 14, 8, 0, time.UTC))
	now := start.Add(day)
	if err := f.trust.Update(f.File, now); err != nil {
		t.Fatal(err)
	}
	f.upkeep(now)
	f.follow(now)
	if !f.accepts(f.signer(now).ID(), now) {
		t.Error("no key is accepted after the clock was set right")
	}
	if left := f.trust.Until().Sub(now); left > 8*day {
		t.Errorf("what was fetched lasts for %v", left)
	}
}

func TestLimitsAreNeverAboveTheCompiled(t *testing.T) {
	f := newFleet(t)
	if got := f.trust.Limits("small"); got != ruleset.DefaultLimits() {
		t.Errorf("none set: got %+v", got)
	}
	small, huge := ruleset.DefaultLimits(), ruleset.DefaultLimits()
	small.Entries = 50_000
	huge.Entries, huge.Growth, huge.Widest4, huge.TTL = 1<<30, 1<<30, 1, 9999*time.Hour
	if _, err := f.SetLimits(map[string]ruleset.Limits{"small": small, "huge": huge}, start.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	f.follow(start.Add(time.Hour))
	if got := f.trust.Limits("small"); got != small {
		t.Errorf("small: got %+v, want %+v", got, small)
	}
	if got := f.trust.Limits("huge"); got != ruleset.DefaultLimits() {
		t.Errorf("huge: got %+v, want what is compiled in", got)
	}
	if _, err := f.SetLimits(map[string]ruleset.Limits{"a b": small}, start); err == nil {
		t.Error("a class of two words was accepted")
	}
}

func TestDamagedFilesSaySo(t *testing.T) {
	f := newFleet(t)
	for _, path := range []string{filepath.Join(f.dir, "repository.json"), filepath.Join(f.home, "trust.json")} {
		for _, cut := range []int64{0, 10, 500} {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, data[:cut], 0o600); err != nil {
				t.Fatal(err)
			}
			_, err1 := keys.OpenRepository(f.dir)
			_, err2 := keys.OpenTrust(f.home)
			if err := errors.Join(err1, err2); !contains(err, "damaged") {
				t.Errorf("%s cut to %d: got %v", filepath.Base(path), cut, err)
			}
			if err := os.WriteFile(path, data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := keys.Pin(t.TempDir(), []byte(`{"signed":{"_type":"root"},"signatures":[]}`)); err == nil {
		t.Error("a root without keys was pinned")
	}
}
