package incident

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/compromise"
	"github.com/tocsin-io/tocsin/notify"
	"github.com/tocsin-io/tocsin/store"
	"github.com/tocsin-io/tocsin/takedown"
)

// attack plays an incident to the database: 60 devices, eight of them entered, and
// these contact a controller before they attack others.
func (w *world) attack() {
	w.Helper()
	start := w.clock().Add(-10 * time.Hour)
	for i := range 60 {
		d, o := device(i), owner(i)
		w.enrol(d, o, []string{"A", "B", "C"}[i%3])
		list := []tocsin.Contact{
			flow(d, "198.51.100.1:443", start, 10, 20*time.Minute), // the vendor
			flow(d, fmt.Sprintf("198.18.%d.1:443", i), start, 3, time.Hour),
		}
		switch {
		case i < 8:
			at := start.Add(2 * time.Hour)
			w.sees(d, o, "203.0.113.9/32", at, 12, 0, tocsin.BlockedHere)
			w.sees(d, o, "203.0.113.9/32", at.Add(2*time.Minute), 8, 1, tocsin.SuccessAfterFailures)
			w.notices(d, o, tocsin.KeysChanged, "/root/.ssh/authorized_keys", at.Add(5*time.Minute))
			list = append(list, flow(d, "203.0.113.200:8443", at.Add(10*time.Minute), 60, 7*time.Minute+time.Duration(i)*time.Second))
			for j := range 60 {
				list = append(list, flow(d, fmt.Sprintf("198.19.%d.%d:22", i, j+1), at.Add(4*time.Hour+time.Duration(j)*time.Second), 1, time.Second))
			}
		case i < 30:
			w.sees(d, o, "203.0.113.9/32", start.Add(3*time.Hour), 12, 0, tocsin.BlockedHere)
		}
		w.contacts(list...)
		if i != 59 {
			w.covers(d, w.clock().Add(-defaultKeep-time.Hour))
		}
	}
}

func TestWhatHappened(t *testing.T) {
	w := newWorld(t)
	w.attack()
	c, err := w.Compromise(t.Context())
	w.must(err)
	s := c.Summary.States
	if s[compromise.Confirmed] != 8 || s[compromise.NearMiss] != 22 || s[compromise.Clean] != 29 || s[compromise.Unknown] != 1 {
		t.Errorf("states: %v", s)
	}
	r, err := w.Ranking(t.Context())
	w.must(err)
	if len(r.Candidates) == 0 || r.Candidates[0].Address != netip.MustParseAddr("203.0.113.200") || r.Candidates[0].Class != tocsin.Commands {
		t.Fatalf("not ranked first: %+v", r.Candidates)
	}
	if len(r.Proposals) != 1 || r.Proposals[0].Source != netip.MustParsePrefix("203.0.113.200/32") {
		t.Errorf("proposed: %+v", r.Proposals)
	}
	suspected := 0
	for _, e := range w.heard {
		if e.Kind == notify.DeviceSuspected {
			suspected++
		}
	}
	if suspected != 8 {
		t.Errorf("told of %d devices, want 8", suspected)
	}
	n := len(w.heard)
	_, err = w.judge(t.Context())
	w.must(err)
	if len(w.heard) != n {
		t.Errorf("told again: %v", w.heard[n:])
	}
	again, err := New(w.cfg, w.deps)
	w.must(err)
	_, err = again.judge(t.Context())
	w.must(err)
	if len(w.heard) != n {
		t.Errorf("told again after a restart: %v", w.heard[n:])
	}
}

// TestMemory: what was summed up as it came says the same as what is read anew.
func TestMemory(t *testing.T) {
	w := newWorld(t)
	w.attack()
	first, err := w.judge(t.Context())
	w.must(err)
	w.sees(device(40), owner(40), "203.0.113.77/32", w.clock().Add(-time.Hour), 3, 1, tocsin.SuccessAfterFailures)
	second, err := w.judge(t.Context())
	w.must(err)
	if a, _ := first.assessment(device(40)); a.State != compromise.Clean {
		t.Errorf("before: %v", a.State)
	}
	if a, _ := second.assessment(device(40)); a.State != compromise.Suspected {
		t.Errorf("after: %v", a.State)
	}
	w.memory = memory{}
	third, err := w.judge(t.Context())
	w.must(err)
	if fmt.Sprint(second.Assessed) != fmt.Sprint(third.Assessed) {
		t.Error("a part that starts anew says something else")
	}
}

