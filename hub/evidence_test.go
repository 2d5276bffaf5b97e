package hub_test

import (
	"bytes"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/hub"
	"github.com/tocsin-io/tocsin/store"
)

// ears note what a hub's consumers hear.
type ears struct {
	mu       sync.Mutex // guards the fields below
	db       hub.Store
	clues    []store.Clue
	contacts []tocsin.Contact
}

func (e *ears) tune(w *world) {
	w.wrap = func(s hub.Store) hub.Store {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.db = s
		return s
	}
	w.hear = func(d *hub.Deps) {
		d.OnClues = func(c []store.Clue) {
			e.mu.Lock()
			defer e.mu.Unlock()
			e.clues = append(e.clues, c...)
		}
		d.OnContacts = func(c []tocsin.Contact) {
			e.mu.Lock()
			defer e.mu.Unlock()
			e.contacts = append(e.contacts, c...)
		}
	}
}

// heard returns the numbers of the clues and the ports of the contacts, in order.
func (e *ears) heard() (clues []uint64, ports []uint16) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, c := range e.clues {
		clues = append(clues, c.ID.Counter)
	}
	for _, c := range e.contacts {
		ports = append(ports, c.To.Port())
	}
	return clues, ports
}

func (d *device) noticed(counter uint64) tocsin.Clue {
	return tocsin.Clue{
		ID: tocsin.ID{Device: d.id, Boot: 1, Counter: counter}, Device: d.id, At: d.now().UTC(), Fact: tocsin.AutorunAdded, Subject: "/etc/cron.d/x",
	}
}

func (d *device) contacted(port uint16) tocsin.Contact {
	return tocsin.Contact{
		Device: d.id, To: netip.AddrPortFrom(netip.MustParseAddr("198.51.100.9"), port), Protocol: 6,
		First: d.now().Add(-time.Minute).UTC(), Last: d.now().UTC(), Count: 1,
	}
}

func TestEvidenceArrivesThroughOutages(t *testing.T) {
	var e ears
	w := newWorld(t, e.tune)
	d := w.enrol("home")
	d.up.TellClues([]tocsin.Clue{d.noticed(1)})
	d.up.TellContacts([]tocsin.Contact{d.contacted(1)})
	w.eventually("the first come", func() bool { c, p := e.heard(); return len(c) == 1 && len(p) == 1 })
	w.halt()
	d.up.TellClues([]tocsin.Clue{d.noticed(2)})
	d.up.TellContacts([]tocsin.Contact{d.contacted(2), d.contacted(3)})
	d.stop() // off meanwhile, too
	w.start()
	d.connect()
	w.eventually("those of meanwhile come", func() bool {
		c, p := e.heard()
		return slices.Equal(c, []uint64{1, 2}) && slices.Equal(p, []uint16{1, 2, 3})
	})
	for c, err := range e.db.Clues(t.Context(), d.id, time.Time{}) {
		w.must(err)
		if c.Owner != "home" || c.Device != d.id || c.Received.IsZero() {
			t.Errorf("got %+v, want the owner of the enrolment", c)
		}
	}
	shown, err := w.admin.Device(t.Context(), d.id)
	if err != nil || shown.Clues != 2 {
		t.Errorf("got %d clues, %v", shown.Clues, err)
	}
	// The hub has it before the device knows that it does.
	w.eventually("the device knows it", func() bool { s := d.up.Status(); return s.UnsentClues+s.UnsentContacts == 0 })
	if s := d.up.Status(); s.LostClues+s.LostContacts > 0 {
		t.Errorf("got %+v", s)
	}
}

func TestARestoredHubIsOfferedTheEvidence(t *testing.T) {
	var e ears
	w := newWorld(t, e.tune)
	d := w.enrol("home")
	d.up.TellClues([]tocsin.Clue{d.noticed(1)})
	w.eventually("the first clue", func() bool { c, _ := e.heard(); return len(c) == 1 })
	var backup bytes.Buffer
	w.must(w.admin.Backup(t.Context(), &backup))
	d.up.TellClues([]tocsin.Clue{d.noticed(2)})
	d.up.TellContacts([]tocsin.Contact{d.contacted(1)})
	w.eventually("what is not in the backup", func() bool { c, p := e.heard(); return len(c) == 2 && len(p) == 1 })
	w.restore(backup.Bytes())
	w.eventually("it is had again", func() bool { c, p := e.heard(); return len(c) == 3 && c[2] == 2 && len(p) == 2 })
	if _, err := w.admin.RevokeDevice(t.Context(), d.id); err != nil {
		t.Fatal(err)
	}
}

