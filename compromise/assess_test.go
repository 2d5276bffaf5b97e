package compromise_test

import (
	"encoding/json"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/compromise"
)

// TestStates is the table of states, row by row.
func TestStates(t *testing.T) {
	const id = "nas"
	in := sight(id, "203.0.113.7/32", time.Hour, tocsin.SuccessAfterFailures)
	forged := in
	forged.Provenance = tocsin.Network
	blocked := sight(id, "203.0.113.7/32", time.Hour, tocsin.SuccessFromBlocked)
	fromCampaign := letIn(sight(id, "203.0.113.66/32", time.Hour), "#owner")
	guest := letIn(sight(id, "203.0.113.66/32", time.Hour), "guest")
	late := letIn(sight(id, "203.0.113.66/32", 100*time.Hour), "#owner")
	guessed := failed(sight(id, "203.0.113.9/32", time.Hour), "root", 40)
	far := contact(id, "198.18.0.1:6667", time.Hour)
	other := contact(id, "198.18.0.1:6668", time.Hour)
	gap := compromise.Coverage{Read: []compromise.Period{{From: month.From, To: at(24 * time.Hour)}, {From: at(26 * time.Hour), To: month.To}}, Heard: month.To}

	for _, c := range []struct {
		name      string
		sightings []tocsin.Received
		facts     []tocsin.Fact
		contacts  []tocsin.Contact
		coverage  *compromise.Coverage
		want      compromise.State
	}{
		{name: "nothing", want: compromise.Clean},
		{name: "guessed at", sightings: []tocsin.Received{guessed}, want: compromise.NearMiss},
		{name: "A", sightings: []tocsin.Received{in}, want: compromise.Suspected},
		{name: "A blocked", sightings: []tocsin.Received{blocked}, want: compromise.Suspected},
		{name: "A campaign", sightings: []tocsin.Received{fromCampaign}, want: compromise.Suspected},
		{name: "A new origin", facts: []tocsin.Fact{tocsin.NewOrigin}, want: compromise.Suspected},
		{name: "A and B", sightings: []tocsin.Received{in}, facts: []tocsin.Fact{tocsin.KeysChanged}, want: compromise.Confirmed},
		{name: "A and C", sightings: []tocsin.Received{in}, facts: []tocsin.Fact{tocsin.OutgoingScan}, want: compromise.Confirmed},
		{name: "A and controller", sightings: []tocsin.Received{in}, contacts: []tocsin.Contact{far}, want: compromise.Confirmed},
		{name: "A and D", sightings: []tocsin.Received{in}, facts: []tocsin.Fact{tocsin.PortOpened}, want: compromise.Suspected},
		{name: "A that anybody may have written, and B", sightings: []tocsin.Received{forged}, facts: []tocsin.Fact{tocsin.KeysChanged}, want: compromise.Suspected},
		{name: "B", facts: []tocsin.Fact{tocsin.KeysChanged, tocsin.AccountAdded, tocsin.AutorunAdded, tocsin.ForeignPackage}, want: compromise.Clean},
		{name: "C scan", facts: []tocsin.Fact{tocsin.OutgoingScan}, want: compromise.Suspected},
		{name: "C pool", facts: []tocsin.Fact{tocsin.Mining}, want: compromise.Suspected},
		{name: "C controller", contacts: []tocsin.Contact{far}, want: compromise.Suspected},
		{name: "another port", contacts: []tocsin.Contact{other}, want: compromise.Clean},
		{name: "D", facts: []tocsin.Fact{tocsin.PortOpened}, want: compromise.Clean},
		{name: "tripwire", facts: []tocsin.Fact{tocsin.TripwireHit}, want: compromise.Suspected},
		{name: "tripwire and B", facts: []tocsin.Fact{tocsin.TripwireHit, tocsin.KeysChanged}, want: compromise.Suspected},
		{name: "a guest of a campaign's source", sightings: []tocsin.Received{guest}, want: compromise.Clean},
		{name: "an address that was a campaign's days ago", sightings: []tocsin.Received{late}, want: compromise.Clean},
		{name: "gap", coverage: &gap, want: compromise.Unknown},
		{name: "attacked, gap", sightings: []tocsin.Received{guessed}, coverage: &gap, want: compromise.Unknown},
		{name: "lines missing", facts: []tocsin.Fact{tocsin.LogGap}, want: compromise.Unknown},
		{name: "logging off", facts: []tocsin.Fact{tocsin.LoggingOff}, want: compromise.Unknown},
		{name: "never heard of", coverage: &compromise.Coverage{}, want: compromise.Unknown},
		{name: "A, gap", sightings: []tocsin.Received{in}, coverage: &gap, want: compromise.Suspected},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := device(id)
			d.Sightings, d.Contacts = c.sightings, c.contacts
			for _, f := range c.facts {
				d.Clues = append(d.Clues, clue(id, f, 2*time.Hour))
			}
			if c.coverage != nil {
				d.Coverage = *c.coverage
			}
			a := one(d, controller)
			if a.State != c.want {
				t.Errorf("got %v (%s), want %v", a.State, a.Why(), c.want)
			}
			if a.Why() == "" {
				t.Error("no reason")
			}
		})
	}
}