func TestDismissed(t *testing.T) {
	w := newWorld(t)
	w.attack()
	w.must(w.Suspect(t.Context(), device(50), true)) // by a person
	_, err := w.judge(t.Context())
	w.must(err)
	if s := w.suspects(); len(s) != 9 || !s[device(0)] || !s[device(50)] {
		t.Errorf("suspect: %v, want those entered, and whom a person named", s)
	}
	w.must(w.Suspect(t.Context(), device(1), false)) // a person trusts it all the same, until the next judgement
	a, err := w.Dismiss(t.Context(), device(0), "ada", "our own penetration test")
	w.must(err)
	if a.State != compromise.FalsePositive {
		t.Errorf("dismissed, and %v", a.State)
	}
	if _, err := w.Dismiss(t.Context(), device(45), "ada", "nothing there"); !refused(err, http.StatusConflict) {
		t.Errorf("a clean device was dismissed: %v", err)
	}
	if _, err := w.Dismiss(t.Context(), device(1), "ada", ""); !refused(err, http.StatusConflict) {
		t.Errorf("without a reason: %v", err)
	}
	if s := w.suspects(); s[device(0)] || len(s) != 8 {
		t.Errorf("dismissed, and suspect: %v", s)
	}
	w.notices(device(0), owner(0), tocsin.AutorunAdded, "/etc/cron.d/x", w.clock())
	j, err := w.judge(t.Context())
	w.must(err)
	if a, _ := j.assessment(device(0)); a.State != compromise.Confirmed {
		t.Errorf("new evidence does not open it again: %v", a.State)
	}
}

// suspects returns the devices whose word binds nobody.
func (w *world) suspects() map[tocsin.DeviceID]bool {
	w.Helper()
	all := map[tocsin.DeviceID]bool{}
	for d, err := range w.store.Devices(w.Context()) {
		w.must(err)
		if d.Suspect {
			all[d.ID] = true
		}
	}
	return all
}

func refused(err error, status int) bool {
	var e *api.Error
	return errors.As(err, &e) && e.Status == status
}

// open opens the case that the system proposes and drafts its mail.
func (w *world) open() (takedown.ID, takedown.Digest) {
	w.Helper()
	f, err := w.OpenCase(w.Context(), api.CaseWish{Kind: takedown.Controller, Source: netip.MustParsePrefix("203.0.113.200/32"), Port: 8443, Why: "proposed"}, "ada")
	w.must(err)
	f, err = w.DraftCase(w.Context(), f.Case.ID, api.DraftWish{})
	w.must(err)
	return f.Case.ID, f.Draft.Digest
}

