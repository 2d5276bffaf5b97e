package mail

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

const ours = "CASE-7.00112233445566778899aabbccddeeff@owner.example"

func at(s string) time.Time {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		panic(err)
	}
	return t
}

func TestReadReply(t *testing.T) {
	for name, want := range map[string]Reply{
		"bounce": {
			Kind: Bounced, ID: "20260301120004.AAAA@mx.owner.example", From: "mailer-daemon@mx.owner.example",
			Subject: "Undelivered Mail Returned to Sender", Date: at("2026-03-01T12:00:04Z"), About: []string{ours},
			Failures: []Failure{{To: "abuse@provider.example", Action: "failed", Status: "5.1.1",
				Why: "smtp; 550 5.1.1 <abuse@provider.example>: Recipient address rejected: User unknown"}},
			Text: "Your letter could not be delivered to one or more recipients.",
		},
		"envelope": {
			Kind: Delayed, From: "postmaster@provider.example", Subject: "Delivery Status Notification (Delay)",
			Date: at("2026-03-01T16:00:04Z"), About: []string{ours}, Text: "We go on trying.",
			Failures: []Failure{{To: "abuse@provider.example", Action: "delayed", Status: "4.4.1", Why: "smtp; 451 nobody home"}},
		},
		"plain-bounce": {
			Kind: Bounced, ID: "E1x@mx.other.example", From: "mailer-daemon@mx.other.example",
			Subject: "Mail delivery failed: returning message to sender", Date: at("2026-03-01T12:03:00Z"), About: []string{ours},
			Failures: []Failure{{To: "abuse@provider.example", Action: "failed", Status: "5.2.2", Why: "552 5.2.2 mailbox is full"}},
		},
		"qmail": {
			Kind: Bounced, From: "mailer-daemon@mail.third.example", Subject: "failure notice", Date: at("2026-03-01T12:03:00Z"),
			About:    []string{ours},
			Failures: []Failure{{To: "abuse@provider.example", Action: "failed", Why: "Remote host said: 550 no such mailbox here"}},
		},
		"ticket": {
			Kind: Automatic, ID: "ticket-4711@provider.example", From: "abuse@provider.example",
			Subject: "[Ticket-4711] Re: Log-ins tried from 192.0.2.7 [CASE-7]", Date: at("2026-03-01T12:00:30Z"),
			About: []string{ours}, Tags: []string{"Ticket-4711", "CASE-7"},
			Text: "We have received your report.\n\nYour number is\u00a04711 <keep it>",
		},
		"holiday": {
			Kind: Automatic, From: "someone@provider.example", Subject: "Abwesenheitsnotiz: Log-ins tried from 192.0.2.7",
			Date: at("2026-03-01T12:00:30Z"), About: []string{"first@owner.example", ours}, Text: "Ich bin nicht da.",
		},
		"answer": {
			Kind: Answer, ID: "1@provider.example", From: "andre@provider.example", Subject: "Rép  [2J [CASE-7]",
			Date: at("2026-03-02T08:00:00Z"), About: []string{ours}, Tags: []string{"CASE-7"},
			Text: "Le serveur est arrêté [31m¤.\n\nAndré",
		},
		"receipt": {
			Kind: Automatic, From: "abuse@provider.example", Subject: "Read: your letter", About: []string{ours}, Text: "It was displayed.",
		},
		"stranger": {Kind: Answer, From: "prize@lottery.example", Subject: "You won", Text: "Write to us [now] <not an id> <a@b>"},
	} {
		t.Run(name, func(t *testing.T) {
			raw, err := os.ReadFile("testdata/" + name + ".eml")
			if err != nil {
				t.Fatal(err)
			}
			for _, ending := range []string{"\n", "\r\n"} {
				got, err := ReadReply(strings.NewReader(strings.ReplaceAll(string(raw), "\n", ending)))
				if err != nil {
					t.Fatal(err)
				}
				if want.Text == "" {
					got.Text = "" // a bounce for people is shown whole
				}
				if diff := cmp.Diff(want, got, cmpopts.EquateEmpty(), cmpopts.IgnoreFields(Reply{}, "Digest")); diff != "" {
					t.Errorf("(-want +got)\n%s", diff)
				}
				_, ok := got.Concerns(func(id string) bool { return id == ours })
				if ok != slices.Contains(want.About, ours) {
					t.Errorf("concerns our letter: %v", ok)
				}
			}
		})
	}
}

