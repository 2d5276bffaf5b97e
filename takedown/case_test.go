package takedown

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-io/tocsin"
)

func vantage(now time.Time, owner string, i int) Vantage {
	return Vantage{Device: tocsin.DeviceID(fmt.Sprint("device", i)), Owner: tocsin.OwnerID(owner), Last: after(-4 * time.Hour),
		From: after(-24 * time.Hour), Until: now, Outgoing: true, Incoming: true}
}

func TestWholeCase(t *testing.T) {
	c := sent(t, Controller)
	now := after(12 * time.Hour)
	proof, err := Verify(Controller, quiet(now, "a", "b", "c"), now)
	if err != nil {
		t.Fatal(err)
	}
	c = steps(t, c,
		Entry{At: after(time.Hour), By: System, Act: Deliver, MessageID: "<1@hub>"},
		Entry{At: after(2 * time.Hour), By: "anna", Act: Acknowledge, Why: "ticket 4711"},
		Entry{At: after(5 * time.Hour), By: "anna", Act: TakeAction, Why: "server is off"},
		Entry{At: now, By: System, Act: VerifyDown, Proof: &proof},
		Entry{At: after(13 * time.Hour), By: "anna", Act: Close})
	if c.State != Closed || !c.Down.Equal(now) || len(c.History) != 9 {
		t.Fatalf("%+v", c)
	}
	k := c.Clock(after(100 * time.Hour))
	if k.Verdict != Met || k.Elapsed != 11*time.Hour || len(k.Due)+len(k.Next) != 0 {
		t.Errorf("%+v", k)
	}
	c = steps(t, c, Entry{At: after(50 * time.Hour), By: System, Act: Reopen, Seen: after(49 * time.Hour)})
	if c.State != Reopened || c.Clock(after(60*time.Hour)).Verdict != NotSent {
		t.Errorf("%+v", c)
	}
	refused(t, c, Entry{At: after(51 * time.Hour), By: System, Act: Send, Digest: letter(1), Mail: mailTo("example.net", "<2@hub>")}, ErrApproval)
}

func TestApproval(t *testing.T) {
	c := draft(t, Controller)
	yes := func(by string, at time.Duration, n byte, people int) Entry {
		return Entry{At: after(at), By: by, Act: Approve, Digest: letter(n), People: people}
	}
	send := Entry{At: after(2 * time.Hour), By: System, Act: Send, Digest: letter(1), Mail: mailTo("example.net", "<1@hub>")}
	refused(t, c, send, ErrApproval)
	refused(t, c, yes(System, 0, 1, 2), ErrApproval)
	refused(t, c, yes("ToCSIN ", 0, 1, 2), ErrApproval)
	refused(t, c, yes("anna", 0, 0, 2), nil)
	refused(t, c, yes("anna", 0, 1, 0), nil)
	one := steps(t, c, yes("anna", 0, 1, 2))
	refused(t, one, send, ErrApproval)
	refused(t, one, yes(" ANNA\n", time.Hour, 1, 2), ErrApproval)
	alone := steps(t, c, yes("anna", 0, 1, 1))
	refused(t, alone, yes("anna", Again-time.Second, 1, 1), ErrTooEarly)
	if alone = steps(t, alone, yes("anna", Again, 1, 1)); alone.State != Approved || alone.History[2].People != 1 {
		t.Errorf("%+v", alone)
	}
	two := steps(t, one, yes("berta", time.Minute, 1, 2))
	if two.State != Approved {
		t.Errorf("two people agreed and it is %s", two.State)
	}
	refused(t, two, yes("carla", time.Hour, 1, 3), ErrState)
	other := send
	other.Digest = letter(2)
	refused(t, two, other, ErrApproval)
	if back := steps(t, two, yes("anna", time.Hour, 2, 2)); back.State != Draft {
		t.Errorf("another mail and it is %s", back.State)
	} else {
		refused(t, back, send, ErrApproval)
	}
	if brute := steps(t, draft(t, BruteForce), yes("anna", 0, 1, 2)); brute.State != Approved {
		t.Errorf("a source needs one person, and it is %s", brute.State)
	}
}

