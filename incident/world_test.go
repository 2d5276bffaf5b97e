package incident

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/dossier"
	"github.com/tocsin-io/tocsin/mail"
	"github.com/tocsin-io/tocsin/notify"
	"github.com/tocsin-io/tocsin/rdap"
	"github.com/tocsin-io/tocsin/store"
	"github.com/tocsin-io/tocsin/store/sqlite"
)

var day = time.Date(2023, 10, 14, 18, 42, 0, 0, time.UTC)

// A world is a part with a real database and a real mail server on loopback.
type world struct {
	*testing.T
	*Part
	store   *sqlite.Store
	mu      sync.Mutex // guards the fields below
	now     time.Time
	camps   []tocsin.Campaign
	blocked bool
	heard   []notify.Event
	letters [][]byte
	refuse  error
	counter map[tocsin.DeviceID]uint64
}

func newWorld(t *testing.T) *world {
	w := &world{T: t, now: day, counter: map[tocsin.DeviceID]uint64{}}
	var err error
	if w.store, err = sqlite.Open(t.Context(), t.TempDir(), w.clock); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.store.Close(); err != nil {
			t.Error(err)
		}
	})
	sender, err := mail.NewSender(mail.Config{Server: w.mailServer(), TLS: mail.Cleartext, From: "Example CSIRT <csirt@example.net>"})
	if err != nil {
		t.Fatal(err)
	}
	w.Part, err = New(Config{
		Party:   dossier.Party{Org: "Example CSIRT", Contact: "csirt@example.net", Domain: "example.net"},
		Maildir: "", Every: time.Hour,
	}, Deps{
		Store: w.store, Fleet: w, Finder: finder{}, Sender: sender, Log: slog.New(slog.DiscardHandler), Now: w.clock,
		Notify: func(e notify.Event) { w.mu.Lock(); defer w.mu.Unlock(); w.heard = append(w.heard, e) },
	})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) clock() time.Time { w.mu.Lock(); defer w.mu.Unlock(); return w.now }

func (w *world) pass(d time.Duration) { w.mu.Lock(); defer w.mu.Unlock(); w.now = w.now.Add(d) }

// must fails the test.
func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// Campaigns, Campaign, Unattributed and Blocked are what a hub says.
func (w *world) Campaigns(context.Context) ([]tocsin.Campaign, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.camps, nil
}

func (w *world) Campaign(ctx context.Context, id tocsin.CampaignID) (tocsin.Campaign, error) {
	all, err := w.Campaigns(ctx)
	for _, c := range all {
		if c.ID == id {
			return c, err
		}
	}
	return tocsin.Campaign{}, store.ErrNotFound
}

func (w *world) Unattributed(context.Context, tocsin.CampaignID) ([]tocsin.Member, error) {
	return nil, nil
}

func (w *world) Blocked(context.Context, tocsin.OwnerID, netip.Addr) (bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.blocked, nil
}

// Suspect changes the device, as a hub does.
func (w *world) Suspect(ctx context.Context, id tocsin.DeviceID, suspect bool) error {
	d, err := w.store.Device(ctx, id)
	if err != nil {
		return err
	}
	d.Suspect = suspect
	return w.store.Change(ctx, d)
}

// A finder knows one provider.
type finder struct{}

func (finder) Contact(_ context.Context, a netip.Addr) (rdap.Contact, error) {
	if !netip.MustParsePrefix("203.0.113.0/24").Contains(a) {
		return rdap.Contact{Subject: a.String()}, rdap.ErrNobody
	}
	return rdap.Contact{Subject: a.String(), Mails: []string{"abuse@provider.example"}, Found: rdap.ByRegistry, Name: "PROVIDER", At: day, Raw: []byte("{}")}, nil
}

// mailServer takes letters as told, and returns its address.
func (w *world) mailServer() string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	w.must(err)
	s := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &session{w}, nil }))
	s.Domain, s.AllowInsecureAuth = "localhost", true
	var wg sync.WaitGroup
	wg.Go(func() { _ = s.Serve(l) }) // ends with Close
	w.Cleanup(func() { _ = s.Close(); wg.Wait() })
	return l.Addr().String()
}

type session struct{ w *world }

