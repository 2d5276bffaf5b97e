package signin

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/store"
	"github.com/tocsin-io/tocsin/store/sqlite"
)

const (
	good  = "four plain words here"
	wrong = "four other words here"
)

// A world is a desk with a real database and a clock of its own.
type world struct {
	*testing.T
	*Desk
	at time.Time
}

func newWorld(t *testing.T) *world {
	w := &world{T: t, at: time.Date(2023, 10, 14, 12, 0, 0, 0, time.UTC)}
	now := func() time.Time { return w.at }
	db, err := sqlite.Open(t.Context(), t.TempDir(), now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	if w.Desk, err = New(t.Context(), Config{Store: db, Now: now}); err != nil {
		t.Fatal(err)
	}
	return w
}

// member makes a user with the password good.
func (w *world) member(name string, role store.Role) Entry {
	w.Helper()
	i, err := w.Add(w.Context(), name, role, "test")
	if err != nil {
		w.Fatal(err)
	}
	e, err := w.Accept(w.Context(), i.Code, "", good, from(1))
	if err != nil {
		w.Fatal(err)
	}
	return e
}

// from is a visitor with the nth address.
func from(n int) Visitor {
	return Visitor{From: netip.AddrFrom4([4]byte{198, 18, byte(n >> 8), byte(n)})}
}

// tries guesses until the source must wait, and returns how often it could and
// for how long it must.
func (w *world) tries(name string, v Visitor) (n int, wait time.Duration) {
	w.Helper()
	for {
		_, err := w.Enter(w.Context(), name, wrong, v)
		if held, ok := IsWait(err); ok {
			return n, held.For
		}
		if !errors.Is(err, ErrWrong) {
			w.Fatalf("got %v", err)
		}
		n++
		w.at = w.at.Add(time.Second)
	}
}

// TestGuessingOneAccount: a source has few tries, and then one for each wait,
// which grows; whether the account exists makes no difference; others do not wait.
func TestGuessingOneAccount(t *testing.T) {
	w := newWorld(t)
	w.member("ada", store.Admin)
	for i, name := range []string{"ada", "carol"} {
		v := from(10 + i)
		n, wait := w.tries(name, v)
		if n != 10 || wait < 50*time.Second || wait > time.Minute {
			t.Errorf("%s: %d tries, then %v", name, n, wait)
		}
		total, begun := n, w.at
		for w.at.Sub(begun) < 24*time.Hour {
			w.at = w.at.Add(wait)
			n, wait = w.tries(name, v)
			total += n
		}
		if total > 55 || wait < 50*time.Minute || wait > time.Hour {
			t.Errorf("%s: %d tries in a day, in the end one each %v", name, total, wait)
		}
		if _, err := w.Enter(t.Context(), "ada", good, from(20+i)); err != nil {
			t.Errorf("somebody elsewhere: %v", err)
		}
	}
}

// TestManySourcesOnOneAccount: guesses on one account are bounded although each
// source has few, and its owner gets in from a new address all the same.
func TestManySourcesOnOneAccount(t *testing.T) {
	w := newWorld(t)
	w.member("ada", store.Admin)
	total := 0
	for i := range 60 {
		n, _ := w.tries("ada", from(100+i))
		total += n
		if i > 10 && n > 1 {
			t.Errorf("source %d has %d tries on an account that everybody tries", i, n)
		}
	}
	if total > 100 {
		t.Errorf("%d tries in all", total)
	}
	if _, err := w.Enter(t.Context(), "ada", good, from(1000)); err != nil {
		t.Errorf("the owner, from elsewhere: %v", err)
	}
}

// TestManyAtOnce: tries that come together are no more than tries one by one.
func TestManyAtOnce(t *testing.T) {
	w := newWorld(t)
	w.member("ada", store.Admin)
	var mu sync.Mutex
	var wg sync.WaitGroup
	looked := 0
	for range 100 {
		wg.Go(func() {
			_, err := w.Enter(t.Context(), "ada", wrong, from(7))
			mu.Lock()
			defer mu.Unlock()
			if errors.Is(err, ErrWrong) {
				looked++
			} else if _, ok := IsWait(err); !ok {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if looked > 10+maxTrying {
		t.Errorf("%d of 100 were looked at", looked)
	}
}

// TestThisMachine: one of its users keeps the others waiting for half a minute at
// most.
func TestThisMachine(t *testing.T) {
	w := newWorld(t)
	w.member("ada", store.Admin)
	for _, local := range []string{"127.0.0.1", "::1"} {
		v := Visitor{From: netip.MustParseAddr(local)}
		_, wait := w.tries("ada", v)
		for range 10 {
			if wait > localWait {
				t.Errorf("it waits %v", wait)
			}
			w.at = w.at.Add(wait)
			_, wait = w.tries("ada", v)
		}
		w.at = w.at.Add(localWait)
		if _, err := w.Enter(t.Context(), "ada", good, v); err != nil {
			t.Error(err)
		}
	}
}

// TestKnownBrowser: it has tries of its own, few, and only for the name that
// signed in with it.
func TestKnownBrowser(t *testing.T) {
	w := newWorld(t)
	ada := w.member("ada", store.Admin)
	w.member("bob", store.Admin)
	v := from(5)
	w.tries("ada", v)
	v.Known = ada.Known
	if _, err := w.Enter(t.Context(), "bob", good, v); err == nil {
		t.Error("the mark of ada's browser helps bob")
	}
	for _, forged := range []string{"x", strings.Repeat("A", len(ada.Known)), ada.Known + "A"} {
		if _, err := w.Enter(t.Context(), "ada", good, Visitor{From: v.From, Known: forged}); err == nil {
			t.Errorf("%q passes for a mark", forged)
		}
	}
	n, _ := w.tries("ada", v)
	if n < 8 || n > 11 {
		t.Errorf("a known browser has %d tries", n)
	}
	w.at = w.at.Add(2 * knownEvery)
	if _, err := w.Enter(t.Context(), "ada", good, v); err != nil {
		t.Errorf("two minutes later: %v", err)
	}
}

// TestBounds: what is remembered of who guesses does not grow with them.
func TestBounds(t *testing.T) {
	g := newThrottle()
	now := time.Date(2023, 10, 14, 12, 0, 0, 0, time.UTC)
	for i := range maxSources + 5000 {
		a := netip.AddrFrom4([4]byte{100, byte(i >> 16), byte(i >> 8), byte(i)})
		for range 10 {
			if g.begin(a, now) == nil {
				g.end(a, "root", tocsin.Failure, now)
			}
		}
	}
	if len(g.until) > maxSources || len(g.trying) > 0 || g.detector.Len() > maxSources {
		t.Errorf("%d blocks, %d under way, %d sources", len(g.until), len(g.trying), g.detector.Len())
	}
	k := &known{tries: map[string]tries{}}
	for i := range 2 * maxKnown {
		k.failed(fmt.Sprint(i), now)
	}
	if len(k.tries) > maxKnown {
		t.Errorf("%d browsers", len(k.tries))
	}
}

// TestHolds: a long answer ends when its session does, however it does.
func TestHolds(t *testing.T) {
	w := newWorld(t)
	w.member("root", store.Admin)
	off, analyst := true, store.Analyst
	for name, end := range map[string]func(Entry) error{
		"sign-out":      func(e Entry) error { return w.Leave(t.Context(), e.Person) },
		"everywhere":    func(e Entry) error { return w.LeaveEverywhere(t.Context(), e.Name) },
		"switched off":  func(e Entry) error { return w.Change(t.Context(), e.Name, Change{Off: &off}) },
		"removed":       func(e Entry) error { return w.Remove(t.Context(), e.Name) },
		"signed out":    func(e Entry) error { return w.SignOut(t.Context(), e.Name) },
		"other role":    func(e Entry) error { return w.Change(t.Context(), e.Name, Change{Role: &analyst}) },
		"other session": nil,
	} {
		e := w.member("ada", store.Viewer)
		ctx, release, err := w.Hold(t.Context(), e.Person)
		if err != nil {
			t.Fatal(err)
		}
		if end, ok := ctx.Deadline(); !ok || time.Until(end) > Idle {
			t.Errorf("%s: it is held until %v, although nobody may ask for anything more", name, end)
		}
		if end == nil {
			other, err := w.Enter(t.Context(), "ada", good, from(3))
			if err != nil {
				t.Fatal(err)
			}
			if err := w.Leave(t.Context(), other.Person); err != nil || ctx.Err() != nil {
				t.Errorf("%s: %v, %v", name, err, ctx.Err())
			}
		} else if err := end(e); err != nil || !errors.Is(ctx.Err(), context.Canceled) {
			t.Errorf("%s: %v, %v", name, err, ctx.Err())
		}
		release()
		if end != nil && name != "other role" {
			if _, _, err := w.Hold(t.Context(), e.Person); !errors.Is(err, ErrEnded) {
				t.Errorf("%s just before it is held: %v", name, err)
			}
		}
		if err := w.Remove(t.Context(), "ada"); err != nil && !errors.Is(err, store.ErrNotFound) {
			t.Error(err)
		}
	}
	if len(w.holds) > 0 {
		t.Errorf("%d are held for ever", len(w.holds))
	}
}

// TestLastAdminRace: of two admins who remove each other at once one stays.
func TestLastAdminRace(t *testing.T) {
	w := newWorld(t)
	w.member("ada", store.Admin)
	w.member("bob", store.Admin)
	viewer := store.Viewer
	var wg sync.WaitGroup
	errs := make([]error, 2)
	wg.Go(func() { errs[0] = w.Change(t.Context(), "ada", Change{Role: &viewer}) })
	wg.Go(func() { errs[1] = w.Remove(t.Context(), "bob") })
	wg.Wait()
	if (errs[0] == nil) == (errs[1] == nil) || !errors.Is(errors.Join(errs...), ErrLastAdmin) {
		t.Errorf("got %v", errs)
	}
}

func TestFit(t *testing.T) {
	for password, fits := range map[string]bool{
		good: true, "Tr0ub4dor&3 and more": true, "пароль из слов": true, "zoé mange des pommes": true, "8273645190 82": true,
		"short": false, "elevenchars": false, "administrator": false, "Administrator1": false, "adminadminadmin": false, "Password12345": false,
		"passwordpassword": false, "111111111111": false, "abababababab": false, "123456789012": false, "098765432109": false,
		"qwertyuiopas": false, "azertyuiopqsdf": false, "adalovelace1": false, "adalovelaceadalovelace": false, "tocsintocsin!": false,
		strings.Repeat("a b c d ", 200): false, "abcdefghijklm": false, "motdepasse2023": false,
	} {
		if err := fit("adalovelace", password); (err == nil) != fits {
			t.Errorf("%q: got %v", password, err)
		}
	}
}

func TestName(t *testing.T) {
	for text, want := range map[string]string{
		" Ada": "ada", "ZOÉ": "zoé", "Zoe\u0301": "zoé", "H\u0331al": "\u1e96al", "a.b-c_d@example.org": "a.b-c_d@example.org", "7": "7",
		"": "", ".": "", "-x": "", "a b": "", "<b>": "", "a\x00": "", "\xff": "", "a\u202eb": "", strings.Repeat("a", 65): "", "a/b": "",
	} {
		if got, err := Name(text); got != want || (err == nil) != (want != "") {
			t.Errorf("%q: got %q, %v", text, got, err)
		}
	}
}

// TestHash: the same characters are the same password, however they were typed.
func TestHash(t *testing.T) {
	h := newHasher(1)
	stored, err := h.hash(t.Context(), "zoé mange des pommes")
	if err != nil || !strings.HasPrefix(stored, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Fatalf("got %q, %v", stored, err)
	}
	for password, want := range map[string]bool{"zoé mange des pommes": true, "zoe\u0301 mange des pommes": true, "zoe mange des pommes": false, "": false} {
		if got, err := h.verify(t.Context(), password, stored); got != want || err != nil {
			t.Errorf("%q: got %v, %v", password, got, err)
		}
	}
	if got, err := h.verify(t.Context(), "", ""); got || err != nil {
		t.Errorf("nobody has no password: got %v, %v", got, err)
	}
	if _, err := h.verify(t.Context(), "x", "$2y$10$abc"); err == nil {
		t.Error("a hash of another kind is no error")
	}
}

// TestLinkOfOneSwitchedOff: it waits until the user is on again.
func TestLinkOfOneSwitchedOff(t *testing.T) {
	w := newWorld(t)
	w.member("ada", store.Admin)
	i, err := w.Add(t.Context(), "bob", store.Viewer, "ada")
	if err != nil {
		t.Fatal(err)
	}
	for _, off := range []bool{true, false} {
		if err := w.Change(t.Context(), "bob", Change{Off: &off}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Accept(t.Context(), i.Code, "", good, from(1)); errors.Is(err, ErrOff) != off {
			t.Errorf("off %v: got %v", off, err)
		}
	}
}

// A late store has somebody do something while a password is looked at.
type late struct {
	Store
	once sync.Once
	do   func()
}

func (l *late) User(ctx context.Context, name string) (store.User, error) {
	u, err := l.Store.User(ctx, name)
	l.once.Do(l.do)
	return u, err
}

// TestPasswordReplacedMeanwhile: who signs in, or takes another password, by one that
// ends while it is looked at, is refused: what ends a password ends all that it opens.
func TestPasswordReplacedMeanwhile(t *testing.T) {
	const fresh = "four fresh words here"
	for name, try := range map[string]func(w *world, e Entry) error{
		"sign in":         func(w *world, e Entry) error { _, err := w.Enter(t.Context(), "ada", good, from(1)); return err },
		"change password": func(w *world, e Entry) error { return w.ChangePassword(t.Context(), e.Person, good, wrong, from(1)) },
	} {
		w := newWorld(t)
		e := w.member("ada", store.Admin)
		i, err := w.Reset(t.Context(), "ada", "test")
		if err != nil {
			t.Fatal(err)
		}
		plain := w.store
		w.store = &late{Store: plain, do: func() {
			other, err := New(t.Context(), Config{Store: plain, Now: w.now})
			if err != nil {
				t.Error(err)
			} else if _, err := other.Accept(t.Context(), i.Code, "", fresh, from(2)); err != nil {
				t.Error(err)
			}
		}}
		if err := try(w, e); !errors.Is(err, ErrWrong) {
			t.Errorf("%s: got %v", name, err)
		}
		sessions, err := plain.Sessions(t.Context(), "ada")
		if err != nil || len(sessions) != 1 {
			t.Errorf("%s: %d sessions, want that of the link; %v", name, len(sessions), err)
		}
		if _, err := w.Enter(t.Context(), "ada", fresh, from(3)); err != nil {
			t.Errorf("%s: the password of the link: %v", name, err)
		}
	}
}