func TestControllerCountsOnlyAdmittedAndAsOne(t *testing.T) {
	d := device("nas")
	d.Contacts = []tocsin.Contact{contact("nas", "198.18.0.1:6667", time.Hour), contact("nas", "198.18.0.1:6667", 2*time.Hour)}
	if a := one(d, controller); len(a.Ledger) != 1 || a.Ledger[0].Nats != 4 || !a.Ledger[0].At.Equal(at(time.Hour)) {
		t.Errorf("got %+v, want one entry", a.Ledger)
	}
	for name, change := range map[string]func(*tocsin.Controller){
		"not admitted": func(c *tocsin.Controller) { c.Admitted = false },
		"a target":     func(c *tocsin.Controller) { c.Class = tocsin.Target },
		"by UDP":       func(c *tocsin.Controller) { c.Protocol = 17 },
	} {
		c := controller
		change(&c)
		if a := one(d, c); a.State != compromise.Clean {
			t.Errorf("%s: got %v, want clean", name, a.State)
		}
	}
}

// TestWeights is the table of evidence: what a single fact makes of the prior.
func TestWeights(t *testing.T) {
	const id = "nas"
	in := sight(id, "203.0.113.7/32", time.Hour, tocsin.SuccessAfterFailures)
	both := sight(id, "203.0.113.7/32", time.Hour, tocsin.SuccessAfterFailures, tocsin.SuccessFromBlocked)
	forged := in
	forged.Provenance = tocsin.Network
	soon, late := time.Hour+30*time.Minute, time.Hour+31*time.Minute
	for _, c := range []struct {
		name      string
		sightings []tocsin.Received
		clues     []tocsin.Clue
		want      float64
	}{
		{"nothing", nil, nil, 0},
		{"A", []tocsin.Received{in}, nil, 4},
		{"A by hearsay", []tocsin.Received{forged}, nil, 1},
		{"A twice is capped", []tocsin.Received{both}, nil, 5},
		{"new origin", nil, []tocsin.Clue{clue(id, tocsin.NewOrigin, time.Hour)}, 1},
		{"B", nil, []tocsin.Clue{clue(id, tocsin.KeysChanged, soon)}, 1},
		{"B soon after A", []tocsin.Received{in}, []tocsin.Clue{clue(id, tocsin.KeysChanged, soon)}, 8},
		{"B later", []tocsin.Received{in}, []tocsin.Clue{clue(id, tocsin.KeysChanged, late)}, 5},
		{"B before", []tocsin.Received{in}, []tocsin.Clue{clue(id, tocsin.KeysChanged, time.Minute)}, 5},
		{"B soon after hearsay", []tocsin.Received{forged}, []tocsin.Clue{clue(id, tocsin.KeysChanged, soon)}, 2},
		{"scan", nil, []tocsin.Clue{clue(id, tocsin.OutgoingScan, soon)}, 3},
		{"scan and pool are capped", nil, []tocsin.Clue{clue(id, tocsin.OutgoingScan, soon), clue(id, tocsin.Mining, soon)}, 5},
		{"port", nil, []tocsin.Clue{clue(id, tocsin.PortOpened, soon)}, 1},
		{"tripwire", nil, []tocsin.Clue{clue(id, tocsin.TripwireHit, soon)}, 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := compromise.Facts{Device: id, Sightings: c.sightings, Clues: c.clues}
			p := compromise.Label(month, []compromise.Facts{f}, nil)[0].P
			got := math.Log(p/(1-p)) - math.Log(0.001/0.999)
			if math.Abs(got-c.want) > 1e-9 {
				t.Errorf("got %.3f nats, want %.0f", got, c.want)
			}
		})
	}
}