// The marks of programs, and what is none.
func TestProgramsAndPeople(t *testing.T) {
	for header, want := range map[string]ReplyKind{
		"From: postmaster@provider.example":                                Answer,
		"From: postmaster@provider.example\nSubject: failure notice":       Bounced,
		"From: a@b.example\nSubject: Undeliverable parcels":                Answer,
		"From: a@b.example\nAuto-Submitted: no":                            Answer,
		"From: a@b.example\nAuto-Submitted: no (a person)":                 Answer,
		"From: a@b.example\nAuto-Submitted: Auto-Generated":                Automatic,
		"From: a@b.example\nPrecedence: bulk":                              Answer,
		"From: a@b.example\nPrecedence: auto_reply":                        Automatic,
		"From: a@b.example\nX-Autoreply: yes":                              Automatic,
		"From: a@b.example\nReturn-Path: <>":                               Automatic,
		"From: a@b.example\nSubject: Out of Office: your report":           Automatic,
		"From: a@b.example\nSubject: Automatic reply: your report":         Automatic,
		"From: a@b.example\nSubject: =?utf-8?q?R=C3=A9ponse?= automatique": Automatic,
		"From: a@b.example\nSubject: Automatic blocking of your report":    Answer,
		"Subject: from nobody":                                             Answer,
	} {
		r, err := ReadReply(strings.NewReader(header + "\n\ntext"))
		if err != nil || r.Kind != want {
			t.Errorf("%q: got %v, %v, want %v", header, r.Kind, err, want)
		}
	}
}

func TestReadReplyRefuses(t *testing.T) {
	for name, raw := range map[string]string{
		"nothing": "", "text": "hello\nthere\n\nyou", "binary": "\x00\x01\x02", "mailbox line only": "From x\n",
		"endless header": strings.Repeat("X: "+strings.Repeat("x", 900)+"\n", 100) + "\ntext",
	} {
		if r, err := ReadReply(strings.NewReader(raw)); err == nil {
			t.Errorf("%s: got %+v", name, r)
		}
	}
}

// What is damaged or without end is read as far as it goes, and says so.
func TestReadReplyIsBounded(t *testing.T) {
	head := "From: a@b.example\nSubject: x\nContent-Type: multipart/mixed; boundary=B\n\n"
	part := "--B\nContent-Type: %s\n\n%s\n"
	deep := "From: a@b.example\nSubject: x\n"
	for i := range 30 {
		deep += fmt.Sprintf("Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n", i, i)
	}
	status := strings.Repeat("\nFinal-Recipient: rfc822; a@b.example\nAction: failed\n", 1000)
	for name, raw := range map[string]string{
		"many parts":    head + strings.Repeat(fmt.Sprintf(part, "text/plain", "text"), 5000) + "--B--\n",
		"deep":          deep + "\ntext",
		"no end":        head + fmt.Sprintf(part, "text/plain", "text"),
		"no parts":      head + "text",
		"long text":     "From: a@b.example\n\n" + strings.Repeat("é", MaxReply),
		"long part":     head + fmt.Sprintf(part, "text/plain", strings.Repeat("é", maxReplyText)) + "--B--\n",
		"many failures": head + fmt.Sprintf(part, "message/delivery-status", "Reporting-MTA: x\n"+status) + "--B--\n",
		"bad base64":    "From: a@b.example\nContent-Transfer-Encoding: base64\n\n!!!!",
	} {
		r, err := ReadReply(strings.NewReader(raw))
		if err != nil || !r.Cut {
			t.Errorf("%s: cut %v, %v", name, r.Cut, err)
		}
		wantSane(t, r)
	}
	many := "From: a@b.example\nReferences: " + strings.Repeat("<1@b.example> <22@b.example>\n ", 500) + "\n\n"
	if r, err := ReadReply(strings.NewReader(many)); err != nil || len(r.About) != 2 {
		t.Errorf("%d letters, %v", len(r.About), err)
	}
}

