package dossier

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io/fs"
	"math"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/tocsin-io/tocsin/takedown"
)

const shared = "../../shared/data/xarf"

// schemas compiles the official schemas below root, strictly: formats and
// contents are asserted.
func schemas(t *testing.T, root string) *jsonschema.Compiler {
	t.Helper()
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	c.AssertContent()
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(p) != ".json" || strings.Contains(p, "samples") {
			return err
		}
		doc := decoded(t, p)
		return c.AddResource(doc.(map[string]any)["$id"].(string), doc)
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func decoded(t *testing.T, file string) any {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return value(t, b)
}

func value(t *testing.T, b []byte) any {
	t.Helper()
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func compiled(t *testing.T, kind string) *jsonschema.Schema {
	t.Helper()
	s, err := schemas(t, "testdata/xarf").Compile("https://xarf.org/schemas/v4/types/" + kind + ".json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var schemaOf = map[takedown.Kind]string{takedown.Controller: "infrastructure-botnet", takedown.BruteForce: "connection-login-attack",
	takedown.CompromisedServer: "infrastructure-compromised-server"}

func TestReportsAreValid(t *testing.T) {
	for _, k := range kinds {
		for _, n := range []int{1, 7, 250} {
			f, _, err := Build(input(t, k, n))
			if err != nil || f.Gap != "" {
				t.Fatalf("%s: %v, %s", k, err, f.Gap)
			}
			if err := compiled(t, schemaOf[k]).Validate(value(t, f.Report)); err != nil {
				t.Errorf("%s of %d: %v\n%s", k, n, err, f.Report)
			}
			if err := strictly(t, k, f.Report); err != nil {
				t.Errorf("%s of %d: %v", k, n, err)
			}
		}
	}
}

// strictly reads a report back: a misspelt field goes unnoticed by the schemas.
func strictly(t *testing.T, k takedown.Kind, b []byte) error {
	t.Helper()
	var r interface{ Check() error }
	switch k {
	case takedown.Controller:
		r = new(Botnet)
	case takedown.BruteForce:
		r = new(LoginAttack)
	default:
		r = new(CompromisedServer)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(r); err != nil {
		return err
	}
	return r.Check()
}

// TestTraps: what the official schemas reject, with formats asserted, and what
// they let pass; our own check rejects all of it.
func TestTraps(t *testing.T) {
	type object = map[string]any
	first := func(m object) object { return m["evidence"].([]any)[0].(object) }
	tests := []struct {
		name   string
		kind   takedown.Kind
		change func(object)
		passes bool // by the official schema
	}{
		{"no source port", takedown.BruteForce, func(m object) { delete(m, "source_port") }, false},
		{"no first_seen", takedown.BruteForce, func(m object) { delete(m, "first_seen") }, false},
		{"no compromise_evidence", takedown.Controller, func(m object) { delete(m, "compromise_evidence") }, false},
		{"no compromise_method", takedown.CompromisedServer, func(m object) { delete(m, "compromise_method") }, false},
		{"version", takedown.BruteForce, func(m object) { m["xarf_version"] = "four" }, false},
		{"base64", takedown.BruteForce, func(m object) { first(m)["payload"] = "no base64!" }, false},
		{"type", takedown.BruteForce, func(m object) { m["type"] = "login-attack" }, false},
		{"reporter.type", takedown.BruteForce, func(m object) { m["reporter"].(object)["type"] = "unknown" }, false},
		{"no address, no port", takedown.BruteForce, func(m object) { m["source_identifier"] = "not an ip"; delete(m, "source_port") }, true},
		{"misspelt field", takedown.BruteForce, func(m object) { m["lastseen"] = m["last_seen"]; delete(m, "last_seen") }, true},
		{"size of another payload", takedown.BruteForce, func(m object) { first(m)["size"] = 1 }, true},
		{"hash of another payload", takedown.BruteForce, func(m object) {
			first(m)["payload"] = base64.StdEncoding.EncodeToString([]byte("another"))
			first(m)["size"] = 7
		}, true},
		{"md5", takedown.BruteForce, func(m object) { first(m)["hash"] = "md5:d41d8cd98f00b204e9800998ecf8427e" }, true},
		{"payload beyond the size", takedown.BruteForce, func(m object) {
			first(m)["payload"] = base64.StdEncoding.EncodeToString(make([]byte, 6<<20))
			delete(first(m), "size")
		}, true},
		{"internal", takedown.BruteForce, func(m object) { m["_internal"] = object{"ticket": "1"} }, true},
		{"zone", takedown.BruteForce, func(m object) { m["timestamp"] = "2023-10-14T20:42:07+02:00" }, true},
		{"private source", takedown.Controller, func(m object) { m["source_identifier"] = "10.0.0.1" }, true},
	}
	for _, test := range tests {
		f, _, err := Build(input(t, test.kind, 3))
		if err != nil {
			t.Fatal(err)
		}
		var m object
		if err := json.Unmarshal(f.Report, &m); err != nil {
			t.Fatal(err)
		}
		test.change(m)
		b, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		if err := compiled(t, schemaOf[test.kind]).Validate(value(t, b)); (err == nil) != test.passes {
			t.Errorf("%s: the official schema says %v", test.name, err)
		}
		if err := strictly(t, test.kind, b); err == nil {
			t.Errorf("%s: our check lets it pass", test.name)
		}
	}
}

func TestSamples(t *testing.T) {
	for k, kind := range schemaOf {
		if err := compiled(t, kind).Validate(decoded(t, "testdata/xarf/samples/"+kind+".json")); err != nil {
			t.Errorf("%s: %v", k, err)
		}
	}
	if _, err := os.Stat(shared); err != nil {
		return
	}
	master, err := schemas(t, shared+"/schemas-v4").Compile("https://xarf.org/schemas/v4/xarf-v4-master.json")
	if err != nil {
		t.Fatal(err)
	}
	samples, err := filepath.Glob(shared + "/samples-v4/*.json")
	if err != nil || len(samples) != 32 {
		t.Fatalf("%d samples, %v", len(samples), err)
	}
	for _, s := range samples {
		if err := master.Validate(decoded(t, s)); err != nil {
			t.Errorf("%s: %v", s, err)
		}
	}
	for _, k := range kinds {
		f, _, err := Build(input(t, k, 20))
		if err != nil {
			t.Fatal(err)
		}
		if err := master.Validate(value(t, f.Report)); err != nil {
			t.Errorf("%s: %v", k, err)
		}
	}
}

func TestOwnLimits(t *testing.T) {
	good := func() *LoginAttack {
		f, _, err := Build(input(t, takedown.BruteForce, 3))
		if err != nil {
			t.Fatal(err)
		}
		var a LoginAttack
		if err := json.Unmarshal(f.Report, &a); err != nil {
			t.Fatal(err)
		}
		return &a
	}
	tests := []struct {
		name   string
		change func(*LoginAttack)
	}{
		{"evidence", func(a *LoginAttack) { a.Evidence = make([]Item, maxItems+1) }},
		{"large evidence", func(a *LoginAttack) { a.Evidence = []Item{text("x", strings.Repeat("x", MaxItem+1))} }},
		{"much evidence", func(a *LoginAttack) {
			for range 5 {
				a.Evidence = append(a.Evidence, text("x", strings.Repeat("x", MaxItem)))
			}
		}},
		{"tags", func(a *LoginAttack) { a.Tags = make([]string, maxTags+1) }},
		{"tag", func(a *LoginAttack) { a.Tags = []string{"TLP:CLEAR"} }},
		{"description", func(a *LoginAttack) { a.Description = strings.Repeat("ä", maxDescription+1) }},
		{"description with a line", func(a *LoginAttack) { a.Description = "x\r\nBcc: y" }},
		{"description of evidence", func(a *LoginAttack) { a.Evidence[0].Description = strings.Repeat("x", maxItemText+1) }},
		{"direction", func(a *LoginAttack) { a.Description = "x\u202ey" }},
		{"confidence", func(a *LoginAttack) { a.Confidence = math.NaN() }},
		{"identifier", func(a *LoginAttack) { a.ReportID = "{" + a.ReportID + "}" }},
		{"contact", func(a *LoginAttack) { a.Reporter.Contact = "x@example.net\r\nBcc: y@example.net" }},
		{"contact with a name", func(a *LoginAttack) { a.Reporter.Contact = "A <a@example.net>" }},
		{"domain", func(a *LoginAttack) { a.Sender.Domain = "localhost" }},
		{"organisation", func(a *LoginAttack) { a.Sender.Org = "" }},
		{"order of time", func(a *LoginAttack) { a.LastSeen = "2022-01-01T00:00:00Z" }},
		{"empty evidence", func(a *LoginAttack) { a.Evidence = []Item{text("x", "")} }},
		{"network", func(a *LoginAttack) { a.Source = "198.51.100.0/24" }},
		{"spelling", func(a *LoginAttack) { a.Source = "2001:0db8::1" }},
	}
	if err := good().Check(); err != nil {
		t.Fatal(err)
	}
	longest := good()
	longest.Description = strings.Repeat("ä", maxDescription)
	if err := longest.Check(); err != nil {
		t.Error(err)
	}
	for _, test := range tests {
		a := good()
		test.change(a)
		if err := a.Check(); err == nil {
			t.Errorf("%s: passes", test.name)
		}
	}
}

// TestPortAndTime: the port of a report is one that was used at its time.
func TestPortAndTime(t *testing.T) {
	in := input(t, takedown.BruteForce, 5)
	in.Sightings[4].Port = 0 // the newest: a log that tells no ports
	f, _, err := Build(in)
	if err != nil {
		t.Fatal(err)
	}
	var a LoginAttack
	if err := json.Unmarshal(f.Report, &a); err != nil {
		t.Fatal(err)
	}
	if s := in.Sightings[3]; a.SourcePort != s.Port || a.Timestamp != zulu(s.Last) || a.LastSeen != zulu(in.Sightings[4].Last) {
		t.Errorf("port %d at %s, last seen %s", a.SourcePort, a.Timestamp, a.LastSeen)
	}
	for i := range in.Sightings {
		in.Sightings[i].Port = 0
	}
	if f, _, err = Build(in); err != nil || f.Report != nil || !strings.Contains(f.Gap, "port") {
		t.Errorf("without any port: %v, gap %q, report %s", err, f.Gap, f.Report)
	}
}

func TestClockSetBack(t *testing.T) {
	in := input(t, takedown.BruteForce, 1)
	in.Sightings[0].Last = day0.Add(-time.Hour)
	f, _, err := Build(in)
	if err != nil || f.Gap != "" || !strings.HasSuffix(f.Lines[0], "last="+zulu(day0)) {
		t.Errorf("%v, %s, %s", err, f.Gap, f.Lines)
	}
	in.Sightings[0].First, in.Sightings[0].Last = time.Time{}, time.Time{}
	if f, _, err = Build(in); err != nil || f.Report != nil || f.Gap == "" {
		t.Errorf("without any time: %v, gap %q", err, f.Gap)
	}
}

// TestIPv6: only the network of one customer is known, so that is what is told.
func TestIPv6(t *testing.T) {
	in := input(t, takedown.BruteForce, 3)
	in.Case.Source = netip.MustParsePrefix("2001:db8:1:2::/64")
	for i := range in.Sightings {
		in.Sightings[i].Source = in.Case.Source
	}
	f, _, err := Build(in)
	if err != nil || f.Gap != "" || !strings.Contains(f.Lines[0], "src=2001:db8:1:2::/64 spt=40000") {
		t.Fatalf("%v, %s, %s", err, f.Gap, f.Lines)
	}
	if err := compiled(t, schemaOf[takedown.BruteForce]).Validate(value(t, f.Report)); err != nil {
		t.Error(err)
	}
}

func TestReportIDFollowsContent(t *testing.T) {
	id := func(change func(*Input)) string {
		in := input(t, takedown.BruteForce, 3)
		change(&in)
		f, _, err := Build(in)
		if err != nil {
			t.Fatal(err)
		}
		var c Core
		if err := json.Unmarshal(f.Report, &c); err != nil {
			t.Fatal(err)
		}
		if c.ReportID[14] != '4' {
			t.Errorf("%s is not written as version 4", c.ReportID)
		}
		return c.ReportID
	}
	same := id(func(*Input) {})
	if id(func(*Input) {}) != same || id(func(in *Input) { in.Sightings[0].Failures++ }) == same {
		t.Error("another report, another identifier; the same one, the same")
	}
}