func TestLabelNeedsMoreThanOneSign(t *testing.T) {
	const id = "nas"
	in := sight(id, "203.0.113.7/32", time.Hour, tocsin.SuccessAfterFailures)
	keys, scan := clue(id, tocsin.KeysChanged, time.Hour), clue(id, tocsin.OutgoingScan, 3*time.Hour)
	for _, c := range []struct {
		name   string
		facts  compromise.Facts
		likely bool
	}{
		{"let in", compromise.Facts{Device: id, Sightings: []tocsin.Received{in}}, false},
		{"scans", compromise.Facts{Device: id, Clues: []tocsin.Clue{scan}}, false},
		{"let in, scans", compromise.Facts{Device: id, Sightings: []tocsin.Received{in}, Clues: []tocsin.Clue{scan}}, true},
		{"let in, keys", compromise.Facts{Device: id, Sightings: []tocsin.Received{in}, Clues: []tocsin.Clue{keys}}, true},
	} {
		l := compromise.Label(month, []compromise.Facts{c.facts}, nil)[0]
		if l.Likely != c.likely {
			t.Errorf("%s: likely %v (p %.3f), want %v", c.name, l.Likely, l.P, c.likely)
		}
		if scans := c.name == "scans" || c.name == "let in, scans"; scans == l.Acted.IsZero() {
			t.Errorf("%s: first act %v", c.name, l.Acted)
		}
	}
}

func TestLedgerKeepsWhatIsNeededToCheckIt(t *testing.T) {
	const id = "nas"
	d := device(id)
	in := letIn(sight(id, "203.0.113.66/32", time.Hour, tocsin.SuccessAfterFailures), "#x")
	in.Offset = 2 * time.Hour // its clock is ahead
	in.First, in.Last = in.First.Add(in.Offset), in.Last.Add(in.Offset)
	keys := clue(id, tocsin.KeysChanged, time.Hour+time.Minute)
	d.Sightings = []tocsin.Received{in, in}
	d.Clues = []tocsin.Clue{keys, keys, clue("another", tocsin.Mining, time.Hour)}
	a := one(d)
	want := []compromise.Entry{
		{Kind: compromise.AfterFailures, Group: compromise.Access, Nats: 4, At: at(time.Hour), Device: id, Subject: "ssh", Source: in.Source, Rule: compromise.RuleVersion},
		{Kind: compromise.FromCampaign, Group: compromise.Access, Nats: 4, At: at(time.Hour), Device: id, Subject: "ssh", Source: in.Source, Rule: compromise.RuleVersion},
		{Kind: compromise.Keys, Group: compromise.Persistence, Nats: 4, At: keys.At, Device: id, Subject: keys.Subject, Digest: keys.Digest, Rule: compromise.RuleVersion},
	}
	for i := range a.Ledger {
		if a.Ledger[i].Digest == (compromise.Digest{}) {
			t.Errorf("entry %d has no digest", i)
		}
		if i < 2 {
			want[i].Digest = a.Ledger[i].Digest
		}
	}
	if diff := cmp.Diff(want, a.Ledger, cmpopts.IgnoreUnexported(compromise.Entry{}), cmpopts.EquateComparable(in.Source, keys.To)); diff != "" {
		t.Error(diff)
	}
}

func TestLedgerIsBounded(t *testing.T) {
	d := device("nas")
	for i := range 5000 {
		d.Clues = append(d.Clues, clue("nas", tocsin.KeysChanged, time.Duration(i)*time.Minute))
	}
	a := one(d)
	if len(a.Ledger) != compromise.MaxEntries || a.Omitted != 5000-compromise.MaxEntries {
		t.Errorf("%d entries, %d omitted", len(a.Ledger), a.Omitted)
	}
}

