package incident

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/compromise"
	"github.com/tocsin-io/tocsin/notify"
	"github.com/tocsin-io/tocsin/takedown"
)

// full returns a case that takes no more notes, and the name of its letter.
func (w *world) full() string {
	w.Helper()
	id := w.approved("203.0.113.9/32", "")
	sent, err := w.SendCase(w.Context(), id, api.SendWish{}, "ada")
	w.must(err)
	message := sent.Case.Mails[0].MessageID
	f, err := w.file(w.Context(), id)
	w.must(err)
	for err == nil {
		f.Case, err = f.Case.Apply(takedown.Entry{At: w.clock(), By: "provider", Act: takedown.Note, Why: "automatic"})
	}
	var kept file
	w.must(w.change(w.Context(), caseKind, string(id), &kept, func() error { kept = f; return nil }))
	return message
}

// TestAnswersWithoutEnd: whoever got one letter keeps no other answer from being
// read.
func TestAnswersWithoutEnd(t *testing.T) {
	w := newWorld(t)
	w.attack()
	message := w.full()
	other := w.approved("203.0.113.10/32", "")
	sent, err := w.SendCase(t.Context(), other, api.SendWish{}, "ada")
	w.must(err)
	w.cfg.Maildir = t.TempDir()
	w.must(os.Mkdir(filepath.Join(w.cfg.Maildir, "new"), 0o700))
	for i, about := range []string{message, sent.Case.Mails[0].MessageID} {
		letter := fmt.Sprintf("From: abuse@provider.example\r\nAuto-Submitted: auto-replied\r\nMessage-ID: <a%d@provider.example>\r\nIn-Reply-To: <%s>\r\nSubject: Re\r\n\r\nTicket %d.\r\n", i, about, i)
		w.must(os.WriteFile(filepath.Join(w.cfg.Maildir, "new", fmt.Sprint(i)), []byte(letter), 0o600))
	}
	w.pass(-time.Hour) // and somebody sets the clock back
	w.must(w.readAnswers(t.Context()))
	f, err := w.Case(t.Context(), other)
	w.must(err)
	if n := len(f.Case.History); n != len(sent.Case.History)+1 {
		t.Errorf("%d entries: the answer was not noted", n)
	}
}

// TestAnswersAreBounded: of answers without end the newest are kept, and of a long one
// its beginning.
func TestAnswersAreBounded(t *testing.T) {
	w := newWorld(t)
	w.attack()
	id := w.approved("203.0.113.10/32", "")
	f, err := w.SendCase(t.Context(), id, api.SendWish{}, "ada")
	w.must(err)
	for i := range mostAnswers + 3 {
		text := fmt.Sprint("Answer ", i, "\r\n", strings.Repeat("Grüße ", mostAnswerText/8))
		_, err := w.TakeAnswer(t.Context(), strings.NewReader(fmt.Sprintf("From: a@provider.example\r\nContent-Type: text/plain; charset=utf-8\r\nMessage-ID: <b%d@provider.example>\r\nIn-Reply-To: <%s>\r\n\r\n%s",
			i, f.Case.Mails[0].MessageID, text)))
		w.must(err)
	}
	all, err := w.CaseLetters(t.Context(), id)
	w.must(err)
	if len(all.Answers) != mostAnswers || !strings.HasPrefix(all.Answers[0].Text, fmt.Sprint("Answer ", mostAnswers+2)) {
		t.Fatalf("%d answers, the first %.20q", len(all.Answers), all.Answers[0].Text)
	}
	for _, a := range all.Answers {
		if len(a.Text) > mostAnswerText || !a.Cut || !utf8.ValidString(a.Text) {
			t.Errorf("%d bytes, cut %v", len(a.Text), a.Cut)
		}
	}
}

// TestLettersOfOldFiles: before their text was kept, only bytes were.
func TestLettersOfOldFiles(t *testing.T) {
	w := newWorld(t)
	w.attack()
	id := w.approved("203.0.113.10/32", "")
	_, err := w.SendCase(t.Context(), id, api.SendWish{}, "ada")
	w.must(err)
	var f file
	w.must(w.change(t.Context(), caseKind, string(id), &f, func() error {
		for name, s := range f.Letters {
			f.Letters[name] = sent{At: s.At, Digest: s.Digest, Letter: s.Letter}
		}
		return nil
	}))
	all, err := w.CaseLetters(t.Context(), id)
	w.must(err)
	if len(all.Sent) != 1 || all.Sent[0].Letter.To != "abuse@provider.example" || !strings.Contains(all.Sent[0].Letter.Text, "203.0.113.10") || all.Sent[0].Letter.Subject == "" {
		t.Errorf("got %+v", all.Sent)
	}
}

