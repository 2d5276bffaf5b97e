package api

import (
	"encoding/binary"
	"encoding/json"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-io/tocsin/ledger"
)

// TestStrangersHideNoRefusal: however many guess from wherever, what is refused to
// somebody who is known is written down.
func TestStrangersHideNoRefusal(t *testing.T) {
	d, now := newDeeds(), time.Now()
	written := 0
	for i := range uint32(2 * refusedMost) {
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], 198<<24|18<<16|i)
		if d.room(&call{at: now, from: netip.AddrFrom4(b), by: "?", how: ledger.Console}) {
			written++
		}
	}
	if written != refusedMost {
		t.Errorf("%d guesses are written down, want %d", written, refusedMost)
	}
	if !d.room(&call{at: now, by: "bob", how: ledger.Token, role: viewer}) {
		t.Error("what bob was refused is not")
	}
}

// TestDeedsInFrench holds the console to the summaries that the log of what operators
// did is made of.
func TestDeedsInFrench(t *testing.T) {
	page, err := os.ReadFile("../web/src/pages/log/deeds.ts")
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile("openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	var document struct {
		Paths map[string]map[string]struct{ Summary string }
	}
	if err := json.Unmarshal(b, &document); err != nil {
		t.Fatal(err)
	}
	// Devices and strangers are not in the log, nor is what is only looked at.
	others := []string{"/v1/enroll", "/v1/renew", "/v1/sightings", "/v1/clues", "/v1/contacts", "/v1/losses", "/v1/state", "/v1/owner-key", "/v1/invitation/look", "/pass"}
	for path, operations := range document.Paths {
		for method, o := range operations {
			if summary, _, _ := strings.Cut(o.Summary, ";"); method != "get" && !slices.Contains(others, path) &&
				!strings.Contains(string(page), "'"+summary+"': '") && !strings.Contains(string(page), `"`+summary+`": '`) {
				t.Errorf("%s %s: deeds.ts has no French for %q", method, path, summary)
			}
		}
	}
}
