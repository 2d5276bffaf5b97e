package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/mail"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/compromise"
	"github.com/tocsin-io/tocsin/operator"
	"github.com/tocsin-io/tocsin/sim/incident"
)

// TestIncident has a hub and a guard for each device live through an invented
// incident, played fifty times as fast as it happened, and people answer it by the
// commands they have: docs/incident-walkthrough.md in one go. What the commands
// say is held to what is true.
//
// So fast nobody can be told to act with others: the order and the times that tell
// it are what is lost. The campaigns are open and list whom they may consist of.
func TestIncident(t *testing.T) {
	w := newWalk(t)
	w.play()
	t.Run("campaigns", w.campaigns)
	t.Run("blocked", w.blocked)
	t.Run("states", w.states)
	t.Run("controller", w.controller)
	t.Run("case", w.takedown)
}

// campaigns wants one open at each service that the campaigns tried, and most of
// those who were active beside to be of them.
func (w *walk) campaigns(t *testing.T) {
	of := map[netip.Addr]bool{}
	for _, c := range w.truth.Campaigns {
		for _, s := range c.Sources {
			of[s.Source] = true
		}
	}
	for _, service := range []tocsin.Service{"ssh", "qnap"} {
		var page api.CampaignPage
		until(t, "a campaign at "+string(service), func() bool {
			for _, c := range lines[api.CampaignLine](t, w.say("campaigns", "--json")) {
				if slices.Contains(c.Services, service) && c.Status == tocsin.Open {
					page = one[api.CampaignPage](t, w.say("campaigns", "show", string(c.ID), "--json"))
				}
			}
			return page.ID != ""
		})
		right, all := 0, 0
		for _, m := range slices.Concat(page.Sources, page.Unattributed) {
			if all++; of[m.Source.Addr()] {
				right++
			}
		}
		if all < 100 || right*2 < all || page.Attempts < 1000 {
			t.Errorf("%s: %d of %d sources are of a campaign, %d attempts", service, right, all, page.Attempts)
		}
		w.campaign = page.ID
	}
	until(t, "a message to who is on call", func() bool {
		raw, _ := w.letter("oncall@example.net", "campaign")
		return raw != nil
	})
}

// A place is where somebody guesses: a device, or all devices of an owner.
type place struct {
	owner  tocsin.OwnerID
	device tocsin.DeviceID // "" is all of the owner but those that were entered: their word binds nobody
}

// guessed counts what the logs show of each source at each place.
func (w *walk) guessed() map[place]map[netip.Addr]int {
	w.t.Helper()
	entered := map[tocsin.DeviceID]bool{}
	for _, d := range w.truth.Devices {
		entered[d.Device] = d.Compromised
	}
	all := map[place]map[netip.Addr]int{}
	for _, a := range lines[struct {
		Time    time.Time
		Outcome string
		Source  netip.Addr
		Device  tocsin.DeviceID
		Owner   tocsin.OwnerID
	}](w.t, w.file("trace.jsonl")) {
		if a.Outcome != "failure" || a.Time.Before(w.truth.Start) {
			continue
		}
		for _, at := range []place{{a.Owner, a.Device}, {owner: a.Owner}} {
			if all[at] == nil {
				all[at] = map[netip.Addr]int{}
			}
			if at.device != "" || !entered[a.Device] {
				all[at][a.Source]++
			}
		}
	}
	return all
}

// blocked wants every source of a campaign that guessed five times at a device, or
// at several of an owner, blocked there, and by the guards of all of them.
func (w *walk) blocked(t *testing.T) {
	guessed, most := w.guessed(), 0
	for _, d := range w.devices {
		if d.guard == nil {
			continue
		}
		here, owners := guessed[place{d.Owner, d.Device}], guessed[place{owner: d.Owner}]
		comes(t, string(d.Device)+" to block them all", func() string {
			var rules []netip.Prefix
			for _, r := range lines[operator.Rule](t, w.run("rules", "--json", "--socket", d.socket)) {
				if r.Action == tocsin.Block.String() {
					rules = append(rules, r.Prefix)
				}
			}
			var missing []string
			wanted := 0
			for _, c := range w.truth.Campaigns {
				for _, s := range c.Sources {
					if here[s.Source] < 5 && owners[s.Source] < 5 {
						continue
					}
					if wanted++; !slices.ContainsFunc(rules, func(p netip.Prefix) bool { return p.Contains(s.Source) }) {
						missing = append(missing, s.Source.String())
					}
				}
			}
			most = max(most, wanted)
			return strings.Join(missing, " ")
		})
	}
	if most < 100 {
		t.Errorf("no device is to block more than %d sources", most)
	}
}

