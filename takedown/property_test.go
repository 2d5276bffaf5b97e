package takedown

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// sensible draws an act that c may be ready for.
func sensible(t *rapid.T, c Case) Act {
	var list []Act
	for a, states := range allowed {
		if slices.Contains(states, c.State) && Act(a) != Reject {
			list = append(list, Act(a))
		}
	}
	switch {
	case c.Ready:
		list = append(list, Send, Send, Send, Send)
	case c.State == Draft || c.State == Reopened:
		list = append(list, Approve, Approve, Approve, Approve)
	}
	return rapid.SampledFrom(list).Draw(t, "sensible act")
}

// anything draws whatever can be tried next: half of it makes sense.
func anything(t *rapid.T, c Case, clock *time.Time) Entry {
	*clock = clock.Add(time.Duration(rapid.IntRange(0, 3*3600).Draw(t, "step")) * time.Second)
	e := Entry{
		At: *clock, By: rapid.SampledFrom([]string{"anna", "berta", "Anna ", System, "carla", ""}).Draw(t, "by"),
		Act: Act(rapid.SampledFrom([]int{int(Approve), int(Approve), int(Approve), int(Send), int(Send), int(Deliver), int(Bounce), int(Acknowledge), int(TakeAction),
			int(VerifyDown), int(Close), int(Reject), int(Reopen), int(Note), int(Escalate), int(Begin), 0, 99}).Draw(t, "act")),
		Why:       rapid.SampledFrom([]string{"", "because", "a\r\nb\u202e"}).Draw(t, "why"),
		Digest:    letter(rapid.ByteRange(0, 2).Draw(t, "letter")),
		People:    rapid.IntRange(0, 2).Draw(t, "people"),
		MessageID: fmt.Sprint(rapid.IntRange(0, 3).Draw(t, "message")),
		Step:      Step(rapid.IntRange(0, 6).Draw(t, "escalation")),
		Seen:      clock.Add(-time.Duration(rapid.IntRange(0, 48).Draw(t, "seen")) * time.Hour),
	}
	if rapid.Bool().Draw(t, "sense") {
		e.Act = sensible(t, c)
		if e.By == "" || e.Act == Approve {
			e.By = rapid.SampledFrom([]string{"anna", "berta"}).Draw(t, "person")
		}
		if e.Digest = letter(1); c.Text != (Digest{}) {
			e.Digest = c.Text
		}
	}
	if rapid.IntRange(0, 9).Draw(t, "mail") > 0 {
		e.Mail = mailTo(rapid.SampledFrom([]string{"example.net", "example.org"}).Draw(t, "provider"), e.MessageID)
	}
	if rapid.Bool().Draw(t, "proof") {
		if p, err := Verify(Controller, quiet(*clock, "a", "b", "c"), *clock); err == nil {
			e.Proof = &p
		}
	}
	return e
}

// agreed reports whether history holds the approvals that the mail at position n
// needs: after the mail before it, of these words, by two people or by one alone
// twice, half an hour apart.
func agreed(k Kind, history []Entry, n int) bool {
	var yes []Entry
	for _, e := range slices.Backward(history[:n]) {
		if e.Act == Send || e.Act == Reopen {
			break
		}
		if e.Act == Approve && e.Digest == history[n].Digest {
			yes = append(yes, e)
		}
	}
	if len(yes) == 0 || k != Controller {
		return len(yes) > 0
	}
	for _, a := range yes {
		for _, b := range yes {
			if fold(a.By) != fold(b.By) || a.People == 1 && a.At.Sub(b.At) >= Again {
				return true
			}
		}
	}
	return false
}

func TestProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		kind := rapid.SampledFrom([]Kind{Controller, Controller, BruteForce, CompromisedServer}).Draw(t, "kind")
		clock := day0
		c, err := Open(opening(kind), "anna", "", clock)
		if err != nil {
			t.Fatal(err)
		}
		for range rapid.IntRange(0, 40).Draw(t, "entries") {
			before, n := c.State, len(c.History)
			next, err := c.Apply(anything(t, c, &clock))
			if err != nil {
				if next.State != before || len(next.History) != n {
					t.Fatalf("refused, and changed: %v", err)
				}
				continue
			}
			if c.State != before || len(c.History) != n {
				t.Fatal("the case before was changed in place")
			}
			c = next
		}
		nothingUnapproved(t, c)
		replaysToTheSame(t, c)
		clockIsMonotone(t, c, clock)
	})
}