func TestClosing(t *testing.T) {
	const id = "nas"
	d := device(id)
	d.Clues = []tocsin.Clue{clue(id, tocsin.OutgoingScan, time.Hour), clue(id, tocsin.KeysChanged, time.Hour)}
	d.Contacts = []tocsin.Contact{contact(id, "198.18.0.1:6667", time.Hour)}
	open := one(d, controller)
	if _, err := open.Close(at(5*time.Hour), "ann", " "); err == nil {
		t.Error("closed without a reason")
	}
	if _, err := open.Close(at(5*time.Hour), "", "backup job"); err == nil {
		t.Error("closed by nobody")
	}
	if _, err := one(device(id)).Close(at(5*time.Hour), "ann", "backup job"); err == nil {
		t.Error("closed a clean device")
	}
	closing, err := open.Close(at(5*time.Hour), "ann", "backup job")
	if err != nil {
		t.Fatal(err)
	}
	d.Closings = []compromise.Closing{closing}
	if a := one(d, controller); a.State != compromise.FalsePositive || !a.Ledger[0].Closed {
		t.Errorf("got %v, want false-positive", a.State)
	}
	// Told again, and a controller that is contacted again, are nothing new.
	d.Clues = append(d.Clues, d.Clues[0])
	d.Contacts = append(d.Contacts, contact(id, "198.18.0.1:6667", 50*time.Hour))
	if a := one(d, controller); a.State != compromise.FalsePositive {
		t.Errorf("told again: got %v, want false-positive", a.State)
	}
	// A fact of before that only now arrives is new to whoever closed it.
	d.Clues = append(d.Clues, clue(id, tocsin.AutorunAdded, time.Minute))
	a := one(d, controller)
	if a.State != compromise.Suspected || a.Closing == nil {
		t.Errorf("new fact: got %v, want suspected", a.State)
	}
	if closed := a.Ledger[0].Closed; closed { // the new one is the first by time
		t.Error("the new fact counts as seen")
	}
}

func TestClosingOfMoreThanTheLedgerShows(t *testing.T) {
	d := device("nas")
	for i := range 3 * compromise.MaxEntries {
		d.Clues = append(d.Clues, clue("nas", tocsin.OutgoingScan, time.Duration(i)*time.Minute))
	}
	closing, err := one(d).Close(at(24*time.Hour), "ann", "a scanner of mine")
	if err != nil {
		t.Fatal(err)
	}
	d.Closings = []compromise.Closing{closing}
	if a := one(d); a.State != compromise.FalsePositive {
		t.Errorf("got %v, want false-positive", a.State)
	}
	d.Clues = append(d.Clues, clue("nas", tocsin.OutgoingScan, 25*time.Hour))
	if a := one(d); a.State != compromise.Suspected {
		t.Errorf("got %v, want suspected", a.State)
	}
}

func TestJSON(t *testing.T) {
	d := device("nas")
	d.Coverage.Read = nil
	d.Clues = []tocsin.Clue{clue("nas", tocsin.OutgoingScan, time.Hour)}
	all := compromise.Assess(month, []compromise.Device{d, device("other")}, nil, nil)
	b, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	var back []compromise.Assessment
	if err := json.Unmarshal(b, &back); err != nil {
		t.Fatal(err)
	}
	opt := cmp.Options{cmpopts.IgnoreUnexported(compromise.Entry{}), cmpopts.EquateComparable(compromise.Entry{}.Source, compromise.Entry{}.To)}
	if diff := cmp.Diff(all, back, opt); diff != "" {
		t.Error(diff)
	}
	s := compromise.Count(month, all)
	if b, err = json.Marshal(s); err != nil {
		t.Fatal(err)
	}
	var again compromise.Summary
	if err := json.Unmarshal(b, &again); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(s, again); diff != "" {
		t.Error(diff)
	}
	var state compromise.State
	if err := state.UnmarshalText([]byte("invalid")); err == nil {
		t.Error("an invalid state is read")
	}
}
