package stix

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"pgregory.net/rapid"

	"github.com/tocsin-io/tocsin"
)

const (
	base   = "http://raw.githubusercontent.com/oasis-open/cti-stix2-json-schemas/stix2.1/schemas/"
	shared = "../../shared/data/stix"
)

const observable7 = "ipv4-addr--12592121-be4c-5a93-a813-5a5af16e50db"

var day0 = time.Date(2023, 10, 14, 18, 42, 0, 0, time.UTC)

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

func input() Input {
	member := func(p string, attempts uint32, confidence float64) tocsin.Member {
		return tocsin.Member{Source: netip.MustParsePrefix(p), First: day0, Last: day0.Add(time.Hour), Attempts: attempts, Devices: 3,
			Confidence: confidence, Reasons: []tocsin.Reason{"tried DEVICE1 of OWNER1"}}
	}
	return Input{
		Fleet: "a random text", At: day0.Add(2 * time.Hour), TLP: Green,
		Campaigns: []tocsin.Campaign{{
			ID: "CAMPAIGNID-OWNER1", Status: tocsin.Open, Opened: day0, First: day0, Last: day0.Add(time.Hour), Confidence: 0.876, Attempts: 4711,
			Size: tocsin.Estimate{Value: 500, Low: 400, High: 600}, Targets: []tocsin.DeviceID{"DEVICE1"}, Services: []tocsin.Service{"OWNER1SERVICE"},
			Accounts: []tocsin.AccountTag{"admin", "#KEYED", "PERSONAL", "root"}, Timeline: []tocsin.Mark{{At: day0, Text: "noticed by DEVICE1"}},
			Sources: []tocsin.Member{member("198.51.100.7/32", 60, 0.9), member("2001:db8:1:2::/64", 8, 0.95), member("203.0.113.9/32", 1<<32-1, 0.9)},
		}},
		Controllers: []tocsin.Controller{
			{Address: addr("192.0.2.66"), Port: 8443, Protocol: 6, Class: tocsin.Commands, Admitted: true, Q: 0.001, Devices: 5, Labelled: 4,
				First: day0, Last: day0.Add(time.Hour), Reasons: []tocsin.Reason{"contacted by DEVICE1"}},
			{Address: addr("2001:db8::66"), Port: 80, Protocol: 6, Class: tocsin.Payload, Admitted: true, First: day0, Last: day0.Add(time.Hour)},
			{Address: addr("192.0.2.99"), Port: 22, Protocol: 6, Class: tocsin.Target, Admitted: true, First: day0, Last: day0.Add(time.Hour)},
			{Address: addr("192.0.2.98"), Port: 443, Protocol: 6, Class: tocsin.Commands, First: day0, Last: day0.Add(time.Hour)},
		},
		Commands: map[tocsin.CampaignID][]netip.AddrPort{"CAMPAIGNID-OWNER1": {netip.MustParseAddrPort("192.0.2.66:8443"), netip.MustParseAddrPort("192.0.2.1:1")}},
	}
}

func export(t interface{ Fatal(...any) }, in Input, before Versions) (string, Versions) {
	b, after, _, err := Export(in, before)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.MarshalIndent(b, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(text), after
}

type parsed struct {
	ID      string           `json:"id"`
	Objects []map[string]any `json:"objects"`
}

func parse(t interface{ Fatal(...any) }, text string) parsed {
	var p parsed
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		t.Fatal(err)
	}
	return p
}

// schemas compiles official schemas by the type of the object.
func schemas(t *testing.T, root string) func(kind string) *jsonschema.Schema {
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(p) != ".json" {
			return err
		}
		b, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
		if err != nil {
			return err
		}
		return c.AddResource(doc.(map[string]any)["$id"].(string), doc)
	})
	if err != nil {
		t.Fatal(err)
	}
	return func(kind string) *jsonschema.Schema {
		folder := "sdos/"
		switch kind {
		case "relationship", "sighting":
			folder = "sros/"
		case "ipv4-addr", "ipv6-addr":
			folder = "observables/"
		case "marking-definition", "bundle":
			folder = "common/"
		}
		s, err := c.Compile(base + folder + kind + ".json")
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
}

