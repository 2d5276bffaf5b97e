package api_test

import (
	"encoding/json"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/api"
)

// noticed is a clue as a guard would send it.
func noticed(device tocsin.DeviceID, counter uint64) tocsin.Clue {
	return tocsin.Clue{
		ID: tocsin.ID{Device: device, Boot: 2, Counter: counter}, Device: device, At: noon.Add(-time.Minute), Fact: tocsin.KeysChanged,
		Subject: "/root/.ssh/authorized_keys", Source: netip.MustParsePrefix("203.0.113.7/32"),
		To: netip.MustParseAddrPort("[2001:db8::7]:443"), Digest: [32]byte{0xab, 31: 1},
	}
}

// contacted is a contact as a guard would send it.
func contacted(device tocsin.DeviceID) tocsin.Contact {
	return tocsin.Contact{
		Device: device, To: netip.MustParseAddrPort("198.51.100.7:443"), Protocol: 6, First: noon.Add(-time.Hour), Last: noon,
		Count: 3, Failed: 1, Sent: 900, Received: 1 << 40, Longest: time.Minute,
		Starts: []tocsin.Start{{At: noon.Add(-time.Hour), Sent: 300}, {At: noon}},
	}
}

var comparable = cmpopts.EquateComparable(netip.Prefix{}, netip.AddrPort{})

// TestEvidenceNames holds the names that guards and scripts depend on.
func TestEvidenceNames(t *testing.T) {
	for _, tt := range []struct {
		v    any
		want string
	}{
		{api.ClueOf(noticed("nas", 3)), `{"device":"nas","boot":2,"counter":3,"at":"2026-01-15T11:59:00Z","fact":"keys that may log in changed",` +
			`"subject":"/root/.ssh/authorized_keys","source":"203.0.113.7/32","to":"[2001:db8::7]:443",` +
			`"digest":"ab` + strings.Repeat("0", 60) + `01"}`},
		{contacted("nas"), `{"device":"nas","to":"198.51.100.7:443","protocol":6,"first":"2026-01-15T11:00:00Z","last":"2026-01-15T12:00:00Z",` +
			`"count":3,"failed":1,"sent":900,"received":1099511627776,"longest_ns":60000000000,` +
			`"starts":[{"at":"2026-01-15T11:00:00Z","sent":300},{"at":"2026-01-15T12:00:00Z","sent":0}]}`},
		{tocsin.Coverage{Stream: tocsin.LogStream, From: noon, Until: noon, Gaps: []tocsin.Gap{{Span: tocsin.Span{From: noon, To: noon}, Reason: "cut"}}},
			`{"stream":"log","from":"2026-01-15T12:00:00Z","until":"2026-01-15T12:00:00Z",` +
				`"gaps":[{"from":"2026-01-15T12:00:00Z","to":"2026-01-15T12:00:00Z","reason":"cut"}]}`},
	} {
		if diff := cmp.Diff(tt.want, mustJSON(t, tt.v)); diff != "" {
			t.Error(diff)
		}
	}
}

func TestCluesComeBackAsTheyWere(t *testing.T) {
	bare := tocsin.Clue{ID: tocsin.ID{Device: "nas"}, Device: "nas", At: noon, Fact: tocsin.LoggingOff}
	for f := tocsin.KeysChanged; f <= tocsin.NewOrigin; f++ {
		one := noticed("nas", uint64(f))
		one.Fact = f
		for _, want := range []tocsin.Clue{one, bare} {
			got, err := api.ClueOf(want).Clue()
			if diff := cmp.Diff(want, got, comparable); err != nil || diff != "" {
				t.Error(err, diff)
			}
		}
	}
}