// TestCase: drafted, approved twice by one person half an hour apart, mailed once,
// bounced, answered.
func TestCase(t *testing.T) {
	w := newWorld(t)
	w.attack()
	id, digest := w.open()
	ctx := t.Context()

	if _, err := w.SendCase(ctx, id, api.SendWish{}, "ada"); !refused(err, http.StatusConflict) {
		t.Errorf("sent without approval: %v", err)
	}
	if _, err := w.ApproveCase(ctx, id, takedown.Digest{1}, "ada"); !refused(err, http.StatusConflict) {
		t.Errorf("approved another mail: %v", err)
	}
	f, err := w.ApproveCase(ctx, id, digest, "ada")
	w.must(err)
	if f.Draft.Approved {
		t.Error("one approval of a controller suffices at once")
	}
	if _, err := w.ApproveCase(ctx, id, digest, "ada"); !refused(err, http.StatusConflict) {
		t.Errorf("approved twice at once: %v", err)
	}
	if len(w.letters) != 0 {
		t.Fatal("something was sent")
	}
	w.pass(31 * time.Minute)
	f, err = w.ApproveCase(ctx, id, digest, "ada")
	w.must(err)
	if !f.Draft.Approved {
		t.Fatal("approved again after half an hour, and not ready")
	}

	w.refuse = &smtp.SMTPError{Code: 451, Message: "come back later"}
	if _, err := w.SendCase(ctx, id, api.SendWish{}, "ada"); !refused(err, http.StatusBadGateway) {
		t.Errorf("a server that refuses: %v", err)
	}
	w.refuse = nil
	f, err = w.SendCase(ctx, id, api.SendWish{}, "ada")
	w.must(err)
	if f.Case.State != takedown.Sent || len(w.letters) != 1 || f.Clock.Verdict != takedown.Pending {
		t.Fatalf("state %v, %d letters, clock %v", f.Case.State, len(w.letters), f.Clock.Verdict)
	}
	letter := string(w.letters[0])
	for _, want := range []string{"203.0.113.200", "xarf.json", string(id), "abuse@provider.example"} {
		if !strings.Contains(letter, want) {
			t.Errorf("the letter lacks %q", want)
		}
	}
	for _, never := range []string{"owner", "d-00", "nas of", "authorized_keys"} {
		if strings.Contains(letter, never) {
			t.Errorf("the letter tells %q", never)
		}
	}
	message := f.Case.Mails[0].MessageID
	f, err = w.TakeAnswer(ctx, strings.NewReader(bounce(message)))
	w.must(err)
	if f.Case.State != takedown.Bounced {
		t.Errorf("bounced, and %v", f.Case.State)
	}
	again, err := w.TakeAnswer(ctx, strings.NewReader(bounce(message)))
	if err == nil && len(again.Case.History) != len(f.Case.History) {
		t.Error("the same letter was noted twice")
	}
	if _, err := w.TakeAnswer(ctx, strings.NewReader("From: x@example.org\r\nSubject: ["+string(id)+"] closed\r\n\r\nAll is well.\r\n")); !refused(err, http.StatusNotFound) {
		t.Errorf("a letter of somebody who saw none of ours: %v", err)
	}
	f, err = w.TakeAnswer(ctx, strings.NewReader("From: abuse@provider.example\r\nMessage-ID: <a1@provider.example>\r\nIn-Reply-To: <"+message+">\r\nSubject: Re: report\r\n\r\nWe have taken the server down.\r\n"))
	w.must(err)
	if f.Case.State != takedown.Acknowledged {
		t.Errorf("answered, and %v", f.Case.State)
	}
	all, err := w.CaseLetters(ctx, id)
	w.must(err)
	if len(all.Sent) != 1 || all.Sent[0].MessageID != message || all.Sent[0].ByHand || !strings.Contains(all.Sent[0].Letter.Text, "203.0.113.200") ||
		all.Sent[0].Letter.Report == "" || all.Sent[0].Digest != f.Case.Mails[0].Digest {
		t.Errorf("the letter that left reads %+v", all.Sent)
	}
	if len(all.Answers) != 2 || all.Answers[0].Text != "We have taken the server down." || all.Answers[0].From != "abuse@provider.example" ||
		all.Answers[1].Kind != "bounced" {
		t.Errorf("came back: %+v", all.Answers)
	}
}

func bounce(id string) string {
	return "From: MAILER-DAEMON@example.net\r\nMessage-ID: <b1@example.net>\r\nSubject: Undelivered\r\nMIME-Version: 1.0\r\n" +
		"Content-Type: multipart/report; report-type=delivery-status; boundary=x\r\n\r\n--x\r\nContent-Type: text/plain\r\n\r\nNo such user.\r\n" +
		"--x\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mail.example.net\r\n\r\n" +
		"Final-Recipient: rfc822; abuse@provider.example\r\nAction: failed\r\nStatus: 5.1.1\r\nDiagnostic-Code: smtp; 550 no such user\r\n" +
		"--x\r\nContent-Type: message/rfc822-headers\r\n\r\nMessage-ID: <" + id + ">\r\n\r\n--x--\r\n"
}

