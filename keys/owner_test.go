package keys_test

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tocsin-io/tocsin/keys"
)

func TestOwnerKeyReachesTheOtherDevices(t *testing.T) {
	k := keys.NewOwnerKey()
	dir := t.TempDir()
	second, err := keys.OpenSealingKey(dir)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := k.Seal("smith", "nas-2", second.Public())
	if err != nil {
		t.Fatal(err)
	}
	second, err = keys.OpenSealingKey(dir) // the device was restarted meanwhile
	if err != nil {
		t.Fatal(err)
	}
	got, err := second.Unseal(sealed, "smith", "nas-2", k.Fingerprint())
	if err != nil || got != k {
		t.Fatalf("got %v, %v, want %v", got, err, k)
	}
	third, err := keys.OpenSealingKey(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for name, try := range map[string]func() (keys.OwnerKey, error){
		"another device": func() (keys.OwnerKey, error) { return third.Unseal(sealed, "smith", "nas-2", "") },
		"another name":   func() (keys.OwnerKey, error) { return second.Unseal(sealed, "smith", "nas-3", "") },
		"another owner":  func() (keys.OwnerKey, error) { return second.Unseal(sealed, "jones", "nas-2", "") },
		"names moved":    func() (keys.OwnerKey, error) { return second.Unseal(sealed, "smithn", "as-2", "") },
		"another key": func() (keys.OwnerKey, error) {
			return second.Unseal(sealed, "smith", "nas-2", keys.NewOwnerKey().Fingerprint())
		},
		"nothing": func() (keys.OwnerKey, error) { return second.Unseal(nil, "smith", "nas-2", "") },
		"giant":   func() (keys.OwnerKey, error) { return second.Unseal(make([]byte, 1<<20), "smith", "nas-2", "") },
	} {
		if _, err := try(); !errors.Is(err, keys.ErrOwnerKey) {
			t.Errorf("%s: got %v, want %v", name, err, keys.ErrOwnerKey)
		}
	}
	for i := range sealed {
		bad := append([]byte(nil), sealed...)
		bad[i] ^= 1
		if _, err := second.Unseal(bad, "smith", "nas-2", ""); !errors.Is(err, keys.ErrOwnerKey) {
			t.Fatalf("byte %d changed: got %v", i, err)
		}
	}
	for _, public := range [][]byte{nil, make([]byte, 31), make([]byte, 32)} {
		if _, err := k.Seal("smith", "nas-2", public); err == nil {
			t.Errorf("sealed to %x", public)
		}
	}
}

func TestOwnerKeyIsKept(t *testing.T) {
	dir := t.TempDir()
	if _, err := keys.OpenOwnerKey(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("none: got %v", err)
	}
	k := keys.NewOwnerKey()
	if err := keys.KeepOwnerKey(dir, k); err != nil {
		t.Fatal(err)
	}
	if got, err := keys.OpenOwnerKey(dir); err != nil || got != k {
		t.Errorf("got %v, %v", got, err)
	}
	if err := os.Truncate(filepath.Join(dir, "owner.key"), 5); err != nil {
		t.Fatal(err)
	}
	if _, err := keys.OpenOwnerKey(dir); !contains(err, "damaged") {
		t.Errorf("truncated: got %v", err)
	}
	js, err := json.Marshal(k)
	if err != nil {
		t.Fatal(err)
	}
	if shown := fmt.Sprintf("%v %+v %#v %s %s", k, k, k, k, js); strings.Contains(shown, hex.EncodeToString(k[:])) || strings.Contains(shown, fmt.Sprint(k[:])) {
		t.Errorf("the key shows: %s", shown)
	}
}