func TestEvidenceIsTakenOnce(t *testing.T) {
	w := newWorld(t)
	nas := w.device("nas")
	list := []tocsin.Clue{noticed("nas", 1), noticed("nas", 2)}
	for _, want := range []api.Taken{{Accepted: 2, HaveBoot: 2, HaveCounter: 2}, {Repeated: 2, HaveBoot: 2, HaveCounter: 2}} {
		got, err := nas.SendClues(t.Context(), noon, tocsin.ID{}, list)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Error(err, diff)
		}
	}
	// A hub that has less than the batch follows takes none of it.
	if got, err := nas.SendClues(t.Context(), noon, tocsin.ID{Counter: 3}, []tocsin.Clue{noticed("nas", 4)}); err != nil || got.HaveCounter != 2 {
		t.Error(got, err)
	}
	if got, err := nas.SendContacts(t.Context(), noon, []tocsin.Contact{contacted("nas")}); err != nil || got.Accepted != 1 {
		t.Error(got, err)
	}
	if diff := cmp.Diff(list, w.hub.clues, comparable); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]tocsin.Contact{contacted("nas")}, w.hub.contacts, comparable); diff != "" {
		t.Error(diff)
	}
}

// spoil changes fields of what is sent as JSON.
func spoil(t *testing.T, v any, fields map[string]any) string {
	var m map[string]any
	if err := json.Unmarshal([]byte(mustJSON(t, v)), &m); err != nil {
		t.Fatal(err)
	}
	for k, f := range fields {
		if m[k] = f; f == nil {
			delete(m, k)
		}
	}
	return mustJSON(t, m)
}

func TestBadEvidenceIsRefusedWhole(t *testing.T) {
	w := newWorld(t, func(c *api.Config) { c.Rate, c.Burst = 1e6, 1e6 })
	nas := w.certificate("nas", time.Hour)
	clue, contact := api.ClueOf(noticed("nas", 1)), contacted("nas")
	starts := make([]tocsin.Start, tocsin.MaxStarts+1)
	for i := range starts {
		starts[i].At = noon
	}
	type fields map[string]any
	later := noon.Add(time.Hour)
	for _, tt := range []struct {
		name, path string
		item       any
		fields     fields
		status     int
	}{
		{"another device's", "clues", clue, fields{"device": "other"}, 403},
		{"of the future", "clues", clue, fields{"at": later}, 422},
		{"a giant", "clues", clue, fields{"subject": strings.Repeat("x", 9<<10)}, 413},
		{"a long subject", "clues", clue, fields{"subject": strings.Repeat("x", tocsin.MaxSubject+1)}, 400},
		{"a subject of two lines", "clues", clue, fields{"subject": "a\nb"}, 400},
		{"no time", "clues", clue, fields{"at": nil}, 400},
		{"no fact", "clues", clue, fields{"fact": ""}, 400},
		{"no digest", "clues", clue, fields{"digest": nil}, 400},
		{"a short digest", "clues", clue, fields{"digest": "ab"}, 400},
		{"a wide source", "clues", clue, fields{"source": "203.0.113.0/24"}, 400},
		{"a mapped destination", "clues", clue, fields{"to": "[::ffff:198.51.100.7]:443"}, 400},
		{"a number too large", "clues", clue, fields{"counter": uint64(1 << 63)}, 400},
		{"a number twice", "clues", clue, fields{"counter": 0}, 400},
		{"another device's", "contacts", contact, fields{"device": "other"}, 403},
		{"of the future", "contacts", contact, fields{"last": later}, 422},
		{"nowhere", "contacts", contact, fields{"to": ""}, 400},
		{"a mapped one", "contacts", contact, fields{"to": "[::ffff:198.51.100.7]:443"}, 400},
		{"with a zone", "contacts", contact, fields{"to": "[fe80::1%eth0]:443"}, 400},
		{"to many", "contacts", contact, fields{"to": "224.0.0.1:443"}, 400},
		{"times swapped", "contacts", contact, fields{"first": noon.Add(time.Second)}, 400},
		{"no time", "contacts", contact, fields{"first": nil}, 400},
		{"none", "contacts", contact, fields{"count": 0, "failed": 0}, 400},
		{"more failed", "contacts", contact, fields{"failed": 4}, 400},
		{"a negative length", "contacts", contact, fields{"longest_ns": -1}, 400},
		{"many starts", "contacts", contact, fields{"starts": starts, "count": 100}, 400},
		{"more starts than connections", "contacts", contact, fields{"count": 1}, 400},
		{"a start outside", "contacts", contact, fields{"starts": []tocsin.Start{{At: later}}}, 400},
	} {
		t.Run(tt.path+" "+tt.name, func(t *testing.T) {
			w := &world{T: t, addr: w.addr, ca: w.ca, key: w.key}
			body := `{"sent":"2026-01-15T12:00:00Z","` + tt.path + `":[` + mustJSON(t, tt.item) + `,` + spoil(t, tt.item, tt.fields) + `]}`
			resp, text := w.raw("POST", "/v1/"+tt.path, nil, []byte(body), nas)
			var e struct{ Index *int }
			if err := json.Unmarshal([]byte(text), &e); err != nil {
				t.Fatal(err)
			}
			if resp.StatusCode != tt.status || e.Index == nil || *e.Index != 1 {
				t.Errorf("got %s, want %d for the second: %s", resp.Status, tt.status, text)
			}
		})
	}
	if len(w.hub.clues)+len(w.hub.contacts) > 0 {
		t.Error("something of bad batches was taken")
	}
	newer := `{"sent":"2026-01-15T12:00:00Z","mood":[],"clues":[` + mustJSON(t, clue) + `,` +
		spoil(t, clue, fields{"counter": 2, "fact": "sings at night", "shoe_size": 9}) + `]}`
	if resp, text := w.raw("POST", "/v1/clues", nil, []byte(newer), nas); resp.StatusCode != http.StatusOK || len(w.hub.clues) != 1 {
		t.Error("a newer guard is not understood:", text)
	}
}