// nothingUnapproved: no history reaches sent without approval.
func nothingUnapproved(t *rapid.T, c Case) {
	mails := 0
	for i, e := range c.History {
		if e.Act == Send {
			mails++
			if !agreed(c.Kind, c.History, i) {
				t.Fatalf("entry %d sent what was not approved: %+v", i, c.History)
			}
		}
		if e.Act == Approve && fold(e.By) == System {
			t.Fatal("the system approved")
		}
	}
	if mails != len(c.Mails) || mails == 0 && !c.Sent.IsZero() || mails == 0 && slices.Contains(waiting, c.State) {
		t.Fatalf("%d mails, and it is %s", mails, c.State)
	}
	for i, m := range c.Mails {
		if others := slices.Delete(slices.Clone(c.Mails), i, i+1); m.Bounced.IsZero() && m.Repeats(others) {
			t.Fatalf("mail %d is one too many: %+v", i, c.Mails)
		}
	}
}

// replaysToTheSame: a history gives one case, by way of JSON and back.
func replaysToTheSame(t *rapid.T, c Case) {
	first, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	var back Case
	if err := json.Unmarshal(first, &back); err != nil {
		t.Fatal(err)
	}
	second, err := json.Marshal(back)
	if err != nil {
		t.Fatal(err)
	}
	if string(first) != string(second) {
		t.Fatalf("%s\nwas replayed to\n%s", first, second)
	}
}

// clockIsMonotone: what is due stays due as time goes by, in the same order; what
// was announced comes; and a verdict only leaves pending once.
func clockIsMonotone(t *rapid.T, c Case, now time.Time) {
	a := now.Add(time.Duration(rapid.IntRange(-60, 60).Draw(t, "a")) * time.Hour)
	b := a.Add(time.Duration(rapid.IntRange(0, 60).Draw(t, "b")) * time.Hour)
	early, late := c.Clock(a), c.Clock(b)
	if len(late.Due) < len(early.Due) || !slices.Equal(late.Due[:len(early.Due)], early.Due) {
		t.Fatalf("due at %s: %v; at %s: %v", a, early.Due, b, late.Due)
	}
	if got := append(slices.Clone(late.Due), late.Next...); !slices.Equal(got, append(slices.Clone(early.Due), early.Next...)) {
		t.Fatalf("announced at %s: %v; at %s: %v", a, early, b, late)
	}
	if early.Verdict != Pending && early.Verdict != late.Verdict || late.Elapsed < early.Elapsed {
		t.Fatalf("%+v, and later %+v", early, late)
	}
}

func FuzzCase(f *testing.F) {
	c, err := Open(opening(Controller), "anna", "seen", day0)
	if err != nil {
		f.Fatal(err)
	}
	b, err := json.Marshal(c)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"history":[{"at":"2023-10-14T18:42:00Z","by":"anna","act":"open"}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var c Case
		if json.Unmarshal(text, &c) != nil {
			return
		}
		first, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		var back Case
		if err := json.Unmarshal(first, &back); err != nil {
			t.Fatalf("what was read once is not read again: %v", err)
		}
		second, err := json.Marshal(back)
		if err != nil || string(second) != string(first) {
			t.Fatalf("%s\nbecame\n%s", first, second)
		}
		if len(c.History) > MaxHistory || !Public(c.Source.Addr()) || !c.ID.Valid() {
			t.Fatalf("%+v", c)
		}
	})
}

func FuzzOneLine(f *testing.F) {
	f.Add("root\r\nBcc: x", 10)
	f.Add("\u202e\xff TC-20231014-7F3K2Q9M", 64)
	f.Fuzz(func(t *testing.T, s string, limit int) {
		limit %= 1 << 12
		got := OneLine(s, limit)
		if len(got) > max(limit, 0) || !utf8.ValidString(got) || OneLine(got, limit) != got {
			t.Fatalf("%q at most %d: %q", s, limit, got)
		}
		if strings.ContainsFunc(got, func(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) }) {
			t.Fatalf("%q", got)
		}
		if id, ok := FindID(s); ok && (!id.Valid() || !strings.Contains(s, string(id))) {
			t.Fatalf("found %q in %q", id, s)
		}
	})
}
