package storetest

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tocsin-io/tocsin/ledger"
	"github.com/tocsin-io/tocsin/store"
)

func user(name string) store.User {
	return store.User{Name: name, Role: store.Analyst, Made: Noon, Last: Noon.Add(time.Minute), Off: true, Password: "$argon2id$" + name}
}

func session(secret, user string, made time.Duration) store.Session {
	at := Noon.Add(made)
	return store.Session{Hash: sha256.Sum256([]byte(secret)), User: user, Made: at, Seen: at, From: netip.MustParseAddr("2001:db8::1")}
}

func invitation(secret, name string) store.Invitation {
	return store.Invitation{
		Hash: sha256.Sum256([]byte(secret)), Name: name, Role: store.Admin, Made: Noon, Until: Noon.Add(time.Hour), By: "root",
	}
}

func testUsers(t *testing.T, s *subject) {
	ctx := t.Context()
	a, b := user("ada"), user("zoé")
	must(t, s.AddUser(ctx, b))
	must(t, s.AddUser(ctx, a))
	refused(t, "a name again", s.AddUser(ctx, user("ada")), store.ErrExists)
	a.Off, a.Role, a.Password = false, store.Viewer, "other"
	must(t, s.ChangeUser(ctx, a))
	refused(t, "change of none", s.ChangeUser(ctx, user("eve")), store.ErrNotFound)
	must(t, s.AddSession(ctx, session("1", "ada", 0), Noon, 10))
	must(t, s.AddInvitation(ctx, invitation("i", "ada")))
	s.reopen(t)
	got, err := s.User(ctx, "ada")
	must(t, err)
	same(t, "user", got, a)
	list, err := s.Users(ctx)
	must(t, err)
	same(t, "users", list, []store.User{a, b})
	must(t, s.Check(ctx))
	must(t, s.DropUser(ctx, "ada"))
	refused(t, "drop of none", s.DropUser(ctx, "ada"), store.ErrNotFound)
	_, err = s.User(ctx, "ada")
	refused(t, "dropped", err, store.ErrNotFound)
	_, err = s.Session(ctx, session("1", "", 0).Hash)
	refused(t, "session of a dropped user", err, store.ErrNotFound)
	_, err = s.Invitation(ctx, invitation("i", "").Hash, Noon)
	refused(t, "invitation of a dropped user", err, store.ErrNotFound)
}

func testSessions(t *testing.T, s *subject) {
	ctx := t.Context()
	refused(t, "a session of nobody", s.AddSession(ctx, session("1", "ada", 0), Noon, 3), store.ErrNotFound)
	must(t, s.AddUser(ctx, user("ada")))
	must(t, s.AddUser(ctx, user("bob")))
	var all []store.Session
	for i := range 5 {
		all = append(all, session(fmt.Sprint(i), "ada", time.Duration(i)*time.Second))
		must(t, s.AddSession(ctx, all[i], Noon, 3))
	}
	bob := session("bob", "bob", 0)
	must(t, s.AddSession(ctx, bob, Noon, 3))
	refused(t, "a hash again", s.AddSession(ctx, bob, Noon, 3), store.ErrExists)
	list, err := s.Sessions(ctx, "ada")
	must(t, err)
	same(t, "the newest three", list, all[2:])
	all[4].Seen = Noon.Add(time.Hour)
	must(t, s.SeeSession(ctx, all[4].Hash, all[4].Seen))
	refused(t, "seeing none", s.SeeSession(ctx, all[0].Hash, Noon), store.ErrNotFound)
	s.reopen(t)
	got, err := s.Session(ctx, all[4].Hash)
	must(t, err)
	same(t, "session", got, all[4])
	must(t, s.DropSession(ctx, all[2].Hash))
	must(t, s.DropSession(ctx, all[2].Hash))
	n, err := s.DropSessions(ctx, "ada", all[3].Hash)
	must(t, err)
	same(t, "dropped", n, 1)
	list, err = s.Sessions(ctx, "")
	must(t, err)
	same(t, "what is left", list, []store.Session{all[3], bob})
	must(t, s.AddSession(ctx, session("later", "bob", time.Hour), Noon.Add(time.Second), 3))
	_, err = s.Session(ctx, bob.Hash)
	refused(t, "a stale one", err, store.ErrNotFound)
}

