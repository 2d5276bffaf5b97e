package ruleset_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/ruleset"
)

// messages returns one of each kind, always the same.
func messages() []ruleset.Message {
	zero := ruleset.New(ruleset.Ref{Name: ruleset.Owner("acme"), Class: ruleset.Long}, 1_772_367_600)
	_, l := zero.Next(adds(
		block("192.0.2.1/32", time.Hour), block("192.0.2.200/32", time.Hour), block("198.51.100.0/24", 9*time.Hour),
		block("2001:db8:1::/64", time.Hour), block("2001:db8:2::/48", 9*time.Hour), pass("203.0.113.7/32", time.Hour),
	), start)
	f, l := l.Next(tocsin.Change{
		Add:    []tocsin.Rule{block("192.0.2.1/32", 9*time.Hour), block("203.0.113.99/32", 2*time.Hour)},
		Remove: []tocsin.Rule{block("192.0.2.200/32", 0), block("2001:db8:2::/48", 0)},
	}, start.Add(time.Minute))
	f.Ring, f.Allow = 2, 7
	return []ruleset.Message{f, l.Snapshot(start.Add(2 * time.Minute)), l.Heartbeat(start.Add(3 * time.Minute))}
}

// TestKnownAnswers keeps the format: what is out there must be readable.
// testdata/format.txt has a name and the bytes of each message; the signer's
// seed is a 1 and zeros. How well a snapshot is packed may change.
func TestKnownAnswers(t *testing.T) {
	const name = "testdata/format.txt"
	s := newSigner(1)
	var now strings.Builder
	for _, m := range messages() {
		fmt.Fprintf(&now, "%s\n%s\n", kindOf(m), hex.EncodeToString(seal(t, m, s)))
	}
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(name, []byte(now.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	file, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	kept, made := strings.Fields(string(file)), strings.Fields(now.String())
	if len(kept) != len(made) {
		t.Fatalf("%s has %d words, want %d", name, len(kept), len(made))
	}
	for i, m := range messages() {
		sealed, err := hex.DecodeString(kept[4*i+3])
		if err != nil {
			t.Fatal(err)
		}
		got, err := ruleset.Open(sealed, s.keys(), start.Add(4*time.Minute))
		if err != nil {
			t.Fatalf("%s: %v", kindOf(m), err)
		}
		if again := hex.EncodeToString(seal(t, got, s)); again != made[4*i+3] || kindOf(got) != kindOf(m) {
			t.Errorf("%s is %s\n%s\nwant\n%s", kindOf(m), kindOf(got), again, made[4*i+3])
		}
	}
}

// TestTampered flips, cuts and extends every message everywhere.
func TestTampered(t *testing.T) {
	s := newSigner(1)
	now := start.Add(4 * time.Minute)
	for _, m := range messages() {
		sealed := seal(t, m, s)
		if _, err := ruleset.Open(sealed, s.keys(), now); err != nil {
			t.Fatal(err)
		}
		for i := range sealed {
			for bit := range 8 {
				bad := slices.Clone(sealed)
				bad[i] ^= 1 << bit
				mustRefuse(t, bad, s.keys(), now)
			}
			mustRefuse(t, sealed[:i], s.keys(), now)
		}
		mustRefuse(t, append(slices.Clone(sealed), 0), s.keys(), now)
		mustRefuse(t, append(slices.Clone(sealed), sealed...), s.keys(), now)
	}
}

func mustRefuse(t *testing.T, s ruleset.Sealed, k ruleset.Keys, now time.Time) {
	t.Helper()
	if m, err := ruleset.Open(s, k, now); m != nil || !errors.Is(err, ruleset.ErrForged) && !errors.Is(err, ruleset.ErrMalformed) {
		t.Fatalf("opened %v, %v", m, err)
	}
}

// TestKeys opens only what a key of the hub signed while it is good.
func TestKeys(t *testing.T) {
	s, thief := newSigner(1), newSigner(2)
	sealed := seal(t, messages()[2], s)
	now := start.Add(4 * time.Minute)
	posing := s.keys()
	posing[0].Public = thief.public() // an ID is no proof
	short := s.keys()
	short[0].Public = short[0].Public[:7]
	for name, k := range map[string]ruleset.Keys{"none": nil, "another": thief.keys(), "posing": posing, "cut": short} {
		if _, err := ruleset.Open(sealed, k, now); !errors.Is(err, ruleset.ErrForged) {
			t.Errorf("%s: %v", name, err)
		}
	}
	k := append(thief.keys(), s.keys()...)
	if _, err := ruleset.Open(sealed, k, now); err != nil {
		t.Errorf("with an old and a new key: %v", err)
	}
	for _, span := range [][2]time.Time{{now.Add(-time.Hour), now}, {now.Add(time.Second), now.Add(time.Hour)}} {
		k := s.keys()
		k[0].From, k[0].Until = span[0], span[1]
		if _, err := ruleset.Open(sealed, k, now); !errors.Is(err, ruleset.ErrExpired) {
			t.Errorf("key good from %v until %v: %v", span[0], span[1], err)
		}
	}
	var id ruleset.KeyID
	if err := id.UnmarshalText([]byte(s.ID().String())); err != nil || id != s.ID() {
		t.Errorf("%v, %v", id, err)
	}
	if id.UnmarshalText([]byte("12")) == nil || id.UnmarshalText([]byte("zzzzzzzzzzzzzzzz")) == nil {
		t.Error("took a bad key ID")
	}
}

// TestPeek tells what a message says of itself.
func TestPeek(t *testing.T) {
	s := newSigner(1)
	for i, m := range messages() {
		h, err := ruleset.Peek(seal(t, m, s))
		if err != nil || h.Key != s.ID() || h.Kind != []ruleset.Kind{ruleset.Delta, ruleset.Snapshot, ruleset.Beat}[i] {
			t.Errorf("%+v, %v", h, err)
		}
		if i == 0 && (h.Ring != 2 || h.Allow != 7 || !h.Created.Equal(start.Add(time.Minute)) || h.Position.Serial != 2) {
			t.Errorf("%+v", h)
		}
	}
}

// TestHeartbeatIsSmall takes the longest name.
func TestHeartbeatIsSmall(t *testing.T) {
	r := ruleset.Ref{Name: ruleset.Owner(tocsin.OwnerID(strings.Repeat("x", 58))), Class: ruleset.Long}
	l := ruleset.New(r, uint64(start.Unix()))
	for range 300 {
		_, l = l.Next(adds(block("192.0.2.1/32", time.Duration(l.Position().Serial%2+1)*time.Hour)), start)
	}
	if n := len(seal(t, l.Heartbeat(start), newSigner(1))); n > 200 || l.Position().Serial != 300 {
		t.Errorf("%d bytes at %v", n, l.Position())
	}
}

// signed seals any bytes, as a thief of the key could.
func signed(t *testing.T, payload []byte) ruleset.Sealed {
	t.Helper()
	s := newSigner(1)
	id := s.ID()
	b := append(payload, id[:]...)
	pae := fmt.Appendf(nil, "DSSEv1 33 application/vnd.tocsin.ruleset.v1 %d %s", len(b), b)
	sig, err := s.Sign(pae)
	if err != nil {
		t.Fatal(err)
	}
	return append(b, sig...)
}

// TestBombs signs what unpacks to far more than a device has.
func TestBombs(t *testing.T) {
	s := newSigner(1)
	snapshot := seal(t, messages()[1], s)
	packed := bytes.Index(snapshot, []byte{0x28, 0xb5, 0x2f, 0xfd}) // zstd begins so
	z, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	head := snapshot[:packed:packed]
	zeros := z.EncodeAll(make([]byte, 256<<20), nil)
	many := z.EncodeAll([]byte{0, 1, 1, 1, 0xff, 0xff, 0xff, 0xff, 0x0f, 1, 1, 1, 1, 1, 1, 1, 1, 1}, nil)
	for name, body := range map[string][]byte{"zeros": zeros, "count": many, "none": {}, "twice": append(z.EncodeAll(nil, nil), zeros...)} {
		if _, err := ruleset.Open(signed(t, append(head, body...)), s.keys(), start.Add(4*time.Minute)); !errors.Is(err, ruleset.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := ruleset.Open(make(ruleset.Sealed, 17<<20), s.keys(), start); !errors.Is(err, ruleset.ErrMalformed) {
		t.Errorf("17 MiB: %v", err)
	}
}

// TestTooLarge refuses to seal what no device would read.
func TestTooLarge(t *testing.T) {
	var keys []uint32
	for i := range uint32(400_000) {
		keys = append(keys, i*10_700) // far apart: four bytes each
	}
	f, _ := ruleset.New(long, epoch).Next(tocsin.Change{Add: rules(keys, 4)}, start)
	if _, err := ruleset.Seal(f, newSigner(1)); err == nil {
		t.Error("sealed a delta of 400,000 rules")
	}
}

// FuzzOpen signs whatever the fuzzer makes of a message, so that the decoder
// sees it; what opens can be applied, sealed again to the same bytes, or refused.
func FuzzOpen(f *testing.F) {
	s := newSigner(1)
	for _, m := range messages() {
		sealed, err := ruleset.Seal(m, s)
		if err != nil {
			f.Fatal(err)
		}
		f.Add([]byte(sealed[:len(sealed)-72]))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		now := start.Add(4 * time.Minute)
		sealed := signed(t, slices.Clone(payload))
		if h, err := ruleset.Peek(sealed); err == nil && h.Created.Unix() > 0 && h.Created.Unix() < 1<<35 {
			now = h.Created
		}
		k := s.keys()
		k[0].From, k[0].Until = now.Add(-time.Hour), now.Add(time.Hour)
		m, err := ruleset.Open(sealed, k, now)
		if err != nil {
			return
		}
		again, err := ruleset.Seal(m, s)
		if err != nil {
			t.Fatal(err)
		}
		if m, ok := m.(ruleset.Frame); (!ok || m.Kind == ruleset.Delta) && !bytes.Equal(again, sealed) {
			t.Fatalf("sealed again: %x", again)
		}
		h, _ := ruleset.Peek(sealed)
		set := ruleset.NewSet(h.Position.Ref)
		next, c, err := set.Apply(m, ruleset.DefaultLimits(), now)
		if err != nil && (next != set || !c.Empty()) {
			t.Fatal("refused, and changed something")
		}
		for r := range next.Rules(now) {
			if r.Prefix != r.Prefix.Masked() || !r.Prefix.IsValid() {
				t.Fatal(r)
			}
		}
		if got := restart(t, next).Positions(); !slices.Equal(got, next.Positions()) {
			t.Fatal(got)
		}
	})
}