// TestOneCaseStopsNoOther: a device whose clock is ahead, and a case that takes no
// more entries.
func TestOneCaseStopsNoOther(t *testing.T) {
	w := newWorld(t)
	w.attack()
	ctx := t.Context()
	ids := []takedown.ID{w.approved("203.0.113.9/32", ""), w.approved("203.0.113.10/32", ""), w.approved("203.0.113.11/32", "")}
	for i, id := range ids {
		_, err := w.SendCase(ctx, id, api.SendWish{}, "ada")
		w.must(err)
		_, err = w.ActOnCase(ctx, id, api.CaseAct{Act: takedown.TakeAction}, "ada")
		w.must(err)
		at := w.clock()
		if i == 1 {
			at = at.Add(24 * time.Hour) // the clock was wrong for a moment
		}
		_, err = w.act(ctx, id, takedown.Entry{At: at, By: "ada", Act: takedown.Close, Why: "done"}, nil)
		w.must(err)
	}
	w.pass(time.Hour)
	for _, source := range []string{"203.0.113.9/32", "203.0.113.10/32", "203.0.113.11/32"} {
		w.sees(device(3), owner(3), source, w.clock().Add(26*time.Hour), 3, 0)
	}
	_, err := w.judge(ctx)
	w.must(err)
	if err := w.tick(ctx); err != nil {
		t.Log(err)
	}
	for _, i := range []int{0, 2} {
		f, err := w.Case(ctx, ids[i])
		w.must(err)
		if f.Case.State != takedown.Reopened {
			t.Errorf("case %d: seen again, and %v", i, f.Case.State)
		}
	}
}

// TestFullDiskStopsNoClock: what is due is told, whatever cannot be written.
func TestFullDiskStopsNoClock(t *testing.T) {
	w := newWorld(t)
	w.attack()
	_, err := w.SendCase(t.Context(), w.approved("203.0.113.9/32", ""), api.SendWish{}, "ada")
	w.must(err)
	w.pass(30 * time.Hour)
	w.deps.Store = &failing{Store: w.store, full: func(string) bool { return true }}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	told := w.deps.Notify
	w.deps.Notify = func(e notify.Event) {
		if told(e); strings.Contains(e.Title, "is due") {
			cancel()
		}
	}
	w.must(w.Part.Run(ctx)) // until somebody heard what is due
}

// TestHungUp: what was read before somebody hung up is not taken twice.
func TestHungUp(t *testing.T) {
	w := newWorld(t)
	w.attack()
	want, err := w.judge(t.Context())
	w.must(err)
	w.memory = memory{}
	s := &failing{Store: w.store, cut: 30}
	w.deps.Store = s
	if _, err := w.judge(t.Context()); err == nil {
		t.Fatal("hung up, and judged")
	}
	s.cut = 0
	got, err := w.judge(t.Context())
	w.must(err)
	if fmt.Sprint(want.Assessed) != fmt.Sprint(got.Assessed) {
		t.Error("a judgement after somebody hung up says something else")
	}
}

// TestFullDiskKeepsNoSay: a device whose say was taken away gets it back, whatever
// could not be written then.
func TestFullDiskKeepsNoSay(t *testing.T) {
	w := newWorld(t)
	w.attack()
	var full atomic.Bool
	w.deps.Store = &failing{Store: w.store, full: func(kind string) bool { return full.Load() && kind == suspectKind }}
	full.Store(true)
	if _, err := w.judge(t.Context()); !errors.Is(err, errFull) {
		t.Fatalf("on a full disk: %v", err)
	}
	full.Store(false)
	_, err := w.judge(t.Context())
	w.must(err)
	a, err := w.Dismiss(t.Context(), device(0), "ada", "our own penetration test")
	w.must(err)
	if a.State != compromise.FalsePositive || w.suspects()[device(0)] {
		t.Errorf("%v, and suspect: %v", a.State, w.suspects())
	}
}

// TestFlowsFromTheFuture cover nothing that is to come, and are no contact.
func TestFlowsFromTheFuture(t *testing.T) {
	w := newWorld(t)
	w.attack()
	_, err := w.judge(t.Context())
	w.must(err)
	row := func(at time.Time) string {
		return fmt.Sprintf("%d.0\t198.51.100.20\t40000\t203.0.113.200\t8443\ttcp\t1.0\t10\t10\n", at.Unix())
	}
	log := "#separator \\x09\n#path\tconn\n#fields\tts\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tproto\tduration\torig_bytes\tresp_bytes\n" +
		row(w.clock().Add(-time.Hour)) + row(w.clock().Add(365*24*time.Hour))
	done, err := w.ImportFlows(t.Context(), strings.NewReader(log))
	w.must(err)
	if done.Flows != 2 || done.Taken != 1 || done.Ahead != 1 || done.Contacts != 1 {
		t.Errorf("got %+v", done)
	}
	for c, err := range w.store.Covered(t.Context()) {
		w.must(err)
		if to := c.Read[len(c.Read)-1].To; to.After(w.clock()) {
			t.Errorf("covered until %v", to)
		}
	}
}

// TestAfterAPauseNobodyIsSilent: a hub that was off for hours waits whom it hears.
func TestAfterAPauseNobodyIsSilent(t *testing.T) {
	w := newWorld(t)
	w.attack()
	w.pass(3 * time.Hour)
	var err error
	w.Part, err = New(w.cfg, w.deps) // as after a restart
	w.must(err)
	silent := func() (n int) {
		w.heard = nil
		_, err := w.judge(t.Context())
		w.must(err)
		for _, e := range w.heard {
			if e.Kind == notify.DeviceSilent {
				n++
			}
		}
		return n
	}
	if n := silent(); n != 0 {
		t.Errorf("%d devices are told as silent, as soon as the hub starts", n)
	}
	w.pass(61 * time.Minute)
	if n := silent(); n != 60 {
		t.Errorf("%d devices are told as silent, want all", n)
	}
}