func testInvitations(t *testing.T, s *subject) {
	ctx := t.Context()
	first, again := invitation("first", ""), invitation("again", "")
	must(t, s.AddInvitation(ctx, first))
	must(t, s.AddInvitation(ctx, again))
	_, err := s.Invitation(ctx, first.Hash, Noon)
	refused(t, "one that was replaced", err, store.ErrNotFound)
	s.reopen(t)
	got, err := s.Invitation(ctx, again.Hash, Noon)
	must(t, err)
	same(t, "invitation", got, again)
	_, err = s.Invitation(ctx, again.Hash, again.Until)
	refused(t, "too old", err, store.ErrSpent)
	_, err = s.Accept(ctx, again.Hash, again.Until, "ada", "p")
	refused(t, "accepting what is too old", err, store.ErrSpent)
	refused(t, "for nobody", s.AddInvitation(ctx, invitation("x", "bob")), store.ErrNotFound)
	bob := user("bob")
	bob.Password = ""
	must(t, s.AddUser(ctx, bob))
	must(t, s.AddInvitation(ctx, invitation("x", "bob")))
	_, err = s.Accept(ctx, again.Hash, Noon, "bob", "p")
	refused(t, "a name that is taken", err, store.ErrExists)
	ada, err := s.Accept(ctx, again.Hash, Noon, "ada", "p")
	must(t, err)
	same(t, "the first", ada, store.User{Name: "ada", Role: store.Admin, Made: Noon, Password: "p"})
	_, err = s.Accept(ctx, again.Hash, Noon, "eve", "p")
	refused(t, "a second time", err, store.ErrSpent)

	must(t, s.AddInvitation(ctx, first))
	_, err = s.Invitation(ctx, first.Hash, Noon)
	refused(t, "the first of all, after somebody has a password", err, store.ErrSpent)
	_, err = s.Accept(ctx, first.Hash, Noon, "eve", "p")
	refused(t, "accepting it", err, store.ErrSpent)

	must(t, s.DropInvitations(ctx))
	_, err = s.Invitation(ctx, invitation("x", "").Hash, Noon)
	refused(t, "one of those dropped", err, store.ErrNotFound)
	_, err = s.Invitation(ctx, again.Hash, Noon)
	refused(t, "one that was used", err, store.ErrSpent)
	must(t, s.AddInvitation(ctx, invitation("x", "bob")))
	must(t, s.AddSession(ctx, session("1", "bob", 0), Noon, 3))
	got2, err := s.Accept(ctx, invitation("x", "").Hash, Noon, "somebody else", "p2")
	must(t, err)
	bob.Password = "p2"
	same(t, "the name is the invitation's", got2, bob)
	_, err = s.Session(ctx, session("1", "", 0).Hash)
	refused(t, "a session from before", err, store.ErrNotFound)
	list, err := s.Users(ctx)
	must(t, err)
	same(t, "users", list, []store.User{ada, bob})
	must(t, s.Check(ctx))
}

func testAcceptRace(t *testing.T, s *subject) {
	must(t, s.AddInvitation(t.Context(), invitation("first", "")))
	var won atomic.Int32
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			_, err := s.Accept(t.Context(), invitation("first", "").Hash, Noon, fmt.Sprint("user", i), "p")
			if err == nil {
				won.Add(1)
			} else if !errors.Is(err, store.ErrSpent) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	same(t, "who won", won.Load(), int32(1))
}

func testLedger(t *testing.T, s *subject) {
	ctx := t.Context()
	var want []ledger.Entry
	for i := range 700 { // more than a reader takes at once
		switch i {
		case 300:
			s.clock.Set(Noon.Add(-time.Hour))
		case 500:
			s.reopen(t)
		}
		e, err := s.Enter(ctx, ledger.Entry{
			By: "ada", How: ledger.Console, From: netip.MustParseAddr("192.0.2.1"), Did: fmt.Sprint("did ", i), Path: "POST /v1/orders", Outcome: "done",
		})
		must(t, err)
		want = append(want, e)
	}
	same(t, "entries", all(t, s.Entries(ctx, 0)), want)
	same(t, "entries after", all(t, s.Entries(ctx, 600)), want[600:])
	r, err := ledger.Verify(s.Entries(ctx, 0), want[9].Hash)
	must(t, err)
	same(t, "verified", r, ledger.Report{Entries: 700, Head: want[699].Hash, At: Noon, Noted: 10})
	last, err := s.LastEntries(ctx, 0, 3)
	must(t, err)
	turned := slices.Clone(want[697:])
	slices.Reverse(turned)
	same(t, "the last", last, turned)
	last, err = s.LastEntries(ctx, 2, 3)
	must(t, err)
	same(t, "before the second", last, want[:1])
	must(t, s.Check(ctx))
}
