package api_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tocsin-io/tocsin/api"
)

// operation is what the tests need of one operation of the document.
type operation struct {
	Tags        []string
	RequestBody json.RawMessage
	Responses   map[string]json.RawMessage
}

// operations returns those of the document, as "GET /v1/status".
func operations(t *testing.T) map[string]operation {
	var doc struct {
		Paths map[string]map[string]operation
	}
	if err := json.Unmarshal(api.Document, &doc); err != nil {
		t.Fatal(err)
	}
	all := map[string]operation{}
	for path, item := range doc.Paths {
		for method, op := range item {
			all[strings.ToUpper(method)+" "+path] = op
		}
	}
	return all
}

// TestEveryRouteIsDescribed holds the document and the routes to each other.
func TestEveryRouteIsDescribed(t *testing.T) {
	want := slices.Sorted(slices.Values(api.Routes()))
	got := slices.Sorted(maps.Keys(operations(t)))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("routes (-) and what the document describes (+):\n%s", diff)
	}
}

// mayTell is every field of every answer that a device can get, but for the
// frames, which package ruleset describes, and the files of TUF, which are signed
// and say which keys hold. None can be a command, a path or a configuration; a
// new one is a decision, taken here.
var mayTell = []string{
	"error", "index", // what was wrong with what it sent
	"accepted", "repeated", "have_boot", "have_counter", // which sightings it has
	"device", "owner", "honeypot", "certificates", "ca", "root", "lists", // who it is, and whom it trusts
	"fingerprint", "sealed", "waiting", "sealing_key", // keys of its owner, unreadable to the hub
}

// mayHear is every field of every request that a device makes: what of a device,
// its owner and who logs in there ever leaves it. A new one is a decision, taken
// here.
var mayHear = []string{
	"sent", "after_boot", "after_counter", "device", "boot", "counter", // who says it, and when
	"secret", "csr", "sealing_key", "name", "model", "firmware", "version", "note", "invented", // the device itself
	"sightings", "source", "port", "service", "first", "last", "failures", "successes", "probes", "dropped", "provenance", "facts",
	"accounts", "tag", "unknown", // names as the owner's tags
	"clues", "at", "fact", "subject", "to", "digest", // what it noticed: subjects without names, evidence as a hash
	"contacts", "protocol", "count", "failed", "received", "longest_ns", "starts", // whom it contacted: never what was said
	"prefixes", "lists", "list", "epoch", "serial", // what is in force
	"coverage", "stream", "from", "until", "gaps", "reason", // what it read
	"fingerprint", "sealed", // the owner's key, unreadable to the hub
}

// TestWhatAHubCanTellAGuard enumerates the wire. Every answer of every test is
// held to the same document, strictly.
func TestWhatAHubCanTellAGuard(t *testing.T) {
	wire := enumerate(t, func(op operation, walk func(json.RawMessage)) {
		for _, r := range op.Responses {
			walk(r)
		}
	})
	want := slices.Sorted(slices.Values(mayTell))
	if diff := cmp.Diff(want, wire.fields); diff != "" {
		t.Errorf("what a hub can tell a guard (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"GET /v1/feed", "GET /v1/tuf/{file}"}, wire.opaque); diff != "" {
		t.Errorf("answers that are no JSON (-want +got):\n%s", diff)
	}
}

// TestWhatAGuardCanTellAHub enumerates the other direction.
func TestWhatAGuardCanTellAHub(t *testing.T) {
	wire := enumerate(t, func(op operation, walk func(json.RawMessage)) {
		if op.RequestBody != nil {
			walk(op.RequestBody)
		}
	})
	want := slices.Sorted(slices.Values(mayHear))
	if diff := cmp.Diff(want, wire.fields); diff != "" {
		t.Errorf("what a guard can tell a hub (-want +got):\n%s", diff)
	}
	if len(wire.opaque) > 0 {
		t.Errorf("requests that are no JSON: %v", wire.opaque)
	}
}

// A wire is what travels between devices and hub: the names of fields, and the
// operations with something else than JSON.
type wire struct{ fields, opaque []string }

// enumerate walks what each operation of devices has it walk.
func enumerate(t *testing.T, of func(op operation, walk func(json.RawMessage))) (w wire) {
	var doc struct {
		Components struct {
			Schemas, Responses map[string]json.RawMessage
		}
	}
	if err := json.Unmarshal(api.Document, &doc); err != nil {
		t.Fatal(err)
	}
	other := false
	var walk func(raw json.RawMessage)
	walk = func(raw json.RawMessage) {
		var s struct {
			Ref        string `json:"$ref"`
			Properties map[string]json.RawMessage
			Items      json.RawMessage
			AnyOf      []json.RawMessage
			Content    map[string]struct{ Schema json.RawMessage }
			Additional json.RawMessage `json:"additionalProperties"`
		}
		if err := json.Unmarshal(raw, &s); err != nil {
			t.Fatal(err)
		}
		if s.Additional != nil {
			t.Error("what devices say or hear has fields of any name")
		}
		if name, ok := strings.CutPrefix(s.Ref, "#/components/schemas/"); ok {
			walk(doc.Components.Schemas[name])
		} else if name, ok := strings.CutPrefix(s.Ref, "#/components/responses/"); ok {
			walk(doc.Components.Responses[name])
		}
		for name, p := range s.Properties {
			w.fields = append(w.fields, name)
			walk(p)
		}
		if s.Items != nil {
			walk(s.Items)
		}
		for _, p := range s.AnyOf {
			walk(p)
		}
		for kind, c := range s.Content {
			other = other || kind != "application/json"
			walk(c.Schema)
		}
	}
	for name, op := range operations(t) {
		if !slices.Contains(op.Tags, "devices") {
			continue
		}
		other = false
		if of(op, walk); other {
			w.opaque = append(w.opaque, name)
		}
	}
	slices.Sort(w.fields)
	slices.Sort(w.opaque)
	w.fields = slices.Compact(w.fields)
	return w
}

func TestDocumentIsServed(t *testing.T) {
	w := newWorld(t)
	resp, body := w.raw("GET", "/openapi.json", nil, nil)
	want, err := os.ReadFile("openapi.json")
	if err != nil || resp.StatusCode != http.StatusOK || !bytes.Equal(want, []byte(body)) {
		t.Errorf("got %s, %d bytes, %v", resp.Status, len(body), err)
	}
}
