package console_test

import (
	"net/http"
	"net/netip"
	"net/url"
	"testing"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/console"
	"github.com/tocsin-io/tocsin/store/sqlite"
)

// TestANumberLeadsToWhatItCounts: what a number counts is what the table that it leads
// to is narrowed to.
func TestANumberLeadsToWhatItCounts(t *testing.T) {
	w := newWorld(t)
	one, two := w.enrol("ada", "nas"), w.enrol("bob", "box")
	w.enrol("bob", "idle")
	w.eventually("all are connected", func() bool { return rows[console.Device](w, "devices?connected=1&revoked=0").Total == 3 })
	one.saw("198.51.100.7/32", 3)
	two.saw("198.51.100.7/32", 2)
	two.saw("198.51.100.8/32", 5)
	w.eventually("all is told", func() bool { return rows[console.Source](w, "sources").Total == 2 })
	if p := rows[console.Device](w, "devices?source=198.51.100.7/32&sort=name&desc=1"); p.Total != 2 || p.Rows[0].Name != "nas" {
		t.Errorf("devices that one source tried: %+v", p)
	}
	p := rows[console.Source](w, "sources?device="+string(two.id))
	if p.Total != 2 || p.Rows[0].Attempts != 5 || p.Rows[1].Attempts != 2 {
		t.Errorf("sources at one device: %+v", p)
	}
	if p := rows[console.Source](w, "sources?device=nobody"); p.Total != 0 {
		t.Errorf("sources at no device: %+v", p)
	}
	at := func(d time.Duration) string { return url.QueryEscape(time.Now().Add(d).UTC().Format(time.RFC3339)) }
	for query, want := range map[string]int{"from=" + at(-time.Hour): 2, "from=" + at(time.Hour): 0, "until=" + at(-time.Hour): 0, "from=" + at(-time.Hour) + "&until=" + at(time.Hour): 2} {
		if p := rows[console.Source](w, "sources?"+query); p.Total != want {
			t.Errorf("%s: %d sources, want %d", query, p.Total, want)
		}
	}
	for _, query := range []string{"sources?from=noon", "devices?source=x", "devices?controller=x", "devices?controller=203.0.113.7:443/icmp", "compromise?controller=203.0.113.7"} {
		if status, b := w.ask(http.MethodGet, "/v1/tables/"+query, "", nil); status != http.StatusBadRequest {
			t.Errorf("%s: %d %s", query, status, b)
		}
	}
}

// TestWhoContactedAController: devices are counted by address, port and protocol.
func TestWhoContactedAController(t *testing.T) {
	w := newWorld(t)
	one, two := w.enrol("ada", "nas"), w.enrol("bob", "box")
	w.eventually("both are judged", func() bool { return rows[api.Assessed](w, "compromise").Total == 2 })
	w.halt()
	db, err := sqlite.Open(w.Context(), w.folder, time.Now)
	w.must(err)
	now := time.Now().UTC()
	contact := func(id tocsin.DeviceID, to string, protocol uint8) tocsin.Contact {
		return tocsin.Contact{Device: id, To: netip.MustParseAddrPort(to), Protocol: protocol, First: now.Add(-time.Minute), Last: now, Count: 1}
	}
	for _, list := range [][]tocsin.Contact{
		{contact(one.id, "203.0.113.7:443", 6)},
		{contact(two.id, "203.0.113.7:443", 6), contact(two.id, "203.0.113.7:443", 17)},
		{contact("gone", "203.0.113.7:443", 6)},
	} {
		w.must(db.AddContacts(w.Context(), list))
	}
	w.must(db.Close())
	w.start()
	w.eventually("both are judged again", func() bool { return rows[api.Assessed](w, "compromise").Total == 2 })
	for query, want := range map[string]int{
		"devices?controller=203.0.113.7:443": 2, "devices?controller=203.0.113.7:443/udp": 1, "devices?controller=203.0.113.7:80": 0,
		"compromise?controller=203.0.113.7:443": 2, "compromise?controller=203.0.113.7:443&likely=1": 0, "compromise?attacked=0": 2,
	} {
		if got := rows[struct{}](w, query).Total; got != want {
			t.Errorf("%s: %d, want %d", query, got, want)
		}
	}
}
