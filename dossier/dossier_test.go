package dossier

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/takedown"
)

var update = flag.Bool("update", false, "write the golden files anew")

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: got\n%s\nwant\n%s", file, got, want)
	}
}

func TestTexts(t *testing.T) {
	for _, k := range kinds {
		f, full, err := Build(input(t, k, 3))
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range Languages() {
			m := f.Message(l)
			golden(t, "mail-"+k.String()+"-"+string(l), "To: "+m.To+"\nSubject: "+m.Subject+"\n\n"+m.Text)
			golden(t, "full-"+k.String()+"-"+string(l), full.Text(l))
		}
	}
}

// TestWordsAreComplete: no language lacks a sentence.
func TestWordsAreComplete(t *testing.T) {
	for _, l := range Languages() {
		w := l.words()
		for _, k := range kinds {
			for _, m := range []byKind{w.title, w.what, w.ask, w.how} {
				if m[k] == "" {
					t.Errorf("%s: a sentence on %s is missing", l, k)
				}
			}
		}
	}
	var l Language
	if err := l.UnmarshalText([]byte("fr")); err != nil || l != French {
		t.Errorf("%s, %v", l, err)
	}
	if err := l.UnmarshalText([]byte("it\n")); err == nil {
		t.Error("Italian was taken")
	}
}

// everything is all that a provider is sent, payloads decoded.
func everything(t interface{ Fatal(...any) }, f Forwardable) string {
	var b strings.Builder
	for _, l := range Languages() {
		m := f.Message(l)
		b.WriteString(m.To + m.Subject + m.Text)
	}
	b.Write(f.Report)
	if f.Report != nil {
		var c Core
		if err := json.Unmarshal(f.Report, &c); err != nil {
			t.Fatal(err)
		}
		for _, it := range c.Evidence {
			content, err := base64.StdEncoding.DecodeString(it.Payload)
			if err != nil {
				t.Fatal(err)
			}
			b.Write(content)
		}
	}
	stored, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	b.Write(stored)
	return b.String()
}

// secrets never stand in a forwardable dossier.
var secrets = []string{"DEVICE", "OWNER", "MODEL", "FIRMWARE", "KEYEDNAME", "PERSONALNAME", "admin", "CAMPAIGNID", "SECRETLOG", "score", "q-value",
	"beacon", "honeypot", "tocsin", "conntrack"}

func TestForwardableTellsNobody(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		in := input(t, rapid.SampledFrom(kinds).Draw(rt, "kind"), rapid.IntRange(1, 12).Draw(rt, "devices"))
		in.Disclose = []tocsin.OwnerID{"OWNER0", "OWNER1", "OWNER2"}
		for i := range in.Sightings {
			s := &in.Sightings[i]
			s.Successes, s.Port = rapid.Uint32Range(0, 3).Draw(rt, "successes"), rapid.Uint16().Draw(rt, "port")
			s.Service = rapid.SampledFrom([]tocsin.Service{"ssh", "", "x\r\ny", "samba"}).Draw(rt, "service")
			if rapid.Bool().Draw(rt, "unknown device") {
				delete(in.Victims, s.ID.Device)
			}
		}
		f, full, err := Build(in)
		if err != nil {
			rt.Fatal(err)
		}
		all := everything(rt, f)
		for _, s := range secrets {
			if strings.Contains(all, s) {
				rt.Fatalf("it tells %q:\n%s", s, all)
			}
		}
		told := addresses(all)
		for _, s := range in.Sightings {
			if told[s.From] {
				rt.Fatalf("it tells the address of a victim, %s:\n%s", s.From, all)
			}
		}
		if !told[in.Case.Source.Addr()] {
			rt.Fatalf("it does not tell the source:\n%s", all)
		}
		for _, name := range []string{"DEVICE", "OWNER", "KEYEDNAME", "PERSONALNAME", "CAMPAIGNID"} {
			if strings.Contains(whole(rt, full), name) {
				rt.Fatalf("the full dossier tells %s", name)
			}
		}
	})
}

// addresses are those that s holds anywhere.
func addresses(s string) map[netip.Addr]bool {
	found := map[netip.Addr]bool{}
	for _, w := range strings.FieldsFunc(s, func(r rune) bool { return !strings.ContainsRune("0123456789abcdef.:", r) }) {
		if a, err := netip.ParseAddr(strings.Trim(w, ".:")); err == nil {
			found[a] = true
		}
		if a, err := netip.ParseAddr(w); err == nil {
			found[a] = true
		}
	}
	return found
}