func TestBundleIsValid(t *testing.T) {
	of := schemas(t, "testdata/stix")
	for colour := range colours {
		in := input()
		in.TLP = TLP(colour)
		text, _ := export(t, in, nil)
		sound(t, text)
		for _, o := range parse(t, text).Objects {
			kind := o["type"].(string)
			v, err := jsonschema.UnmarshalJSON(strings.NewReader(remarshal(t, o)))
			if err != nil {
				t.Fatal(err)
			}
			if err := of(kind).Validate(v); err != nil {
				t.Errorf("%s: %v", o["id"], err)
			}
			v.(map[string]any)["id"] = kind + "--x"
			if err := of(kind).Validate(v); err == nil && kind != "marking-definition" && !strings.HasSuffix(kind, "-addr") {
				t.Errorf("%s: a malformed identifier passes", kind)
			}
		}
	}
	if _, err := os.Stat(shared); err != nil {
		return
	}
	text, _ := export(t, input(), nil)
	v, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if err := schemas(t, shared+"/schemas")("bundle").Validate(v); err != nil {
		t.Error(err)
	}
}

func remarshal(t *testing.T, v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

var (
	identifier = regexp.MustCompile(`^[a-z0-9-]+--[0-9a-f]{8}-[0-9a-f]{4}-[45][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	patterns   = regexp.MustCompile(`^\[ipv(4-addr:value = '[0-9.]+'|6-addr:value = '[0-9a-f:]+(/[0-9]+)?')\]$`)
)

// sound checks what the schemas do not: that references lead to objects of the
// bundle, identifiers are there once, patterns come from the template, every
// object is marked, and no time goes backwards.
func sound(t interface {
	Fatal(...any)
	Fatalf(string, ...any)
}, text string) {
	p := parse(t, text)
	ids := map[string]bool{}
	for _, o := range p.Objects {
		id := o["id"].(string)
		if ids[id] || !identifier.MatchString(id) || !strings.HasPrefix(id, o["type"].(string)+"--") {
			t.Fatalf("identifier %s", id)
		}
		ids[id] = true
	}
	for _, o := range p.Objects {
		if s, ok := o["pattern"].(string); ok && !patterns.MatchString(s) {
			t.Fatalf("pattern %s", s)
		}
		if _, ok := o["object_marking_refs"]; !ok && o["type"] != "marking-definition" {
			t.Fatalf("%s is not marked", o["id"])
		}
		for _, pair := range [][2]string{{"created", "modified"}, {"first_seen", "last_seen"}, {"valid_from", "valid_until"}} {
			if a, ok := o[pair[0]].(string); ok && o[pair[1]] != nil && a > o[pair[1]].(string) {
				t.Fatalf("%s: %s is after %s", o["id"], pair[0], pair[1])
			}
		}
		for name, v := range o {
			switch {
			case strings.HasSuffix(name, "_ref") && !ids[v.(string)]:
				t.Fatalf("%s: %s leads nowhere", o["id"], name)
			case strings.HasSuffix(name, "_refs"):
				for _, r := range v.([]any) {
					if !ids[r.(string)] {
						t.Fatalf("%s: %s leads nowhere", o["id"], name)
					}
				}
			}
		}
	}
}

func TestWhatIsTold(t *testing.T) {
	text, _ := export(t, input(), nil)
	count := map[string]int{}
	for _, o := range parse(t, text).Objects {
		count[o["type"].(string)]++
	}
	want := map[string]int{"marking-definition": 1, "identity": 1, "course-of-action": 1, "campaign": 1, "infrastructure": 2, "ipv4-addr": 1,
		"ipv6-addr": 1, "indicator": 5, "sighting": 3, "relationship": 1 + 2*2 + 5 + 3}
	if !maps.Equal(count, want) {
		t.Errorf("got %v\nwant %v", count, want)
	}
	for _, s := range []string{"192.0.2.99", "192.0.2.98"} {
		if strings.Contains(text, s) {
			t.Errorf("a victim, or what may be chance: %s", s)
		}
	}
	for _, s := range []string{`"[ipv6-addr:value = '2001:db8:1:2::/64']"`, `"[ipv4-addr:value = '198.51.100.7']"`, "admin, root", `"confidence": 88`, `"count": 999999999`,
		`"tlp_2_0": "green"`} {
		if !strings.Contains(text, s) {
			t.Errorf("%s is missing in\n%s", s, text)
		}
	}
}

func TestWhatIsNotTold(t *testing.T) {
	in := input()
	in.Except = []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("192.0.2.66/32")}
	in.Campaigns[0].Sources = append(in.Campaigns[0].Sources, tocsin.Member{Source: netip.MustParsePrefix("10.0.0.1/32"), Last: in.At},
		tocsin.Member{Source: netip.MustParsePrefix("203.0.113.77/32"), Last: in.At.Add(-sourceLife)}, tocsin.Member{},
		tocsin.Member{Source: netip.MustParsePrefix("203.0.113.0/24"), Last: in.At})
	text, _ := export(t, in, nil)
	sound(t, text)
	for _, s := range []string{"198.51.100.", "192.0.2.66", "10.0.0.1", "203.0.113.77", "203.0.113.0"} {
		if strings.Contains(text, s) {
			t.Errorf("it tells %s", s)
		}
	}
	in.Fleet = ""
	if _, _, _, err := Export(in, nil); err == nil {
		t.Error("a fleet without a name of its own was exported")
	}
}

func TestVersions(t *testing.T) {
	in := input()
	first, versions := export(t, in, nil)
	in.At = in.At.Add(time.Hour)
	again, same := export(t, in, versions)
	if again != first || !maps.Equal(same, versions) {
		t.Error("nothing changed but the time, and the bundle did")
	}
	in.Campaigns[0].Attempts++
	changed, next := export(t, in, versions)
	modified := 0
	before := parse(t, first).Objects
	for i, o := range parse(t, changed).Objects {
		if o["id"] != before[i]["id"] || o["created"] != before[i]["created"] {
			t.Errorf("%s is another object", o["id"])
		}
		if o["modified"] != before[i]["modified"] {
			modified++
			if o["type"] != "campaign" || o["modified"] != "2023-10-14T21:42:00.000Z" {
				t.Errorf("%s was modified at %s", o["id"], o["modified"])
			}
		}
	}
	if modified != 1 || parse(t, changed).ID == parse(t, first).ID {
		t.Errorf("%d objects were modified", modified)
	}
	// A clock that was set back makes no older version.
	in.Campaigns[0].Attempts++
	in.At = day0.Add(61 * time.Minute)
	back, _ := export(t, in, next)
	sound(t, back)
	if !strings.Contains(back, "2023-10-14T21:42:00.001Z") {
		t.Error("the newest version is older than the one before")
	}
	// What is gone for long is forgotten, what comes back sooner is the same.
	in.Campaigns = nil
	in.At = day0.Add(100 * 24 * time.Hour)
	_, kept := export(t, in, next)
	in.At = in.At.Add(keep)
	_, gone := export(t, in, kept)
	if len(kept) != len(next) || len(gone) != 2 {
		t.Errorf("%d versions of %d, and %d a year later", len(kept), len(next), len(gone))
	}
}

func TestBundlesOfTwoFleets(t *testing.T) {
	a, _ := export(t, input(), nil)
	in := input()
	in.Fleet = "another"
	b, _ := export(t, in, nil)
	for i, o := range parse(t, b).Objects {
		same := o["id"] == parse(t, a).Objects[i]["id"]
		if everybodys := strings.HasSuffix(o["type"].(string), "-addr") || o["type"] == "marking-definition"; same != everybodys {
			t.Errorf("%s", o["id"])
		}
	}
}

func TestManySources(t *testing.T) {
	in := input()
	c := &in.Campaigns[0]
	for i := range MaxSources + 50 {
		c.Sources = append(c.Sources, tocsin.Member{Source: netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 18, byte(i >> 8), byte(i)}), 32),
			First: day0, Last: in.At, Attempts: 1, Confidence: 0.5})
	}
	b, _, left, err := Export(in, nil)
	if err != nil || left != 53 || len(b.Objects) > 5*MaxSources {
		t.Errorf("%v, %d objects, %d left", err, len(b.Objects), left)
	}
}

// TestNobodyIsNamed: whatever stands in the places of owners, devices, accounts
// and texts for people, none of it comes out.
func TestNobodyIsNamed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		secret := "SECRET" + rapid.StringMatching(`[A-Z]{8}`).Draw(t, "secret")
		in := input()
		in.Fleet = secret
		c := &in.Campaigns[0]
		c.ID, c.Into = tocsin.CampaignID(secret), tocsin.CampaignID(secret)
		c.Targets = []tocsin.DeviceID{tocsin.DeviceID(secret)}
		c.Services = []tocsin.Service{tocsin.Service(secret)}
		c.Accounts = append(c.Accounts, tocsin.AccountTag(secret), tocsin.AccountTag("#"+secret))
		c.Timeline = []tocsin.Mark{{Text: tocsin.Reason(secret)}}
		c.Status = tocsin.CampaignStatus(rapid.ByteRange(0, 5).Draw(t, "status"))
		for i := range c.Sources {
			c.Sources[i].Reasons = []tocsin.Reason{tocsin.Reason(secret)}
			c.Sources[i].Attempts = rapid.Uint32().Draw(t, "attempts")
			c.Sources[i].Last = day0.Add(time.Duration(rapid.IntRange(-5, 5).Draw(t, "last")) * time.Hour)
			c.Sources[i].Confidence = rapid.Float64().Draw(t, "confidence")
		}
		for i := range in.Controllers {
			in.Controllers[i].Reasons = []tocsin.Reason{tocsin.Reason(secret)}
			in.Controllers[i].Class = tocsin.ControllerClass(rapid.ByteRange(0, 5).Draw(t, "class"))
		}
		in.Commands[c.ID] = []netip.AddrPort{netip.MustParseAddrPort("192.0.2.66:8443")}
		text, _ := export(t, in, nil)
		if strings.Contains(strings.ToUpper(text), secret) || strings.Contains(text, "DEVICE") || strings.Contains(text, "KEYED") || strings.Contains(text, "PERSONAL") {
			t.Fatalf("somebody is named:\n%s", text)
		}
		sound(t, text)
	})
}

func TestObservablesAreEverybodys(t *testing.T) {
	w := newWriter(&Input{Fleet: "x", At: day0}, nil)
	// uuid5 of the name space of the specification and {"value":"198.51.100.7"}.
	a, b := w.observable(netip.MustParsePrefix("198.51.100.7/32")), w.observable(netip.MustParsePrefix("198.51.100.7/32"))
	if a != observable7 || a != b || len(w.list) != 4 {
		t.Errorf("got %s, want %s; %d objects", a, observable7, len(w.list))
	}
}

func TestColours(t *testing.T) {
	var c TLP
	for i, colour := range colours {
		if err := c.UnmarshalText([]byte(colour.word)); err != nil || c != TLP(i) || c.String() != colour.name {
			t.Errorf("%s: %v, %s", colour.word, err, c)
		}
	}
	if err := c.UnmarshalText([]byte("white")); err == nil {
		t.Error("white is no colour of TLP 2.0")
	}
	if _, _, _, err := Export(Input{Fleet: "x", TLP: 9}, nil); err == nil {
		t.Error("an unknown colour was exported")
	}
}

// BenchmarkExport writes a campaign of 10,000 sources.
func BenchmarkExport(b *testing.B) {
	in := input()
	for i := range MaxSources {
		in.Campaigns[0].Sources = append(in.Campaigns[0].Sources, tocsin.Member{Source: netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 18, byte(i >> 8), byte(i)}), 32),
			First: day0, Last: in.At, Attempts: 1, Confidence: 0.5})
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, _, _, err := Export(in, nil); err != nil {
			b.Fatal(err)
		}
	}
}

func TestExportChangesNothing(t *testing.T) {
	in := input()
	before := fmt.Sprint(in)
	versions := Versions{"x": {Modified: day0}}
	export(t, in, versions)
	if fmt.Sprint(in) != before || !slices.Equal(slices.Collect(maps.Keys(versions)), []string{"x"}) {
		t.Error("the input was changed")
	}
}