func TestCoverageIsChecked(t *testing.T) {
	w := newWorld(t)
	nas := w.device("nas")
	good := tocsin.Coverage{Stream: tocsin.LogStream, From: noon.Add(-time.Hour), Until: noon, Gaps: []tocsin.Gap{
		{Span: tocsin.Span{From: noon.Add(-time.Hour), To: noon.Add(-time.Minute)}, Reason: "the journal was cut"},
	}}
	report := func(list ...tocsin.Coverage) error {
		return nas.Report(t.Context(), api.State{Sent: noon, Coverage: list})
	}
	w.must(report(good, good, good))
	if diff := cmp.Diff([]tocsin.Coverage{good, good, good}, w.hub.reports[0].Coverage); diff != "" {
		t.Error(diff)
	}
	for name, bad := range map[string]func(*tocsin.Coverage){
		"no stream":      func(c *tocsin.Coverage) { c.Stream = "" },
		"a long stream":  func(c *tocsin.Coverage) { c.Stream = tocsin.Stream(strings.Repeat("x", 17)) },
		"times swapped":  func(c *tocsin.Coverage) { c.From = noon.Add(time.Second) },
		"no time":        func(c *tocsin.Coverage) { c.From = time.Time{} },
		"of the future":  func(c *tocsin.Coverage) { c.Until = noon.Add(time.Hour) },
		"many gaps":      func(c *tocsin.Coverage) { c.Gaps = make([]tocsin.Gap, tocsin.MaxGaps+1) },
		"a swapped gap":  func(c *tocsin.Coverage) { c.Gaps = []tocsin.Gap{{Span: tocsin.Span{From: noon, To: noon.Add(-1)}}} },
		"a hostile note": func(c *tocsin.Coverage) { c.Gaps = []tocsin.Gap{{Span: good.Gaps[0].Span, Reason: "a\x1b[2J"}} },
	} {
		c := good
		bad(&c)
		if err := report(c); status(err) != http.StatusBadRequest {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := report(good, good, good, good); status(err) != http.StatusBadRequest {
		t.Error("many streams:", err)
	}
}

func TestADeviceThatNoticesTooMuchIsHeldBack(t *testing.T) {
	now := noon
	w := newWorld(t, func(c *api.Config) { c.Rate, c.Burst, c.Now = 20, 20, func() time.Time { return now } })
	nas := w.device("nas")
	list := []tocsin.Clue{noticed("nas", 1), noticed("nas", 2), noticed("nas", 3)}
	if _, err := nas.SendClues(t.Context(), noon, tocsin.ID{}, list); err != nil {
		t.Fatal(err)
	}
	if _, err := nas.SendClues(t.Context(), noon, tocsin.ID{}, list); pushedBack(err) != 3*time.Second {
		t.Errorf("got %v", err)
	}
	if _, err := nas.Send(t.Context(), noon, nil); err != nil {
		t.Error("its sightings wait, too:", err)
	}
}
