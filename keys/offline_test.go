package keys_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"github.com/tocsin-io/tocsin/keys"
)

func offlineKeys(t *testing.T, n int) (list []*keys.OfflineKey, publics []keys.PublicKey) {
	t.Helper()
	for range n {
		k, err := keys.NewOfflineKey()
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, k)
		publics = append(publics, k.Public())
	}
	return list, publics
}

// carry takes a request to a machine, signs it there, and brings it back.
func carry(t *testing.T, r []byte, k *keys.OfflineKey) []byte {
	t.Helper()
	there, err := keys.ParseRequest(r)
	if err != nil {
		t.Fatal(err)
	}
	if err := there.Sign(k); err != nil {
		t.Fatal(err)
	}
	return file(t, there)
}

func file(t *testing.T, r *keys.Request) []byte {
	t.Helper()
	if r == nil {
		t.Fatal("no request waits for signatures")
	}
	data, err := r.Text()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// moved returns a fleet whose root is two of three offline keys.
func moved(t *testing.T) (*fleet, []*keys.OfflineKey) {
	t.Helper()
	f := newFleet(t)
	offline, publics := offlineKeys(t, 3)
	r, err := f.SetRoot(publics, 2, start.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	f.apply(start.Add(2*time.Hour), carry(t, carry(t, file(t, r), offline[0]), offline[2]))
	f.follow(start.Add(2 * time.Hour))
	return f, offline
}

func (f *fleet) apply(now time.Time, files ...[]byte) {
	f.t.Helper()
	if err := f.Apply(now, files...); err != nil {
		f.t.Fatal(err)
	}
}

func TestRootMovesOffline(t *testing.T) {
	f := newFleet(t)
	if s := f.Status(start); !s.Root.OnHub || s.Warning == "" {
		t.Errorf("the default does not say what it does not protect: %+v", s)
	}
	root := f.stolen(metadata.ROOT)
	offline, publics := offlineKeys(t, 3)
	r, err := f.SetRoot(publics, 2, start.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	now := start.Add(2 * time.Hour)
	if err := f.Apply(now, file(t, r)); !contains(err, "0 of 2 signatures") {
		t.Errorf("no signature: got %v", err)
	}
	one := carry(t, file(t, r), offline[0])
	if err := f.Apply(now, one, one); !contains(err, "1 of 2 signatures") {
		t.Errorf("one signature twice: got %v", err)
	}
	stranger, _ := offlineKeys(t, 1)
	if err := r.Sign(stranger[0]); !contains(err, "no say") {
		t.Errorf("a stranger: got %v", err)
	}
	if lines := strings.Join(r.Lines(), "\n"); !strings.Contains(lines, "+ "+publics[1].Fingerprint()) || !strings.Contains(lines, "2 of these keys") {
		t.Errorf("whoever signs does not see it:\n%s", lines)
	}
	// Each machine signs the same file; the hub puts them together. It was
	// restarted meanwhile.
	if f.Repository, err = keys.OpenRepository(f.dir); err != nil {
		t.Fatal(err)
	}
	f.apply(now, one, carry(t, file(t, f.Pending()), offline[1]))
	f.follow(now)
	s := f.Status(now)
	if s.Root.OnHub || s.Warning != "" || s.Root.Threshold != 2 || len(s.Root.Keys) != 3 || s.Root.Version != 2 || f.Pending() != nil {
		t.Errorf("status: %+v", s)
	}
	data, err := os.ReadFile(filepath.Join(f.dir, "repository.json"))
	if err != nil || strings.Contains(string(data), fmt.Sprintf("%x", root.Public())+`":`) {
		t.Errorf("the root key is still on the hub: %v", err)
	}
	// Whoever copied the old root key has nothing.
	files := f.Files()
	files["3.root.json"] = forge(t, files["2.root.json"], root, func(r *metadata.RootType) { r.Version = 3 })
	if err := f.trust.Update(set(files), now); !errors.Is(err, keys.ErrForged) {
		t.Errorf("a root of the old key: got %v", err)
	}
}

func TestOfflineRootHasTheLastWord(t *testing.T) {
	f, offline := moved(t)
	now := start.Add(46 * day)
	f.upkeep(now)
	first := f.signer(now).ID()
	if len(f.Status(now).Signing) != 1 {
		t.Fatal("the hub made a signing key by itself")
	}
	r, err := f.Rotate(now)
	if err != nil {
		t.Fatal(err)
	}
	later := start.Add(47 * day)
	f.upkeep(later) // does not lose the request
	f.follow(later)
	if f.signer(later).ID() != first || f.Pending() == nil {
		t.Error("the new key is used before it is signed for")
	}
	f.apply(later, carry(t, file(t, r), offline[1]), carry(t, file(t, r), offline[2]))
	f.follow(later)
	if f.signer(later).ID() != first {
		t.Error("the new key signs before devices can know it")
	}
	f.upkeep(later.Add(2 * day))
	if s := f.signer(later.Add(2 * day)).ID(); s == first || !f.accepts(s, later) {
		t.Error("the new key does not sign, or is not accepted")
	}
	if err := f.Apply(later, carry(t, file(t, r), offline[1]), carry(t, file(t, r), offline[2])); err == nil {
		t.Error("an old request was applied again")
	}
	// A device that was enrolled before everything, and off since, follows.
	f.follow(later.Add(2 * day))
}

func TestStolenHubWithOfflineRoot(t *testing.T) {
	f, offline := moved(t)
	now := start.Add(day)
	thief := f.Files()
	fresh := f.stolen(metadata.TIMESTAMP)
	thief["timestamp.json"] = forge(t, thief["timestamp.json"], fresh, func(s *metadata.TimestampType) {
		s.Version, s.Expires = 1<<60, start.Add(9999*day)
	})
	if err := f.trust.Update(set(thief), now); err != nil {
		t.Fatal(err)
	}
	old := f.signer(now).ID()
	r, err := f.Recover(now)
	if err != nil {
		t.Fatal(err)
	}
	f.apply(now, carry(t, carry(t, file(t, r), offline[0]), offline[1]))
	f.follow(now)
	if f.accepts(old, now) || !f.accepts(f.signer(now).ID(), now) {
		t.Error("the stolen key is accepted, or the new one is not")
	}
	if len(f.Status(now).Signing) != 1 {
		t.Errorf("signing keys: %+v", f.Status(now).Signing)
	}
}

func TestLostOfflineKeyIsReplaced(t *testing.T) {
	f, offline := moved(t)
	next, _ := offlineKeys(t, 1)
	now := start.Add(day)
	r, err := f.SetRoot([]keys.PublicKey{offline[0].Public(), offline[1].Public(), next[0].Public()}, 2, now)
	if err != nil {
		t.Fatal(err)
	}
	one := carry(t, file(t, r), offline[0])
	if err := f.Apply(now, carry(t, one, next[0])); !contains(err, "the root in force") {
		t.Errorf("one of the old keys and the new one: got %v, want refused", err)
	}
	f.apply(now, carry(t, one, offline[1]))
	f.follow(now)
	r, err = f.Rotate(now)
	if err != nil {
		t.Fatal(err)
	}
	lost, err := keys.ParseRequest(file(t, r))
	if err != nil {
		t.Fatal(err)
	}
	if err := lost.Sign(offline[2]); err == nil {
		t.Error("the lost key still signs")
	}
	f.apply(now, carry(t, file(t, r), next[0]), carry(t, file(t, r), offline[1]))
	f.follow(now)
}

func TestHubAsksEverLouder(t *testing.T) {
	f, _ := moved(t)
	last := 0
	for d := range 95 {
		now := start.Add(time.Duration(d) * day)
		f.upkeep(now)
		got := f.Due(now)
		switch {
		case got.Level < last:
			t.Errorf("day %d: level %d after %d", d, got.Level, last)
		case d < 45 && got.Level != keys.DueNothing, d >= 46 && got.Level == keys.DueNothing:
			t.Errorf("day %d: level %d", d, got.Level)
		case d >= 84 && d < 90 && got.Level < 6, d > 90 && got.Level != keys.DueOver:
			t.Errorf("day %d: level %d", d, got.Level)
		case got.Level > 0 && !strings.Contains(got.Sentence, "2 of the offline keys"):
			t.Errorf("day %d: does not say what to do: %q", d, got.Sentence)
		}
		last = got.Level
		if d < 89 {
			f.follow(now)
		}
	}
	end := start.Add(91 * day)
	if _, err := f.Signer(end); !contains(err, "tocsin keys rotate") {
		t.Errorf("no key: got %v", err)
	}
	if got := f.trust.Keys(end); len(got) != 0 {
		t.Error("devices accept a key that ended")
	}
}

func TestRequestFilesOfOthers(t *testing.T) {
	f, offline := moved(t)
	now := start.Add(day)
	r, err := f.Rotate(now)
	if err != nil {
		t.Fatal(err)
	}
	other, otherKeys := moved(t)
	theirs, err := other.Rotate(now)
	if err != nil {
		t.Fatal(err)
	}
	mine := carry(t, carry(t, file(t, r), offline[0]), offline[1])
	for name, files := range map[string][][]byte{
		"none":          nil,
		"empty":         {nil},
		"text":          {[]byte("hello")},
		"giant":         {make([]byte, keys.MaxSigning+1)},
		"another fleet": {carry(t, carry(t, file(t, theirs), otherKeys[0]), otherKeys[1])},
		"mixed":         {mine, carry(t, file(t, theirs), otherKeys[0])},
		"key changed":   {[]byte(strings.Replace(string(mine), `\"public\":\"`, `\"public\":\"A`, 1))},
		"truncated":     {mine[:len(mine)/2]},
		"null":          {[]byte(strings.Replace(string(mine), `"signatures"`, `"x":null,"signatures"`, 1))},
	} {
		if err := f.Apply(now, files...); err == nil {
			t.Errorf("%s: applied", name)
		}
	}
	if len(f.Status(now).Signing) != 1 {
		t.Error("something was changed")
	}
	f.apply(now, mine)
	for _, bad := range []struct {
		publics   []keys.PublicKey
		threshold int
	}{{nil, 0}, {nil, 1}, {[]keys.PublicKey{offline[0].Public()}, 2}, {[]keys.PublicKey{offline[0].Public(), offline[0].Public()}, 2}, {[]keys.PublicKey{{1}}, 1}} {
		if _, err := f.SetRoot(bad.publics, bad.threshold, now); err == nil {
			t.Errorf("root of %v was accepted", bad)
		}
	}
}

func TestOfflineKeyFile(t *testing.T) {
	list, publics := offlineKeys(t, 1)
	if _, err := list[0].Encrypt([]byte("short")); err == nil {
		t.Error("a short passphrase was accepted")
	}
	data, err := list[0].Encrypt([]byte("correct horse battery"))
	if err != nil {
		t.Fatal(err)
	}
	k, err := keys.OpenOfflineKey(data, []byte("correct horse battery"))
	if err != nil || k.Public().Text() != publics[0].Text() {
		t.Errorf("got %v, %v", k, err)
	}
	if _, err := keys.OpenOfflineKey(data, []byte("wrong horse battery")); !errors.Is(err, keys.ErrPassphrase) {
		t.Errorf("wrong passphrase: got %v", err)
	}
	other, err := list[0].Encrypt([]byte("correct horse battery"))
	if err != nil || string(other) == string(data) {
		t.Error("two files of one key are the same")
	}
	for name, bad := range map[string][]byte{"empty": nil, "truncated": data[:len(data)/2], "giant": make([]byte, 1<<20)} {
		if _, err := keys.OpenOfflineKey(bad, []byte("correct horse battery")); err == nil {
			t.Errorf("%s: opened", name)
		}
	}
	p, err := keys.ParsePublicKey(publics[0].Text() + "\n")
	if err != nil || p.Fingerprint() != publics[0].Fingerprint() {
		t.Errorf("public key: got %v, %v", p, err)
	}
	for _, bad := range []string{"", "tocsin1.AAAA", publics[0].Text() + "A", strings.Repeat("A", 1<<20)} {
		if _, err := keys.ParsePublicKey(bad); err == nil {
			t.Errorf("%.40q was read", bad)
		}
	}
	if shown := fmt.Sprintf("%v %+v %#v", k, k, k); !strings.Contains(shown, "offline key") || strings.Count(shown, "[") > 0 {
		t.Errorf("the key shows: %s", shown)
	}
}