func whole(t interface{ Fatal(...any) }, f Full) string {
	b, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	s := string(b)
	for _, l := range Languages() {
		s += f.Text(l)
	}
	return s
}

// TestFullTellsOfThoseWhoAgreed: addresses, models and evidence of others stay
// out, as if they were to be forwarded.
func TestFullTellsOfThoseWhoAgreed(t *testing.T) {
	for _, k := range kinds {
		in := input(t, k, 6)
		_, f, err := Build(in)
		if err != nil {
			t.Fatal(err)
		}
		if s := whole(t, f); strings.Contains(s, "MODEL") || addresses(s)[netip.MustParseAddr("203.0.113.1")] || strings.Contains(s, "auth.log") ||
			f.Withheld != 6 || len(f.Evidence) != 1 {
			t.Errorf("%s: nobody agreed: %s", k, s)
		}
		in.Disclose = []tocsin.OwnerID{"OWNER0", ""}
		_, f, err = Build(in)
		if err != nil {
			t.Fatal(err)
		}
		s := whole(t, f)
		if len(f.Victims) != 2 || f.Withheld != 4 || len(f.Evidence) != 2 || !addresses(s)[netip.MustParseAddr("203.0.113.1")] ||
			addresses(s)[netip.MustParseAddr("203.0.113.2")] || f.Victims[0].Model != "MODEL0" || strings.Contains(s, "SECRETLOG") {
			t.Errorf("%s: one agreed: %s", k, s)
		}
		if f.TLP != "TLP:AMBER" || f.PAP != "PAP:AMBER" || f.Victims[0].TLP != "TLP:AMBER" || f.Evidence[0].PAP != "PAP:AMBER" {
			t.Errorf("%s: markings are missing: %s", k, s)
		}
	}
}

func TestCluesAreEvidence(t *testing.T) {
	in := input(t, takedown.CompromisedServer, 3)
	in.Disclose = []tocsin.OwnerID{"OWNER1"}
	in.Evidence = []Evidence{FromClue(tocsin.Clue{Device: "DEVICE1", At: day0, Fact: tocsin.KeysChanged, Subject: "/home/PERSONALNAME", Digest: [32]byte{7}})}
	_, f, err := Build(in)
	if err != nil || len(f.Evidence) != 1 || f.Evidence[0].SHA256[:2] != "07" || f.Evidence[0].Zone != "UTC" || strings.Contains(whole(t, f), "PERSONAL") {
		t.Errorf("%v, %+v", err, f.Evidence)
	}
}

func TestFullCountsEachAttempt(t *testing.T) {
	in := input(t, takedown.BruteForce, 6)
	in.Disclose = []tocsin.OwnerID{"OWNER0"}
	_, f, err := Build(in)
	if err != nil || f.Attempts != 72 || f.Connected != 0 || f.Victims[0].Count != 12 || strings.Join(f.Accounts, ",") != "admin" {
		t.Errorf("%v, %+v", err, f)
	}
}

func TestNothingToReport(t *testing.T) {
	in := input(t, takedown.Controller, 3)
	in.Contacts = nil
	if _, _, err := Build(in); !errors.Is(err, errNothing) {
		t.Errorf("got %v", err)
	}
	in = input(t, takedown.BruteForce, 3)
	for i := range in.Sightings {
		in.Sightings[i].Source = netip.MustParsePrefix("198.51.100.8/32")
	}
	if _, _, err := Build(in); !errors.Is(err, errNothing) {
		t.Errorf("got %v", err)
	}
}

func TestManyLinesAreBounded(t *testing.T) {
	in := input(t, takedown.BruteForce, 1)
	one := in.Sightings[0]
	in.Sightings = nil
	for i := range 5000 {
		s := one
		s.First, s.Last = day0.Add(time.Duration(i)*time.Second), day0.Add(time.Duration(i)*time.Second)
		in.Sightings = append(in.Sightings, s)
	}
	f, full, err := Build(in)
	if err != nil || f.Gap != "" {
		t.Fatal(err, f.Gap)
	}
	if len(f.Lines) != MaxLines || f.Left != 4800 || len(full.Lines) != MaxLines || f.sum.attempts != 60000 || !f.sum.first.Equal(day0) {
		t.Errorf("%d lines, %d left, %d attempts", len(f.Lines), f.Left, f.sum.attempts)
	}
	if n := len(f.Message(German).Text); n > 40<<10 {
		t.Errorf("a mail of %d bytes", n)
	}
}