// TestOneBadClueHoldsUpNothing tells one that the hub refuses.
func TestOneBadClueHoldsUpNothing(t *testing.T) {
	var e ears
	w := newWorld(t, e.tune)
	d := w.enrol("home")
	bad := d.noticed(2)
	bad.Subject = "a\nb"
	d.up.TellClues([]tocsin.Clue{d.noticed(1), bad, d.noticed(3)})
	worse := d.contacted(1)
	worse.Count = 0
	d.up.TellContacts([]tocsin.Contact{worse, d.contacted(2)})
	w.eventually("the others come", func() bool {
		c, p := e.heard()
		return slices.Equal(c, []uint64{1, 3}) && slices.Equal(p, []uint16{2})
	})
}

func TestCoverageByTheHubsClock(t *testing.T) {
	var e ears
	w := newWorld(t, e.tune)
	d := w.enrol("home")
	client := d.client()
	defer client.Close()
	ahead := 10 * time.Hour
	now := time.Now().Add(ahead)
	err := client.Report(t.Context(), api.State{Sent: now, Coverage: []tocsin.Coverage{
		{Stream: tocsin.LogStream, From: now.Add(-2 * time.Hour), Until: now, Gaps: []tocsin.Gap{
			{Span: tocsin.Span{From: now.Add(-time.Hour), To: now.Add(-50 * time.Minute)}, Reason: "cut"},
		}},
		{Stream: "song", From: now, Until: now},
	}})
	w.must(err)
	from := time.Now().Add(-110 * time.Minute)
	got, err := e.db.Gaps(t.Context(), d.id, tocsin.LogStream, tocsin.Span{From: from, To: from.Add(100 * time.Minute)})
	if err != nil || len(got) != 1 || got[0].Reason != "cut" || got[0].To.Sub(got[0].From).Round(time.Second) != 10*time.Minute {
		t.Errorf("got %v, %v; want the ten minutes that were cut", got, err)
	}
	for c, err := range e.db.Covered(t.Context()) {
		w.must(err)
		if c.Stream == "song" || c.Read[len(c.Read)-1].To.After(time.Now()) {
			t.Errorf("got %+v", c)
		}
	}
}

// TestContactsByTheHubsClock: a device whose clock is behind did not see a controller
// long ago.
func TestContactsByTheHubsClock(t *testing.T) {
	var e ears
	w := newWorld(t, e.tune)
	d := w.enrol("home")
	client := d.client()
	defer client.Close()
	behind := 10 * time.Hour
	c := d.contacted(8443)
	c.First, c.Last = c.First.Add(-behind), c.Last.Add(-behind)
	c.Starts = []tocsin.Start{{At: c.First}}
	for range 2 {
		_, err := client.SendContacts(t.Context(), time.Now().Add(-behind), []tocsin.Contact{c})
		w.must(err)
	}
	n := 0
	for got, err := range e.db.Contacts(t.Context(), "", time.Time{}) {
		w.must(err)
		n++
		for _, at := range []time.Time{got.First, got.Last, got.Starts[0].At} {
			if time.Since(at) > time.Hour {
				t.Errorf("got %v, %v, %v", got.First, got.Last, got.Starts)
			}
		}
	}
	if n != 1 {
		t.Errorf("%d contacts, want one", n)
	}
}

func TestEvidenceOfARevokedDevice(t *testing.T) {
	var e ears
	w := newWorld(t, e.tune)
	d := w.enrol("home")
	client := d.client()
	defer client.Close()
	if _, err := w.admin.RevokeDevice(t.Context(), d.id); err != nil {
		t.Fatal(err)
	}
	_, clues := client.SendClues(t.Context(), d.now(), tocsin.ID{}, []tocsin.Clue{d.noticed(1)})
	_, contacts := client.SendContacts(t.Context(), d.now(), []tocsin.Contact{d.contacted(1)})
	if clues == nil || contacts == nil {
		t.Errorf("got %v, %v; want refusals", clues, contacts)
	}
	if c, p := e.heard(); len(c)+len(p) > 0 {
		t.Errorf("got clues %v, contacts %v", c, p)
	}
}
