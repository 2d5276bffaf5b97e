package bulletin_test

import (
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/bulletin"
	"github.com/tocsin-io/tocsin/compromise"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var (
	start  = time.Date(2023, 10, 14, 0, 0, 0, 0, time.UTC)
	period = compromise.Period{From: start, To: start.Add(7 * 24 * time.Hour)}
)

func at(d time.Duration) time.Time { return start.Add(d) }

// fleet is one device of each state.
func fleet() []compromise.Assessment {
	attack := compromise.Attack{Sources: 312, Attempts: 4711, First: at(18*time.Hour + 42*time.Minute), Last: at(60 * time.Hour)}
	entry := func(k compromise.Kind, after time.Duration, nats float64) compromise.Entry {
		return compromise.Entry{
			Kind: k, Group: k.Group(), Nats: nats, At: at(after), Subject: "/root/.ssh/authorized_keys",
			Source: netip.MustParsePrefix("203.0.113.66/32"), To: netip.MustParseAddrPort("198.18.0.1:6667"), Rule: compromise.RuleVersion,
		}
	}
	in := entry(compromise.AfterFailures, 20*time.Hour, 4)
	in.Subject = "ssh"
	scan := entry(compromise.Scan, 21*time.Hour, 3)
	off := entry(compromise.Off, 22*time.Hour, 1)
	off.Subject = "rsyslog.service"
	return []compromise.Assessment{
		{Device: "d1", State: compromise.Clean, Covered: true},
		{Device: "d2", State: compromise.NearMiss, Covered: true, Attack: attack},
		{Device: "d3", State: compromise.Unknown, Missing: []compromise.Missing{
			{Why: compromise.Silent, Period: compromise.Period{From: at(30 * time.Hour), To: period.To}},
		}},
		{Device: "d4", State: compromise.Confirmed, Attack: attack, P: 0.98,
			Ledger:  []compromise.Entry{in, entry(compromise.Keys, 20*time.Hour+5*time.Minute, 4), scan, off, entry(compromise.Controller, 23*time.Hour, 4)},
			Missing: []compromise.Missing{{Why: compromise.SwitchedOff, Period: compromise.Period{From: at(22 * time.Hour), To: at(22 * time.Hour)}}}},
		{Device: "d5", State: compromise.Suspected, Covered: true, Ledger: []compromise.Entry{entry(compromise.FromNewOrigin, 40*time.Hour, 1)}},
		{Device: "d6", State: compromise.FalsePositive, Covered: true, Ledger: []compromise.Entry{scan},
			Closing: &compromise.Closing{At: at(50 * time.Hour), By: "ann", Reason: "the owner's own monitoring"}},
	}
}

var names = map[tocsin.DeviceID]string{"d1": "attic", "d2": "office", "d3": "cellar", "d4": "nas-kitchen", "d5": "studio", "d6": "lab-nas"}

func letter() bulletin.Letter {
	l := bulletin.Letter{Owner: "o1", Sender: "Example NAS Care", Contact: "help@care.example", Period: period}
	for _, a := range fleet() {
		l.Devices = append(l.Devices, bulletin.Device{Name: names[a.Device], Assessment: a})
	}
	return l
}

func public() bulletin.Bulletin {
	s := compromise.Summary{
		Period: period, Rule: compromise.RuleVersion, Devices: 1250, Attacked: 611, Covered: 1180, Coverage: 0.944, Confirmed: 14,
		States: map[compromise.State]int{
			compromise.Confirmed: 17, compromise.Suspected: 9, compromise.NearMiss: 580, compromise.Clean: 572,
			compromise.Unknown: 70, compromise.FalsePositive: 2,
		},
		Share:     compromise.Wilson(14, 1180),
		Uncovered: []compromise.Uncovered{{Why: compromise.NeverHeard, Devices: 12}, {Why: compromise.Silent, Devices: 41}, {Why: compromise.LinesGone, Devices: 1}},
	}
	c := tocsin.Campaign{
		ID: "c1", Status: tocsin.Open, First: at(18*time.Hour + 42*time.Minute), Last: at(66 * time.Hour),
		Size: tocsin.Estimate{Value: 700, Low: 640.2, High: 790.7}, Targets: []tocsin.DeviceID{"d4"},
		Services: []tocsin.Service{"ssh", "qts"}, Accounts: []tocsin.AccountTag{"admin", "root", "#3f2a91"},
	}
	for i := range 512 {
		c.Sources = append(c.Sources, tocsin.Member{Source: netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 18, byte(i >> 8), byte(i)}), 32)})
	}
	return bulletin.Bulletin{Publisher: "Example NAS Care", Contact: "press@care.example", Summary: s, Campaigns: []tocsin.Campaign{c}}
}