// TestHostileTexts: what others wrote adds no line and turns no letters.
func TestHostileTexts(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		evil := rapid.SampledFrom([]string{"x\r\nBcc: all@example.net", "a\u202eb", "n\x00l", "\x1b]0;x\a", "bad\xff", "\u2066<script>alert(1)</script>", "|`*_[x](http://example.net)"})
		k := rapid.SampledFrom(kinds).Draw(rt, "kind")
		in := input(t, k, 3)
		in.Disclose = []tocsin.OwnerID{"OWNER0", "OWNER1", "OWNER2"}
		in.To, in.Sender.Org, in.Sender.Contact = evil.Draw(rt, "to"), evil.Draw(rt, "org"), evil.Draw(rt, "contact")
		in.Case.Domain = evil.Draw(rt, "domain")
		in.Evidence[0].Name, in.Evidence[0].Zone = evil.Draw(rt, "name"), evil.Draw(rt, "zone")
		for i := range in.Sightings {
			in.Sightings[i].Service = tocsin.Service(evil.Draw(rt, "service"))
			in.Sightings[i].Accounts[0].Tag = tocsin.AccountTag(evil.Draw(rt, "account"))
			v := in.Victims[in.Sightings[i].ID.Device]
			v.Model = evil.Draw(rt, "model")
			in.Victims[in.Sightings[i].ID.Device] = v
		}
		f, full, err := Build(in)
		if err != nil {
			rt.Fatal(err)
		}
		if f.Gap == "" {
			rt.Fatal("a report with such a sender was written")
		}
		for _, l := range Languages() {
			m := f.Message(l)
			for _, s := range []string{m.To, m.Subject} {
				if strings.ContainsAny(s, "\r\n") {
					rt.Fatalf("%q breaks a header", s)
				}
			}
			clean(rt, m.Subject+m.To+m.Text+full.Text(l))
		}
		c, err := in.Case.Apply(takedown.Entry{At: day0, By: evil.Draw(rt, "by"), Act: takedown.Note, Why: evil.Draw(rt, "why")})
		if err != nil {
			rt.Fatal(err)
		}
		clean(rt, printedCase(rt, c))
	})
}

func clean(t *rapid.T, s string) {
	if !utf8.ValidString(s) {
		t.Fatalf("%q is no UTF-8", s)
	}
	for _, r := range s {
		if r != '\n' && r < 0x20 || r >= 0x7f && r < 0xa0 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			t.Fatalf("%q holds %U", s, r)
		}
	}
}

func TestDigestIsOfTheWholeMail(t *testing.T) {
	m := Message{To: "a", Subject: "b", Text: "c", Report: []byte("d")}
	seen := map[takedown.Digest]bool{m.Digest(): true}
	for _, other := range []Message{{}, {To: "ab", Text: "c", Report: []byte("d")}, {To: "a", Subject: "b", Text: "cd"}, {To: "x", Subject: "b", Text: "c", Report: []byte("d")}} {
		if seen[other.Digest()] {
			t.Errorf("%+v has a digest of another", other)
		}
		seen[other.Digest()] = true
	}
	if copied := (Message{To: "a", Subject: "b", Text: "c", Report: []byte("d")}); copied.Digest() != m.Digest() {
		t.Error("one mail, two digests")
	}
}

// BenchmarkBuild writes both dossiers, the report, and the texts in three
// languages, of a case that 10,000 devices tell of.
func BenchmarkBuild(b *testing.B) {
	for _, k := range kinds {
		b.Run(k.String(), func(b *testing.B) {
			in := input(b, k, 10_000)
			in.Disclose = []tocsin.OwnerID{"OWNER0"}
			b.ReportAllocs()
			for b.Loop() {
				f, full, err := Build(in)
				if err != nil || f.Gap != "" {
					b.Fatal(err, f.Gap)
				}
				for _, l := range Languages() {
					f.Message(l).Digest()
					full.Text(l)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/1000/float64(b.N), "ms/case")
		})
	}
}