// states wants each device's state right: found where somebody guessed his way in,
// unknown where there is no telemetry, clean where nobody came, and nobody accused
// who was not entered.
func (w *walk) states(t *testing.T) {
	w.say("flows", "import", filepath.Join(w.live, "conn.log"))
	comes(t, "the states of all devices", func() string {
		var wrong []string
		states := map[string]api.Assessed{}
		for _, d := range one[api.Compromise](t, w.say("compromise", "--all", "--json")).Devices {
			states[d.Name] = d
		}
		for _, d := range w.truth.Devices {
			got := states[string(d.Device)]
			if !slices.Contains(wanted(d), got.State) {
				wrong = append(wrong, string(d.Device)+": "+got.State.String()+": "+string(got.Why))
			}
		}
		return strings.Join(wrong, "\n")
	})
}

// wanted are the states that are right for a device.
func wanted(d incident.TrueDevice) []compromise.State {
	switch {
	case slices.Contains(d.Removed, "logs"):
		return []compromise.State{compromise.Unknown}
	case slices.Contains(d.Shows, "guessed") && slices.Contains(d.Shows, "persistence"):
		return []compromise.State{compromise.Confirmed}
	case slices.Contains(d.Shows, "guessed"):
		return []compromise.State{compromise.Confirmed, compromise.Suspected}
	case d.Compromised: // by a source that is known only from elsewhere: found if it is known to be of a campaign
		return []compromise.State{compromise.Confirmed, compromise.Suspected, compromise.NearMiss}
	case !d.Attacked:
		return []compromise.State{compromise.Clean}
	}
	return []compromise.State{compromise.NearMiss, compromise.Clean}
}

// controller wants the one that commands them ranked first.
func (w *walk) controller(t *testing.T) {
	comes(t, "the controller to be ranked first", func() string {
		r := one[api.Ranking](t, w.say("controllers", "--json"))
		if len(r.Candidates) == 0 {
			return "nobody is ranked: " + string(r.Lacking)
		}
		if first := r.Candidates[0]; netip.AddrPortFrom(first.Address, first.Port) != w.truth.Controller {
			return fmt.Sprintf("%+v is first", first)
		}
		return ""
	})
}

// takedown opens a case about the controller, has two people approve the mail,
// sends it, and gets a bounce for it.
func (w *walk) takedown(t *testing.T) {
	c := w.truth.Controller
	file := one[api.CaseFile](t, w.say("case", "new", "--controller", c.Addr().String(), "--port", port(c),
		"--campaign", string(w.campaign), "--why", "first in the ranking", "--json"))
	id := string(file.Case.ID)
	state := func(want string, f api.CaseFile) api.CaseFile {
		t.Helper()
		if f.Case.State.String() != want {
			t.Fatalf("the case is %s, want %s", f.Case.State, want)
		}
		return f
	}
	state("draft", file)
	if out, err := w.as("anna", "case", "send", id).CombinedOutput(); err == nil {
		t.Errorf("sent although nobody approved it: %s", out)
	}
	file = one[api.CaseFile](t, w.sayAs("anna", "case", "approve", id, "--yes", "--json"))
	if state("draft", file); file.Draft == nil || file.Draft.Approved || file.Draft.Letter.To != provider {
		t.Errorf("after one approval: %+v", file.Draft)
	}
	if out, err := w.as("anna", "case", "approve", id, "--yes").CombinedOutput(); err == nil {
		t.Errorf("one person is two: %s", out)
	}
	if out, err := w.as("anna", "case", "send", id).CombinedOutput(); err == nil {
		t.Errorf("sent although one approval is missing: %s", out)
	}
	state("approved", one[api.CaseFile](t, w.sayAs("bert", "case", "approve", id, "--yes", "--json")))
	state("sent", one[api.CaseFile](t, w.sayAs("bert", "case", "send", id, "--json")))

	letter, bounce := w.letter(provider, id)
	if letter == nil {
		t.Fatal("the letter did not arrive")
	}
	w.wantLetter(t, letter)
	file = state("bounced", one[api.CaseFile](t, w.say("case", "answer", bounce, "--json")))
	if !strings.Contains(w.say("case", "show", id), "550 5.1.1") {
		t.Errorf("why it bounced is not told: %+v", file.Case.History)
	}
	if md := w.say("case", "export", id, "--format", "md"); !strings.Contains(md, id) || !strings.Contains(md, "bounced") {
		t.Errorf("in print:\n%s", md)
	}
}