func (s *session) Mail(string, *smtp.MailOptions) error { return nil }

func (s *session) Rcpt(string, *smtp.RcptOptions) error {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	return s.w.refuse
}

func (s *session) Data(r io.Reader) error {
	b, err := io.ReadAll(r)
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	s.w.letters = append(s.w.letters, b)
	return err
}

func (s *session) Reset()        {}
func (s *session) Logout() error { return nil }

// enrol puts a device into the database.
func (w *world) enrol(id tocsin.DeviceID, owner tocsin.OwnerID, model string) {
	w.Helper()
	hash := [32]byte{}
	copy(hash[:], id)
	w.must(w.store.AddToken(w.Context(), store.Token{Hash: hash, Owner: owner, Made: w.clock(), Until: w.clock().Add(time.Hour)}))
	d := tocsin.Device{ID: id, Name: "nas of " + string(id), Labels: map[string]string{"model": model, "firmware": "5"}}
	_, err := w.store.Redeem(w.Context(), hash, w.clock(), d)
	w.must(err)
	w.must(w.store.Reported(w.Context(), id, store.DeviceState{Device: id, At: w.clock()}))
}

func (w *world) id(d tocsin.DeviceID) tocsin.ID {
	w.counter[d]++
	return tocsin.ID{Device: d, Boot: 1, Counter: w.counter[d]}
}

// sees has a device tell of a source, at a time.
func (w *world) sees(d tocsin.DeviceID, owner tocsin.OwnerID, source string, at time.Time, failures, successes uint32, facts ...tocsin.Fact) {
	w.Helper()
	s := tocsin.Sighting{
		ID: w.id(d), Source: netip.MustParsePrefix(source), Port: 40000, Service: "ssh", First: at, Last: at.Add(time.Minute),
		Failures: failures, Successes: successes, Provenance: tocsin.Attested,
		Accounts: []tocsin.Tried{{Tag: "admin", Failures: failures, Successes: successes}},
	}
	for _, f := range facts {
		s.Facts = s.Facts.With(f)
	}
	_, err := w.store.Append(w.Context(), []tocsin.Received{{
		Sighting: s, From: netip.MustParseAddr("198.51.100.20"), Network: 64500, Channel: tocsin.Enrolled, Owner: owner, Enrolled: day.Add(-time.Hour),
	}})
	w.must(err)
}

// notices has a device tell of a change on it.
func (w *world) notices(d tocsin.DeviceID, owner tocsin.OwnerID, f tocsin.Fact, subject string, at time.Time) {
	w.Helper()
	_, err := w.store.AddClues(w.Context(), []store.Clue{{
		Clue: tocsin.Clue{ID: w.id(d), Device: d, At: at, Fact: f, Subject: subject, Digest: [32]byte{1}}, Owner: owner,
	}})
	w.must(err)
}

// flow is connections to an address, one every so often.
func flow(d tocsin.DeviceID, to string, from time.Time, n int, every time.Duration) tocsin.Contact {
	c := tocsin.Contact{Device: d, To: netip.MustParseAddrPort(to), Protocol: 6, First: from, Count: uint32(n), Sent: uint64(n) * 200}
	for i := range n {
		c.Starts = append(c.Starts, tocsin.Start{At: from.Add(time.Duration(i) * every), Sent: 200})
	}
	c.Last = from.Add(time.Duration(n) * every)
	return c
}

// contacts has a device tell of them.
func (w *world) contacts(list ...tocsin.Contact) {
	w.Helper()
	w.must(w.store.AddContacts(w.Context(), list))
}

// covers has a device tell that it read everything from a time until now.
func (w *world) covers(d tocsin.DeviceID, from time.Time) {
	w.Helper()
	for _, s := range tocsin.Streams {
		w.must(w.store.Cover(w.Context(), d, tocsin.Coverage{Stream: s, From: from, Until: w.clock()}))
	}
	w.must(w.store.Reported(w.Context(), d, store.DeviceState{Device: d, At: w.clock()}))
}

func device(i int) tocsin.DeviceID { return tocsin.DeviceID(fmt.Sprintf("d-%02d", i)) }

func owner(i int) tocsin.OwnerID { return tocsin.OwnerID(fmt.Sprintf("owner%d", i%5)) }