func TestBouncesAndSecondMails(t *testing.T) {
	c := sent(t, BruteForce)
	refused(t, c, Entry{At: after(2 * time.Hour), By: System, Act: Bounce, MessageID: "<9@hub>"}, nil)
	bounced := steps(t, c, Entry{At: after(2 * time.Hour), By: System, Act: Bounce, MessageID: "<1@hub>", Why: "550 5.1.1\r\nX-Evil: yes"})
	if bounced.State != Bounced || strings.ContainsAny(bounced.History[3].Why, "\r\n") {
		t.Fatalf("%+v", bounced)
	}
	refused(t, bounced, Entry{At: after(2 * time.Hour), By: System, Act: Bounce, MessageID: "<1@hub>"}, ErrState)
	if due := bounced.Proposals(after(2 * time.Hour)); len(due) != 1 || due[0].Step != SecondChannel {
		t.Errorf("after a bounce %v is due", due)
	}
	second := []Entry{
		{At: after(3 * time.Hour), By: "anna", Act: Approve, Digest: letter(2), People: 2},
		{At: after(3 * time.Hour), By: System, Act: Send, Digest: letter(2), Mail: mailTo("example.net", "<2@hub>")},
	}
	if again := steps(t, bounced, second...); again.State != Sent || len(again.Mails) != 2 || !again.Sent.Equal(after(time.Hour)) {
		t.Errorf("%+v", again)
	}
	approved := steps(t, c, second[0])
	refused(t, approved, second[1], ErrRepeat)
	same := second[1]
	same.Mail = mailTo("upstream.example", "<1@hub>")
	refused(t, approved, same, nil)
	form := second[1]
	form.Mail = &Mail{Provider: "example.net", To: "https://example.net/abuse", Form: true}
	steps(t, approved, form)
	// The upstream's mailbox is full: the provider has its mail all the same.
	up := second[1]
	up.Mail = mailTo("upstream.example", "<3@hub>")
	both := steps(t, approved, up, Entry{At: after(4 * time.Hour), By: System, Act: Bounce, MessageID: "<3@hub>"})
	if both.State != Sent {
		t.Errorf("one of two mails arrived and it is %s", both.State)
	}
}

func TestOneMailADay(t *testing.T) {
	a := Mail{Source: netip.MustParsePrefix("198.51.100.7/32"), Provider: "example.net", To: "abuse@example.net", MessageID: "<1@hub>", At: day0}
	with := func(change func(*Mail)) Mail { m := a; change(&m); return m }
	tests := []struct {
		name string
		sent Mail
		want bool
	}{
		{"the same", a, true},
		{"another spelling", with(func(m *Mail) { m.Provider = " Example.NET" }), true},
		{"another address of the provider", with(func(m *Mail) { m.To = "noc@example.net" }), true},
		{"earlier that day", with(func(m *Mail) { m.At = day0.Add(-18 * time.Hour) }), true},
		{"the same day elsewhere", with(func(m *Mail) { m.At = day0.In(time.FixedZone("", 9*3600)) }), true},
		{"the day before", with(func(m *Mail) { m.At = day0.Add(-19 * time.Hour) }), false},
		{"another source", with(func(m *Mail) { m.Source = netip.MustParsePrefix("198.51.100.8/32") }), false},
		{"another provider", with(func(m *Mail) { m.Provider = "example.org" }), false},
		{"bounced", with(func(m *Mail) { m.Bounced = day0 }), false},
		{"a form", with(func(m *Mail) { m.Form = true }), false},
	}
	for _, test := range tests {
		if got := a.Repeats([]Mail{test.sent}); got != test.want {
			t.Errorf("%s: got %v, want %v", test.name, got, test.want)
		}
	}
}

func TestProviderOf(t *testing.T) {
	for address, want := range map[string]string{"abuse@Example.NET": "example.net", `"a@b"@example.org`: "example.org", "example.net": "example.net", "": ""} {
		if got := ProviderOf(address); got != want {
			t.Errorf("%q: got %q, want %q", address, got, want)
		}
	}
}

