package incident

import (
	"context"
	"errors"
	"iter"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/mail"
	"github.com/tocsin-io/tocsin/rdap"
	"github.com/tocsin-io/tocsin/store"
	"github.com/tocsin-io/tocsin/takedown"
)

// A failing store is the real one on a disk that is full, or read by somebody who
// hangs up.
type failing struct {
	Store
	full func(kind string) bool // what cannot be written
	cut  int                    // events until it hangs up; 0 is never
}

var errFull = errors.New("no space left on device")

func (s *failing) PutRecord(ctx context.Context, r store.Record) (store.Record, error) {
	if s.full != nil && s.full(r.Kind) {
		return r, errFull
	}
	return s.Store.PutRecord(ctx, r)
}

func (s *failing) From(ctx context.Context, t time.Time) iter.Seq2[tocsin.Event, error] {
	return func(yield func(tocsin.Event, error) bool) {
		n := 0
		for e, err := range s.Store.From(ctx, t) {
			if n++; s.cut > 0 && n > s.cut {
				yield(tocsin.Event{}, context.Canceled)
				return
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

// A handing sender is the real one, and says what it is told afterwards.
type handing struct {
	Sender
	during func() // while the letter is on its way
	after  error
}

func (s *handing) Deliver(ctx context.Context, m mail.Message, letter []byte) (mail.Receipt, error) {
	if s.during != nil {
		s.during()
	}
	r, err := s.Sender.Deliver(ctx, m, letter)
	return r, errors.Join(err, s.after)
}

// asked is a finder during whose question something happens.
type asked struct {
	finder
	during func()
}

func (f asked) Contact(ctx context.Context, a netip.Addr) (rdap.Contact, error) {
	f.during()
	return f.finder.Contact(ctx, a)
}

// approved opens a case about an address, and has its mail approved.
func (w *world) approved(source, to string) takedown.ID {
	w.Helper()
	w.sees(device(3), owner(3), source, w.clock().Add(-8*time.Hour), 3, 0)
	f, err := w.OpenCase(w.Context(), api.CaseWish{Kind: takedown.BruteForce, Source: netip.MustParsePrefix(source), Why: "attacks"}, "ada")
	w.must(err)
	w.approve(f.Case.ID, to, "en")
	return f.Case.ID
}

func (w *world) approve(id takedown.ID, to, language string) {
	w.Helper()
	f, err := w.DraftCase(w.Context(), id, api.DraftWish{To: to, Language: language})
	w.must(err)
	_, err = w.ApproveCase(w.Context(), id, f.Draft.Digest, "ada")
	w.must(err)
}

// TestWhatCannotBeNotedDoesNotLeave: a letter that left and that no case tells of
// would be sent again and again.
func TestWhatCannotBeNotedDoesNotLeave(t *testing.T) {
	w := newWorld(t)
	w.attack()
	ctx := t.Context()
	down := w.approved("203.0.113.10/32", "")
	_, err := w.SendCase(ctx, down, api.SendWish{}, "ada")
	w.must(err)
	w.approve(down, "abuse@upstream.example", "en")
	w.pass(8 * time.Hour)
	proof := takedown.Proof{}
	for i := range 3 {
		proof.Witnesses = append(proof.Witnesses, takedown.Vantage{
			Device: device(i), Owner: owner(i), Last: day.Add(-time.Hour), From: day.Add(-time.Hour), Until: w.clock(), Incoming: true,
		})
	}
	_, err = w.act(ctx, down, takedown.Entry{At: w.clock(), By: takedown.System, Act: takedown.VerifyDown, Proof: &proof}, nil)
	w.must(err)
	if _, err := w.SendCase(ctx, down, api.SendWish{}, "ada"); !refused(err, http.StatusConflict) {
		t.Errorf("verified down, and then: %v", err)
	}
	if len(w.letters) != 1 {
		t.Errorf("%d letters: one left that cannot be noted", len(w.letters))
	}
}

// TestLongAddress: no letter goes to the beginning of an address.
func TestLongAddress(t *testing.T) {
	w := newWorld(t)
	w.attack()
	f, err := w.OpenCase(t.Context(), api.CaseWish{Kind: takedown.BruteForce, Source: netip.MustParsePrefix("203.0.113.9/32"), Why: "attacks"}, "ada")
	w.must(err)
	to := "abuse@" + strings.Repeat("sub.", 50) + "example.org"
	if f, err = w.DraftCase(t.Context(), f.Case.ID, api.DraftWish{To: to}); !refused(err, http.StatusConflict) {
		t.Errorf("drafted to %v: %v", f.Draft, err)
	}
}

// TestDoubtfulLetter: who knows whether it left counts it as sent.
func TestDoubtfulLetter(t *testing.T) {
	w := newWorld(t)
	w.attack()
	id := w.approved("203.0.113.9/32", "")
	s := &handing{Sender: w.deps.Sender, after: &mail.Error{Kind: mail.Uncertain, Step: "letter", Err: errors.New("connection lost")}}
	w.deps.Sender = s
	if _, err := w.SendCase(t.Context(), id, api.SendWish{}, "ada"); !refused(err, http.StatusBadGateway) {
		t.Errorf("a connection that broke: %v", err)
	}
	s.after = nil
	name := func() string {
		f, err := w.file(t.Context(), id)
		w.must(err)
		return f.Draft.ID
	}
	before := name()
	_, err := w.DraftCase(t.Context(), id, api.DraftWish{Language: "en"})
	w.must(err)
	if name() != before {
		t.Error("the same text is another letter now")
	}
	w.approve(id, "", "fr") // another letter to the same desk on the same day
	if _, err := w.SendCase(t.Context(), id, api.SendWish{}, "ada"); !refused(err, http.StatusConflict) {
		t.Errorf("a second letter: %v", err)
	}
	if len(w.letters) != 1 {
		t.Errorf("%d letters left on one day", len(w.letters))
	}
	w.pass(24 * time.Hour)
	_, err = w.SendCase(t.Context(), id, api.SendWish{}, "ada")
	w.must(err)
}

// TestFullDiskAfterSending: the letter left, and cannot be noted yet.
func TestFullDiskAfterSending(t *testing.T) {
	w := newWorld(t)
	w.attack()
	id := w.approved("203.0.113.9/32", "")
	var full atomic.Bool
	w.deps.Store = &failing{Store: w.store, full: func(string) bool { return full.Load() }}
	w.deps.Sender = &handing{Sender: w.deps.Sender, during: func() { full.Store(true) }}
	if _, err := w.SendCase(t.Context(), id, api.SendWish{}, "ada"); !errors.Is(err, errFull) {
		t.Errorf("on a full disk: %v", err)
	}
	full.Store(false)
	f, err := w.SendCase(t.Context(), id, api.SendWish{}, "ada")
	w.must(err)
	if len(w.letters) != 1 || f.Case.State != takedown.Sent {
		t.Errorf("%d letters, and the case is %v", len(w.letters), f.Case.State)
	}
}

// TestSlowServersHoldUpNobody: while a registry or a mail server takes its time,
// other cases go on, and nothing happens to the mail under way.
func TestSlowServersHoldUpNobody(t *testing.T) {
	w := newWorld(t)
	w.attack()
	ctx := t.Context()
	free := func(what string) func() {
		return func() {
			if !w.cases.TryLock() {
				t.Errorf("%s: all cases wait", what)
				return
			}
			w.cases.Unlock()
		}
	}
	w.deps.Finder = asked{during: free("a registry is asked")}
	id := w.approved("203.0.113.9/32", "")
	held := free("a letter is sent")
	w.deps.Sender = &handing{Sender: w.deps.Sender, during: func() {
		if held(); t.Failed() {
			return
		}
		_, err := w.DraftCase(ctx, id, api.DraftWish{})
		_, also := w.ActOnCase(ctx, id, api.CaseAct{Act: takedown.Reject, Why: "an error"}, "ben")
		_, again := w.SendCase(ctx, id, api.SendWish{}, "ben")
		for _, err := range []error{err, also, again} {
			if !refused(err, http.StatusConflict) {
				t.Errorf("while its mail is under way: %v", err)
			}
		}
		w.must(w.tick(ctx))
		_, err = w.ActOnCase(ctx, id, api.CaseAct{Act: takedown.Note, Why: "waiting"}, "ben")
		w.must(err)
	}}
	f, err := w.SendCase(ctx, id, api.SendWish{}, "ada")
	w.must(err)
	if f.Case.State != takedown.Sent || len(w.letters) != 1 {
		t.Errorf("%v, %d letters", f.Case.State, len(w.letters))
	}
}