// TestNobodyComplains: without a name and an address there is no letter.
func TestNobodyComplains(t *testing.T) {
	w := newWorld(t)
	w.attack()
	w.cfg.Party.Contact = ""
	f, err := w.OpenCase(t.Context(), api.CaseWish{Kind: takedown.BruteForce, Source: netip.MustParsePrefix("203.0.113.9/32"), Why: "attacks"}, "ada")
	w.must(err)
	if _, err := w.DraftCase(t.Context(), f.Case.ID, api.DraftWish{}); !refused(err, http.StatusConflict) {
		t.Errorf("drafted in nobody's name: %v", err)
	}
}

// TestOneMailADay: about one source, to one provider.
func TestOneMailADay(t *testing.T) {
	w := newWorld(t)
	w.attack()
	for i, kind := range []takedown.Kind{takedown.BruteForce, takedown.CompromisedServer} {
		f, err := w.OpenCase(t.Context(), api.CaseWish{Kind: kind, Source: netip.MustParsePrefix("203.0.113.9/32"), Why: "attacks"}, "ada")
		w.must(err)
		f, err = w.DraftCase(t.Context(), f.Case.ID, api.DraftWish{Language: "de"})
		w.must(err)
		f, err = w.ApproveCase(t.Context(), f.Case.ID, f.Draft.Digest, "ada")
		w.must(err)
		_, err = w.SendCase(t.Context(), f.Case.ID, api.SendWish{}, "ada")
		if i == 0 && err != nil || i == 1 && !refused(err, http.StatusConflict) {
			t.Errorf("mail %d: %v", i+1, err)
		}
	}
	if len(w.letters) != 1 {
		t.Errorf("%d letters left", len(w.letters))
	}
	if _, err := w.OpenCase(t.Context(), api.CaseWish{Kind: takedown.BruteForce, Source: netip.MustParsePrefix("203.0.113.9/32")}, "ben"); !refused(err, http.StatusConflict) {
		t.Errorf("a second case about the same: %v", err)
	}
	if _, err := w.OpenCase(t.Context(), api.CaseWish{Kind: takedown.BruteForce, Source: netip.MustParsePrefix("10.0.0.1/32")}, "ada"); !refused(err, http.StatusBadRequest) {
		t.Errorf("a private address: %v", err)
	}
}

// TestAccountsCount: where a second person may sign in and approve, one alone does
// not approve twice; an account that cannot sign in counts for nobody.
func TestAccountsCount(t *testing.T) {
	w := newWorld(t)
	w.attack()
	ctx := t.Context()
	count := func(want int) {
		t.Helper()
		if n, err := w.people(ctx); err != nil || n != want {
			t.Errorf("%d people, %v; want %d", n, err, want)
		}
	}
	count(1)
	w.must(w.store.AddUser(ctx, store.User{Name: "ada", Role: store.Admin, Made: day, Password: "x"}))
	w.must(w.store.AddUser(ctx, store.User{Name: "eve", Role: store.Viewer, Made: day, Password: "x"}))
	w.must(w.store.AddUser(ctx, store.User{Name: "ben", Role: store.Analyst, Made: day}))
	count(1)
	w.must(w.store.ChangeUser(ctx, store.User{Name: "ben", Role: store.Analyst, Made: day, Password: "x"}))
	count(2)
	id, digest := w.open()
	_, err := w.ApproveCase(ctx, id, digest, "ada")
	w.must(err)
	w.pass(31 * time.Minute)
	if _, err := w.ApproveCase(ctx, id, digest, "ada"); !refused(err, http.StatusConflict) {
		t.Errorf("approved alone where two may: %v", err)
	}
	f, err := w.ApproveCase(ctx, id, digest, "ben")
	w.must(err)
	if !f.Draft.Approved {
		t.Error("approved by two, and not ready")
	}
}

