package detect

import (
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/internal/window"
)

// traffic calls see with n attempts of few sources and accounts, the same for
// the same seed.
func traffic(seed uint64, n int, see func(a tocsin.Attempt, blocked bool)) {
	rng := rand.New(rand.NewPCG(seed, 1))
	kinds := []string{"F", "F", "F", "F", "U", "U", "S", "P", "Fl", "Sl", "Fn"}
	names := []string{"root", "admin", "margaret", "bob", "guest", "decoy", "", "x1", "x2", "Root"}
	at := day
	for range n {
		at = at.Add(time.Duration(rng.IntN(600)-60) * time.Second)
		what := kinds[rng.IntN(len(kinds))] + " " + names[rng.IntN(len(names))]
		see(attempt(what, nth(uint32(rng.IntN(60))), at), rng.IntN(10) == 0)
	}
}

func smallPolicy() Policy {
	p := Default()
	p.Instant = []string{"decoy"}
	p.Spray.Count = 5
	p.Sources, p.Successes, p.Accounts = 50, 40, 8
	return p
}

// TestSnapshotCarriesOn: who restarts decides as who did not.
func TestSnapshotCarriesOn(t *testing.T) {
	p := smallPolicy()
	p.Accounts, p.Seed = 64, window.Seed{K0: 1, K1: 2}
	first := New(p)
	var now time.Time
	traffic(1, 3000, func(a tocsin.Attempt, blocked bool) {
		first.Observe(a, is(blocked))
		now = a.At
	})
	p.Seed = window.Seed{K0: 7}
	second := New(p)
	data := first.AppendBinary(nil, now)
	if err := second.UnmarshalBinary(data); err != nil {
		t.Fatal(err)
	}
	first.rumours = window.NewHashed[rumour](1) // the one thing not kept
	second.rumours = window.NewHashed[rumour](1)
	if diff := cmp.Diff(data, second.AppendBinary(nil, now)); diff != "" {
		t.Fatalf("a snapshot of a snapshot differs:\n%s", diff)
	}
	traffic(2, 3000, func(a tocsin.Attempt, blocked bool) {
		a.At = a.At.Add(now.Sub(day))
		x, y := first.Observe(a, is(blocked)), second.Observe(a, is(blocked))
		if diff := cmp.Diff(x, y, cmp.Comparer(prefixEqual)); diff != "" {
			t.Fatalf("%+v: (-without restart +with):\n%s", a, diff)
		}
	})
}

func prefixEqual(a, b tocsin.Decision) bool { return a == b }

func TestSnapshotForgetsWhatIsOld(t *testing.T) {
	d := New(Default())
	for i := range uint32(100) {
		d.Observe(attempt("F root", nth(i), day.Add(time.Duration(i)*time.Hour)), nil)
	}
	n := New(Default())
	if err := n.UnmarshalBinary(d.AppendBinary(nil, day.Add(50*time.Hour+Week))); err != nil {
		t.Fatal(err)
	}
	if n.Len() != 49 {
		t.Errorf("%d sources, want the 49 of the last week", n.Len())
	}
	empty := New(Default())
	if a, b := len(empty.AppendBinary(nil, day)), len(d.AppendBinary(nil, day)); a > 64 || (b-a)/100 > 48 {
		t.Errorf("empty %d bytes, %d for each source", a, (b-a)/100)
	}
}

func TestSnapshotKeepsTheNewestThatFit(t *testing.T) {
	d := New(Default())
	for i := range uint32(100) {
		d.Observe(attempt("F root", nth(i), day), nil)
	}
	p := Default()
	p.Sources = 10
	n := New(p)
	if err := n.UnmarshalBinary(d.AppendBinary(nil, day)); err != nil {
		t.Fatal(err)
	}
	for key := range n.sources.All() {
		if got := window.Prefix(key).Addr().String(); got < nth(90) {
			t.Errorf("kept %s, an older one", got)
		}
	}
	if n.Len() != 10 {
		t.Errorf("%d sources, want 10", n.Len())
	}
}

func TestBadSnapshotChangesNothing(t *testing.T) {
	d := New(Default())
	play(d, times(4, time.Second, "F root"))
	good := d.AppendBinary(nil, day)
	for cut := range len(good) {
		if err := d.UnmarshalBinary(good[:cut]); !errors.Is(err, ErrSnapshot) {
			t.Fatalf("%d of %d bytes: %v", cut, len(good), err)
		}
	}
	if err := d.UnmarshalBinary(append(good[:len(good):len(good)], 0)); !errors.Is(err, ErrSnapshot) {
		t.Errorf("a byte too many: %v", err)
	}
	if r := d.Observe(attempt("F root", attacker, day.Add(time.Minute)), nil); !r.Decided {
		t.Error("bad snapshots made it forget")
	}
}

func FuzzUnmarshalBinary(f *testing.F) {
	d := New(smallPolicy())
	f.Add(d.AppendBinary(nil, day))
	traffic(3, 200, func(a tocsin.Attempt, blocked bool) { d.Observe(a, is(blocked)) })
	f.Add(d.AppendBinary(nil, day))
	f.Fuzz(func(t *testing.T, data []byte) {
		d := New(smallPolicy())
		if err := d.UnmarshalBinary(data); err != nil {
			if d.Len() != 0 {
				t.Fatal("changed on error")
			}
			return
		}
		if d.Len() > d.Cap() {
			t.Fatalf("%d of %d sources", d.Len(), d.Cap())
		}
		again := d.AppendBinary(nil, day)
		if len(again) > len(data)+1 {
			t.Fatalf("%d bytes became %d", len(data), len(again))
		}
		if err := New(smallPolicy()).UnmarshalBinary(again); err != nil {
			t.Fatal(err)
		}
		traffic(4, 100, func(a tocsin.Attempt, blocked bool) { checkResult(t, a, d.Observe(a, is(blocked))) })
		d.Shift(-time.Hour)
	})
}

// checkResult holds what is true of every result.
func checkResult(t *testing.T, a tocsin.Attempt, r Result) {
	t.Helper()
	if !r.Decided {
		return
	}
	length := r.Decision.Until.Sub(r.Decision.At)
	switch {
	case r.Decision.Prefix != tocsin.SourcePrefix(a.Source.Addr()):
		t.Fatalf("%v blocks %v", a.Source, r.Decision.Prefix)
	case a.Outcome == tocsin.Success || a.Provenance == tocsin.Network:
		t.Fatalf("%+v decides", a)
	case length <= 0 || length > 24*time.Hour || a.Provenance == tocsin.Local && length > time.Hour:
		t.Fatalf("a block of %v", length)
	case r.Decision.Reason == "" || len(r.Decision.Reason) > 400 || !r.Decision.At.Equal(a.At):
		t.Fatalf("decision %+v", r.Decision)
	}
}