func TestClock(t *testing.T) {
	o := opening(Controller)
	o.Domain = "c2.example"
	c := sent(t, Controller)
	c.Domain = o.Domain
	tests := []struct {
		at   time.Duration // since sent
		want []Step
	}{
		{Answer - time.Second, nil},
		{Answer, []Step{SecondChannel}},
		{ToUpstream, []Step{SecondChannel, Upstream, NationalCERT}},
		{ToRegistrar, []Step{SecondChannel, Upstream, NationalCERT, Registrar}},
		{BenchmarkEnd, []Step{SecondChannel, Upstream, NationalCERT, Registrar, Benchmark}},
	}
	for _, test := range tests {
		var got []Step
		for _, p := range c.Proposals(after(time.Hour + test.at)) {
			got = append(got, p.Step)
		}
		if fmt.Sprint(got) != fmt.Sprint(test.want) {
			t.Errorf("after %s: got %v, want %v", test.at, got, test.want)
		}
	}
	if v := c.Clock(after(49 * time.Hour)).Verdict; v != Pending {
		t.Errorf("at 48 h: %s", v)
	}
	if v := c.Clock(after(49*time.Hour + 1)).Verdict; v != Missed {
		t.Errorf("after 48 h: %s", v)
	}
	done := steps(t, c, Entry{At: after(6 * time.Hour), By: "anna", Act: Escalate, Step: SecondChannel},
		Entry{At: after(10 * time.Hour), By: "anna", Act: TakeAction})
	if due := done.Proposals(after(16*time.Hour - 1)); len(due) != 0 {
		t.Errorf("before a proof could be there: %v", due)
	}
	if due := done.Proposals(after(16 * time.Hour)); len(due) != 2 {
		t.Errorf("it acted and nothing went down: %v", due)
	}
	refused(t, done, Entry{At: after(11 * time.Hour), By: "anna", Act: Escalate, Step: SecondChannel}, ErrState)
}

func TestEnds(t *testing.T) {
	c := sent(t, CompromisedServer)
	refused(t, c, Entry{At: after(2 * time.Hour), By: "anna", Act: Close, Why: "tired"}, ErrState)
	refused(t, c, Entry{At: after(2 * time.Hour), By: "anna", Act: Reject}, nil)
	rejected := steps(t, c, Entry{At: after(2 * time.Hour), By: "anna", Act: Reject, Why: "a false alarm"})
	refused(t, rejected, Entry{At: after(3 * time.Hour), By: "anna", Act: Reopen, Seen: after(3 * time.Hour)}, ErrState)
	steps(t, rejected, Entry{At: after(3 * time.Hour), By: "anna", Act: Note, Why: "told the customer"})
	acted := steps(t, c, Entry{At: after(2 * time.Hour), By: "anna", Act: TakeAction})
	refused(t, acted, Entry{At: after(3 * time.Hour), By: "anna", Act: Close}, nil)
	closed := steps(t, acted, Entry{At: after(3 * time.Hour), By: "anna", Act: Close, Why: "one device only: nobody can verify"})
	if v := closed.Clock(after(60 * time.Hour)).Verdict; v != Missed {
		t.Errorf("closed without proof: %s", v)
	}
	end := after(3 * time.Hour)
	if closed.Recurs(end) || !closed.Recurs(end.Add(time.Second)) || !closed.Recurs(end.Add(Reopening)) || closed.Recurs(end.Add(Reopening+1)) {
		t.Error("contact belongs to a case for 30 days after its end")
	}
	late := end.Add(Reopening + time.Hour)
	refused(t, closed, Entry{At: late, By: System, Act: Reopen, Seen: late}, ErrState)
	refused(t, closed, Entry{At: after(4 * time.Hour), By: System, Act: Reopen, Seen: after(5 * time.Hour)}, ErrState)
}

func TestOpening(t *testing.T) {
	tests := []struct {
		name   string
		change func(*Opening)
	}{
		{"private", func(o *Opening) { o.Source = netip.MustParsePrefix("192.168.1.7/32") }},
		{"shared", func(o *Opening) { o.Source = netip.MustParsePrefix("100.64.1.7/32") }},
		{"loopback", func(o *Opening) { o.Source = netip.MustParsePrefix("::1/128") }},
		{"link-local", func(o *Opening) { o.Source = netip.MustParsePrefix("fe80::1/128") }},
		{"network", func(o *Opening) { o.Source = netip.MustParsePrefix("198.51.100.0/24") }},
		{"wide network of IPv6", func(o *Opening) { o.Source = netip.MustParsePrefix("2001:db8::/48") }},
		{"none", func(o *Opening) { o.Source = netip.Prefix{} }},
		{"identifier", func(o *Opening) { o.ID = "TC-1" }},
		{"kind", func(o *Opening) { o.Kind = 0 }},
	}
	for _, test := range tests {
		o := opening(Controller)
		test.change(&o)
		if _, err := Open(o, "anna", "", day0); err == nil {
			t.Errorf("%s: was opened", test.name)
		}
	}
	o := opening(BruteForce)
	o.Source = netip.MustParsePrefix("2001:db8:1:2::/64")
	c, err := Open(o, "anna", "", day0)
	if err != nil {
		t.Fatal(err)
	}
	if !c.Covers(o) || c.Covers(opening(BruteForce)) {
		t.Error("a repeat goes into the same case, another source does not")
	}
	refused(t, c, Entry{At: after(-1), By: "anna", Act: Note, Why: "x"}, nil)
	refused(t, c, Entry{At: day0, By: "\u202e\x00", Act: Note, Why: "x"}, nil)
	refused(t, c, Entry{At: day0, By: "anna", Act: Begin, Opening: &o}, ErrState)
}