// TestDownAndBack: only what the fleet itself sees moves a case on.
func TestDownAndBack(t *testing.T) {
	w := newWorld(t)
	w.attack()
	id, digest := w.open()
	ctx := t.Context()
	_, err := w.ApproveCase(ctx, id, digest, "ada")
	w.must(err)
	_, err = w.ApproveCase(ctx, id, digest, "ben")
	w.must(err)
	f, err := w.SendCase(ctx, id, api.SendWish{ByHand: true}, "ada")
	w.must(err)
	all, err := w.CaseLetters(ctx, id)
	w.must(err)
	if len(all.Sent) != 1 || !all.Sent[0].ByHand || all.Sent[0].Digest != digest || all.Sent[0].Letter.Text == "" || all.Sent[0].Letter.To != f.Case.Mails[0].To {
		t.Errorf("sent by hand, and kept is %+v", all.Sent)
	}
	look := func() takedown.State {
		for i := range 59 {
			w.covers(device(i), day.Add(-defaultKeep-time.Hour))
		}
		_, err := w.judge(ctx)
		w.must(err)
		w.must(w.tick(ctx))
		f, err := w.Case(ctx, id)
		w.must(err)
		return f.Case.State
	}
	w.pass(5 * time.Hour)
	if s := look(); s != takedown.Sent {
		t.Errorf("after five hours: %v", s)
	}
	due := 0
	for _, e := range w.heard {
		if e.Kind == notify.CaseState && strings.Contains(e.Title, "is due") {
			due++
		}
	}
	if due == 0 {
		t.Error("nobody heard that a second channel is due")
	}
	w.blocked = true // without samples of what is dropped, silence proves nothing
	w.pass(4 * time.Hour)
	if s := look(); s != takedown.Sent {
		t.Errorf("devices that block without sampling prove that it is down: %v", s)
	}
	w.blocked = false
	if s := look(); s != takedown.VerifiedDown {
		t.Fatalf("nobody saw it for hours, and %v", s)
	}
	w.pass(time.Hour)
	w.contacts(flow(device(3), "203.0.113.200:8443", w.clock().Add(-time.Minute), 1, time.Second))
	if s := look(); s != takedown.Reopened {
		t.Errorf("seen again, and %v", s)
	}
}

func TestNotices(t *testing.T) {
	w := newWorld(t)
	w.attack()
	list, err := w.Notices(t.Context())
	w.must(err)
	if len(list) != 2*5+2 {
		t.Fatalf("%d texts, want one for each owner and everybody, in two languages", len(list))
	}
	for _, one := range list {
		if one.Ready() == nil {
			t.Errorf("%s to %q is ready without a person", one.Kind, one.To)
		}
	}
	public := list[len(list)-1]
	for _, never := range []string{"owner0", "nas of", "d-0", "203.0.113"} {
		if strings.Contains(public.Markdown, never) {
			t.Errorf("the bulletin tells %q", never)
		}
	}
	_, err = w.ApproveNotice(t.Context(), public.Digest(), "ada")
	w.must(err)
	list, err = w.Notices(t.Context())
	w.must(err)
	if err := list[len(list)-1].Ready(); err != nil {
		t.Errorf("approved, and: %v", err)
	}
	w.pass(time.Minute)
	w.notices(device(50), owner(50), tocsin.TripwireHit, "/share/canary", w.clock())
	_, err = w.judge(t.Context())
	w.must(err)
	list, err = w.Notices(t.Context())
	w.must(err)
	if list[len(list)-1].Ready() == nil {
		t.Error("what is written differently now counts as approved")
	}
}

func TestExports(t *testing.T) {
	w := newWorld(t)
	w.attack()
	id, _ := w.open()
	for _, form := range []string{"md", "html"} {
		b, err := w.Print(t.Context(), id, form)
		w.must(err)
		if !bytes.Contains(b, []byte(id)) {
			t.Errorf("%s lacks the case's name", form)
		}
	}
	if _, err := w.Print(t.Context(), id, "pdf"); !refused(err, http.StatusBadRequest) {
		t.Errorf("pdf: %v", err)
	}
	full, err := w.FullDossier(t.Context(), id, "fr")
	w.must(err)
	if !strings.Contains(full.Text, "TLP:AMBER") {
		t.Error("the full dossier is not marked")
	}
	b, err := w.STIX(t.Context(), "", "")
	w.must(err)
	if !bytes.Contains(b, []byte(`"bundle"`)) || !bytes.Contains(b, []byte("203.0.113.200")) || bytes.Contains(b, []byte("owner0")) {
		t.Errorf("the bundle: %.300s", b)
	}
	if _, err := w.STIX(t.Context(), "nothing", ""); err == nil {
		t.Error("a campaign that is not there")
	}
}