// wantSane states what holds for every letter.
func wantSane(t *testing.T, r Reply) {
	t.Helper()
	if r.Kind == 0 || r.Kind.String() == "invalid" {
		t.Error("no kind")
	}
	if len(r.Text) > maxReplyText || len(r.Subject) > 300 || len(r.Failures) > maxFailures || len(r.About) > maxAbout || len(r.Tags) > 5 {
		t.Error("more is kept than is allowed")
	}
	for _, id := range r.About {
		if !validID(id) {
			t.Errorf("Message-ID %q", id)
		}
	}
	lines := []string{r.Subject, r.From}
	for _, f := range r.Failures {
		lines = append(lines, f.To, f.Action, f.Status, f.Why)
	}
	for _, s := range lines {
		if !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl) {
			t.Errorf("line %q", s)
		}
	}
	if !utf8.ValidString(r.Text) || strings.ContainsFunc(r.Text, func(c rune) bool { return unicode.IsControl(c) && c != '\n' && c != '\t' }) {
		t.Errorf("text %q", r.Text)
	}
}

func FuzzReadReply(f *testing.F) {
	names, err := filepath.Glob("testdata/*.eml")
	if err != nil || len(names) == 0 {
		f.Fatal(err)
	}
	for _, name := range names {
		raw, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if r, err := ReadReply(bytes.NewReader(raw)); err == nil {
			wantSane(t, r)
		}
	})
}

func TestReadMaildir(t *testing.T) {
	folder := t.TempDir()
	if _, err := ReadMaildir(t.Context(), folder, nil); err == nil || !strings.Contains(err.Error(), "no Maildir") {
		t.Errorf("got %v", err)
	}
	if err := os.Mkdir(filepath.Join(folder, "new"), 0o700); err != nil {
		t.Fatal(err)
	}
	put := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(folder, "new", name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put("2.host", "not a letter")
	put("1.host", "From: a@b.example\nSubject: one\n\ntext")
	put("3.host", "From: a@b.example\nSubject: three\n\ntext")
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("From: a@b.example\n\nsecret"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(secret, filepath.Join(folder, "new", "0.link")); err != nil {
		t.Fatal(err)
	}
	full := errors.New("disk full")
	var seen []string
	take := func(file string, r Reply, err error) error {
		if seen = append(seen, fmt.Sprintf("%s %s %v", file, r.Subject, err == nil)); file == "3.host" && len(seen) == 3 {
			return full
		}
		return nil
	}
	if n, err := ReadMaildir(t.Context(), folder, take); n != 2 || !errors.Is(err, full) {
		t.Errorf("took %d, %v", n, err)
	}
	if n, err := ReadMaildir(t.Context(), folder, take); n != 1 || err != nil { // again: nothing is lost
		t.Errorf("took %d, %v", n, err)
	}
	want := []string{"1.host one true", "2.host  false", "3.host three true", "3.host three true"}
	if !slices.Equal(seen, want) {
		t.Errorf("got %q, want %q", seen, want)
	}
	for _, name := range []string{"1.host:2,S", "2.host:2,S", "3.host:2,S"} {
		if _, err := os.Stat(filepath.Join(folder, "cur", name)); errors.Is(err, fs.ErrNotExist) {
			t.Error(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := ReadMaildir(ctx, folder, take); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