// wantLetter looks at what the provider gets: the controller, a report in X-ARF,
// and nothing that names an owner or a device.
func (w *walk) wantLetter(t *testing.T, raw []byte) {
	t.Helper()
	m, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	text, report := parts(t, m)
	if !strings.Contains(text, w.truth.Controller.Addr().String()) || !strings.Contains(text, "Example CSIRT") {
		t.Errorf("the letter:\n%s", text)
	}
	var xarf struct {
		Version  string `json:"xarf_version"`
		Type     string
		Source   netip.Addr `json:"source_identifier"`
		Reporter struct{ Org string }
	}
	if err := json.Unmarshal(report, &xarf); err != nil {
		t.Fatalf("the report: %v\n%s", err, report)
	}
	if xarf.Version != "4.2.0" || xarf.Type != "botnet" || xarf.Source != w.truth.Controller.Addr() || xarf.Reporter.Org != "Example CSIRT" {
		t.Errorf("the report:\n%s", report)
	}
	for _, d := range w.truth.Devices {
		for _, word := range []string{string(d.Device), string(d.Owner)} {
			if strings.Contains(text, word) || bytes.Contains(report, []byte(word)) {
				t.Errorf("the letter names %s", word)
			}
		}
	}
}

// A walk is a hub, and a guard for each device of an invented incident, as
// processes of this machine that talk over its loopback.
type walk struct {
	t        *testing.T
	bin      string
	dir      string
	live     string
	hub      *process
	address  string
	console  string // where people of this machine look
	calm     bool   // of what went wrong only the hub's words are told
	devices  []*walked
	truth    incident.Truth
	mail     *process
	campaign tocsin.CampaignID
	tokens   map[string]string // files, by person
}

// A walked is one device.
type walked struct {
	Device   tocsin.DeviceID
	Owner    tocsin.OwnerID
	Model    string
	Firmware string
	Address  netip.Addr
	Logs     []struct {
		Service tocsin.Service
		Path    string
	}
	socket string
	guard  *process // nil: its telemetry was removed, and somebody stopped it
}

// command is tocsin with arguments.
func (w *walk) command(args ...string) *exec.Cmd {
	cmd := exec.Command(w.bin, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd
}

// run runs a command that must succeed.
func (w *walk) run(args ...string) string { return w.output(w.command(args...)) }

func (w *walk) output(cmd *exec.Cmd) string {
	w.t.Helper()
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		w.t.Fatalf("tocsin %v: %v\n%s%s", cmd.Args[1:], err, out, errs.String())
	}
	return string(out)
}

// say asks the hub by its socket.
func (w *walk) say(args ...string) string {
	w.t.Helper()
	return w.run(append(args, "--hub-socket", filepath.Join(w.dir, "hub", "hub.sock"))...)
}

// as is a command that a person gives from elsewhere, with a token.
func (w *walk) as(person string, args ...string) *exec.Cmd {
	return w.command(append(args, "--hub", w.address, "--ca", filepath.Join(w.dir, "hub.pem"), "--token-file", w.tokens[person])...)
}

func (w *walk) sayAs(person string, args ...string) string {
	w.t.Helper()
	return w.output(w.as(person, args...))
}

// file returns what a file of the incident holds.
func (w *walk) file(name string) string {
	w.t.Helper()
	b, err := os.ReadFile(filepath.Join(w.dir, "incident", name))
	if err != nil {
		w.t.Fatal(err)
	}
	return string(b)
}

// one reads a JSON value.
func one[T any](t *testing.T, text string) (v T) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v in %.300s", err, text)
	}
	return v
}

// lines reads JSON values, one a line.
func lines[T any](t *testing.T, text string) (list []T) {
	t.Helper()
	for line := range strings.Lines(text) {
		list = append(list, one[T](t, line))
	}
	return list
}