// TestGolden holds every text as it is read. Rewrite with -update and read the
// difference as the person would who gets it.
func TestGolden(t *testing.T) {
	for _, lang := range bulletin.Languages() {
		l, err := letter().Write(lang)
		if err != nil {
			t.Fatal(err)
		}
		p, err := public().Write(lang)
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range []bulletin.Text{l, p} {
			name := string(text.Kind) + "." + string(lang)
			golden(t, name+".txt", "Subject: "+text.Subject+"\n\n"+text.Plain)
			golden(t, name+".md", text.Markdown)
			for line := range strings.Lines(text.Plain) {
				if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > 76 {
					t.Errorf("%s: a line of %d characters: %s", name, n, line)
				}
			}
			if strings.Contains(text.Plain+text.Markdown+text.Subject, "%!") || strings.ContainsAny(text.Plain+text.Markdown, "\x01\x02{}") {
				t.Errorf("%s: something was not filled in", name)
			}
		}
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s: %s", name, diff)
	}
}

// TestUrgentFirst: whoever reads only the beginning knows what to do.
func TestUrgentFirst(t *testing.T) {
	text, err := letter().Write(bulletin.English)
	if err != nil {
		t.Fatal(err)
	}
	var order []int
	for _, name := range []string{"nas-kitchen:", "studio:", "cellar:", "office:", "lab-nas:", "attic:"} {
		order = append(order, strings.Index(text.Plain, name))
	}
	for i, n := range order {
		if n < 0 || i > 0 && n < order[i-1] {
			t.Errorf("order %v: want the most urgent first", order)
		}
	}
	if !strings.Contains(text.Subject, "act now") {
		t.Errorf("subject %q", text.Subject)
	}
	calm := letter()
	calm.Devices = calm.Devices[:2]
	if text, err = calm.Write(bulletin.English); err != nil || strings.Contains(text.Subject, "act now") {
		t.Errorf("subject %q, error %v", text.Subject, err)
	}
}

// TestBulletinNamesNobody: nothing that belongs to an owner, a device or an
// address is in the public bulletin, whatever the fleet is.
func TestBulletinNamesNobody(t *testing.T) {
	b := public()
	b.Summary = compromise.Count(period, fleet())
	b.Summary.Devices = 1000
	for _, lang := range bulletin.Languages() {
		text, err := b.Write(lang)
		if err != nil {
			t.Fatal(err)
		}
		all := text.Subject + text.Plain + text.Markdown
		for id, name := range names {
			if strings.Contains(all, name) || regexp.MustCompile(`\b`+string(id)+`\b`).MatchString(all) {
				t.Errorf("%s names device %s", lang, name)
			}
		}
		for _, word := range []string{"3f2a91", "198.18.", "203.0.113.", "authorized_keys", "c1 "} {
			if strings.Contains(all, word) {
				t.Errorf("%s tells %q", lang, word)
			}
		}
		if !strings.Contains(all, "admin") {
			t.Errorf("%s does not name an account that everybody knows", lang)
		}
	}
}

func TestSmallFleetGivesNoFigures(t *testing.T) {
	b := public()
	b.Summary = compromise.Count(period, fleet())
	b.Campaigns = nil
	for _, lang := range bulletin.Languages() {
		text, err := b.Write(lang)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(text.Plain, "95") || strings.Contains(text.Plain, "(suspected)") {
			t.Errorf("%s: figures of six devices:\n%s", lang, text.Plain)
		}
	}
}

// A letter about hundreds of devices is still read to its end.
func TestManyDevices(t *testing.T) {
	l := letter()
	for i := range 500 {
		l.Devices = append(l.Devices, bulletin.Device{Name: fmt.Sprint("clean-", i), Assessment: compromise.Assessment{State: compromise.Clean, Covered: true}})
	}
	text, err := l.Write(bulletin.English)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(text.Plain, "clean-77:"); got != 1 {
		t.Errorf("a clean device is named %d times, want once", got)
	}
	if n := strings.Count(text.Markdown, "\n## "); n != 6 { // five devices, and how to read it
		t.Errorf("%d sections, want 6", n)
	}
}

func TestApproval(t *testing.T) {
	text, err := public().Write(bulletin.French)
	if err != nil {
		t.Fatal(err)
	}
	if err := text.Ready(); !errors.Is(err, bulletin.ErrNotApproved) {
		t.Errorf("got %v, want ErrNotApproved", err)
	}
	if err := text.Approve(" ", start); err == nil {
		t.Error("approved by nobody")
	}
	if err := text.Approve("ann", start); err != nil {
		t.Fatal(err)
	}
	if err := text.Ready(); err != nil {
		t.Errorf("approved: %v", err)
	}
	text.To = "somebody else"
	if err := text.Ready(); !errors.Is(err, bulletin.ErrChanged) {
		t.Errorf("got %v, want ErrChanged", err)
	}
}

func TestMistakes(t *testing.T) {
	if _, err := letter().Write("de"); err == nil || !strings.Contains(err.Error(), "en, fr") {
		t.Errorf("got %v, want the languages there are", err)
	}
	if _, err := public().Write(""); err == nil {
		t.Error("no language was taken")
	}
	if _, err := (bulletin.Letter{Owner: "o"}).Write(bulletin.English); err == nil {
		t.Error("a letter about nothing was written")
	}
}