func TestIDs(t *testing.T) {
	id := NewID(day0, [5]byte{0xff, 0, 0xff, 0, 0xff})
	if !id.Valid() || len(id) != idLength || !strings.HasPrefix(string(id), "TC-20231014-") {
		t.Errorf("%s", id)
	}
	if got, ok := FindID("Re: AW: [" + string(id) + "] TC-nothing"); !ok || got != id {
		t.Errorf("got %q", got)
	}
	if got, ok := FindID("TC- TC-20231014 TC-" + string(id)); !ok || got != id {
		t.Errorf("got %q", got)
	}
	for _, s := range []string{"", "TC-", "TC-20231314-7F3K2Q9M", "TC-20231014-7F3K2Q9", "TC-20231014-7F3KIQ9M", "tc-20231014-7f3k2q9m"} {
		if got, ok := FindID(s); ok {
			t.Errorf("%q holds %q", s, got)
		}
	}
}

func TestStoredCaseIsReplayed(t *testing.T) {
	c := sent(t, Controller)
	text := encoded(t, c)
	// Only the history is believed.
	forged := strings.Replace(text, `"state":"sent"`, `"state":"closed"`, 1)
	var back Case
	if err := json.Unmarshal([]byte(forged), &back); err != nil {
		t.Fatal(err)
	}
	if got := encoded(t, back); got != text {
		t.Errorf("got %s\nwant %s", got, text)
	}
	for _, bad := range []string{`{}`, `{"history":[]}`, `[]`, strings.Replace(text, `"approve"`, `"note"`, 1), strings.Replace(text, "berta", "anna", 1),
		strings.Replace(text, `"act":"send"`, `"act":"wire"`, 1)} {
		if err := json.Unmarshal([]byte(bad), &back); err == nil {
			t.Errorf("%.60s: was believed", bad)
		}
	}
}

func TestHistoryIsBounded(t *testing.T) {
	c := sent(t, BruteForce)
	n := 0
	for ; n < 2*MaxHistory; n++ {
		next, err := c.Apply(Entry{At: after(time.Hour), By: "anna", Act: Note, Why: strings.Repeat("ä", MaxWhy)})
		if err != nil {
			break
		}
		c = next
	}
	if len(c.History) != MaxHistory-keptForActs || len(c.History[500].Why) > MaxWhy {
		t.Fatalf("%d entries", len(c.History))
	}
	steps(t, c, Entry{At: after(time.Hour), By: "anna", Act: Reject, Why: "enough"})
}

func TestOneLine(t *testing.T) {
	tests := []struct{ in, want string }{
		{"root\r\nBcc: all@example.net", "root  Bcc: all@example.net"},
		{"a\u202egnp.exe\u2066\u200b\ufeff", "agnp.exe"},
		{"nul\x00 bell\x07 esc\x1b[31m c1\u009b", "nul bell esc[31m c1"},
		{"bad \xff\xfe", "bad \ufffd\ufffd"},
		{" été ", "été"},
		{"\u2028x\u0085y", "x y"},
		{strings.Repeat("ä", 200), strings.Repeat("ä", 50)},
	}
	for _, test := range tests {
		if got := OneLine(test.in, 100); got != test.want {
			t.Errorf("%q: got %q, want %q", test.in, got, test.want)
		}
	}
}

func TestPublic(t *testing.T) {
	for a, want := range map[string]bool{
		"203.0.113.7": true, "2001:db8::7": true, "::ffff:203.0.113.7": true, "::ffff:203.0.113.7%eth0": true,
		"2001:db8::7%eth0": false, "fe80::1": false, "192.168.1.7": false, "::ffff:192.168.1.7": false,
		"100.64.1.7": false, "127.0.0.1": false, "0.0.0.0": false, "224.0.0.1": false, "255.255.255.255": false,
	} {
		if got := Public(netip.MustParseAddr(a)); got != want {
			t.Errorf("Public(%s): got %t, want %t", a, got, want)
		}
	}
	if Public(netip.Addr{}) {
		t.Error("no address has a provider")
	}
}