func TestLetters(t *testing.T) {
	owners := map[tocsin.DeviceID]string{"d1": "zoe", "d4": "ann", "d2": "ann"}
	texts, err := bulletin.Letters(period, fleet(), func(a compromise.Assessment) (string, string) {
		return owners[a.Device], names[a.Device]
	}, "Example NAS Care", "help@care.example", bulletin.Languages()...)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, text := range texts {
		got = append(got, fmt.Sprint(text.To, " ", text.Language))
		if text.To == "zoe" && strings.Contains(text.Plain, "kitchen") {
			t.Error("one owner's device is told to another")
		}
	}
	if diff := cmp.Diff([]string{"ann en", "ann fr", "zoe en", "zoe fr"}, got); diff != "" {
		t.Error(diff)
	}
}

// FuzzHostileNames: whatever a device calls itself, and whatever paths it names,
// the letter stays one that its reader can trust: no control bytes, no line or
// markup of the device's own, no header.
func FuzzHostileNames(f *testing.F) {
	f.Add("nas", "/etc/x")
	f.Add("a\r\nBcc: x@example.org", "# heading\n* item")
	f.Add("`code` ``more``", "[click](http://198.51.100.1/)")
	f.Add("\u202etfel\u2066", "\x1b[31mred\x00\x01\x02")
	f.Add("{subject}{source}%s%!d", strings.Repeat("x", 5000))
	f.Fuzz(func(t *testing.T, name, subject string) {
		l := letter()
		clean, err := l.Write(bulletin.English)
		if err != nil {
			t.Fatal(err)
		}
		for i := range l.Devices {
			l.Devices[i].Name = name
			l.Devices[i].Assessment.Ledger = append([]compromise.Entry{}, l.Devices[i].Assessment.Ledger...)
			for j := range l.Devices[i].Assessment.Ledger {
				l.Devices[i].Assessment.Ledger[j].Subject = subject
			}
		}
		text, err := l.Write(bulletin.English)
		if err != nil {
			t.Fatal(err)
		}
		if text.Subject != clean.Subject {
			t.Errorf("the subject of the letter changed: %q", text.Subject)
		}
		for _, r := range text.Plain + text.Markdown {
			if r != '\n' && r != '\u00a0' && r != '\u202f' && !unicode.IsPrint(r) {
				t.Fatalf("%q in the text", r)
			}
		}
		if got, want := strings.Count(text.Markdown, "\n"), strings.Count(clean.Markdown, "\n"); got != want {
			t.Errorf("%d lines of Markdown, want %d", got, want)
		}
		if len(text.Plain) > 3*len(clean.Plain) {
			t.Errorf("%d bytes, want a bound", len(text.Plain))
		}
		for line := range strings.Lines(text.Markdown) {
			if strings.Count(outside(line), "](") > 0 {
				t.Errorf("a link: %s", line)
			}
		}
	})
}

// outside returns what of a line of Markdown stands in no code span.
func outside(line string) string {
	var b strings.Builder
	for line != "" {
		i := strings.IndexByte(line, '`')
		if i < 0 {
			return b.String() + line
		}
		b.WriteString(line[:i])
		line = line[i:]
		n := len(line) - len(strings.TrimLeft(line, "`"))
		fence := line[:n]
		rest := line[n:]
		for end := 0; ; {
			j := strings.Index(rest[end:], fence)
			if j < 0 {
				return b.String() + rest
			}
			j += end
			m := len(rest[j:]) - len(strings.TrimLeft(rest[j:], "`"))
			if m == n {
				line = rest[j+n:]
				break
			}
			end = j + m
		}
	}
	return b.String()
}

// TestOneDay: a period of a single day is named by one date.
func TestOneDay(t *testing.T) {
	day := compromise.Period{From: at(8 * time.Hour), To: at(20 * time.Hour)}
	l, b := letter(), public()
	l.Period, b.Summary.Period = day, day
	for lang, want := range map[bulletin.Language]struct{ subject, notice, public string }{
		bulletin.English: {"Attacks on storage devices, 14 October 2023: ", "happened to each of them on 14 October 2023.", "happened to them on 14 October 2023, "},
		bulletin.French:  {"serveurs de stockage du 14 octobre 2023\u00a0: ", "arrivé à chacun le 14 octobre 2023.", "leur est arrivé le 14 octobre 2023, "},
	} {
		notice, err := l.Write(lang)
		if err != nil {
			t.Fatal(err)
		}
		text, err := b.Write(lang)
		if err != nil {
			t.Fatal(err)
		}
		for got, want := range map[string]string{text.Subject: want.subject, notice.Plain: want.notice, text.Plain: want.public} {
			if !strings.Contains(strings.Join(strings.Fields(got), " "), strings.Join(strings.Fields(want), " ")) {
				t.Errorf("%s: want %q in:\n%s", lang, want, got)
			}
		}
	}
}
