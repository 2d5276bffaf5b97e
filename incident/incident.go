// Package incident is the part of a hub that answers the questions after an
// attack: which devices were entered, who commands them, and what becomes of the
// cases at the providers. It reads what the hub keeps, has the pure packages judge
// it (compromise, controller, takedown), keeps cases and letters, and tells people.
//
// It sends nothing that people did not approve word by word, and asks a registry
// only about the address of a case. It blocks nobody: the hub does, whatever
// becomes of a case.
package incident

import (
	"context"
	"errors"
	"iter"
	"log/slog"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/dossier"
	"github.com/tocsin-io/tocsin/internal/clock"
	"github.com/tocsin-io/tocsin/internal/logkey"
	"github.com/tocsin-io/tocsin/internal/run"
	"github.com/tocsin-io/tocsin/mail"
	"github.com/tocsin-io/tocsin/notify"
	"github.com/tocsin-io/tocsin/rdap"
	"github.com/tocsin-io/tocsin/store"
	"github.com/tocsin-io/tocsin/takedown"
)

// Config is what the part is told.
type Config struct {
	Party    dossier.Party      // who complains and sends: on every letter
	Vendor   []netip.Prefix     // vendor, time, name and content servers: never controllers
	Disclose []tocsin.OwnerID   // owners who agreed that a full dossier tells their addresses and models
	Keep     time.Duration      // how far back evidence is looked at
	Every    time.Duration      // how often all is judged anew
	Console  string             // base of the links in notifications; "" gives none
	Maildir  string             // folder where answers arrive; "" reads none
	Silent   time.Duration      // after which a device that was heard of is told as silent
	Spare    []netip.Prefix     // the allowlist: never told to others
	Flows    bool               // a device whose outgoing connections were not read counts as one that was not seen
	Language []dossier.Language // of letters, the first one by default
}

// Defaults of a [Config].
const (
	defaultKeep   = 14 * 24 * time.Hour
	defaultEvery  = time.Minute
	defaultSilent = time.Hour
)

// A Store is what the part reads and keeps; see package store.
type Store interface {
	store.Clues
	store.Contacts
	store.Coverage
	store.Records
	Since(ctx context.Context, after uint64) iter.Seq2[tocsin.Event, error]
	From(ctx context.Context, t time.Time) iter.Seq2[tocsin.Event, error]
	About(ctx context.Context, source string, before uint64, most int) ([]tocsin.Event, error)
	Devices(ctx context.Context) iter.Seq2[tocsin.Device, error]
	States(ctx context.Context) iter.Seq2[store.DeviceState, error]
	Accesses(ctx context.Context) ([]store.Access, error)
	Users(ctx context.Context) ([]store.User, error)
}

// A Fleet is what the hub concluded.
type Fleet interface {
	// Campaigns returns all that are remembered, the newest first.
	Campaigns(ctx context.Context) ([]tocsin.Campaign, error)
	// Campaign returns one, or [store.ErrNotFound].
	Campaign(ctx context.Context, id tocsin.CampaignID) (tocsin.Campaign, error)
	// Unattributed returns sources active beside a campaign that nothing joins to it.
	Unattributed(ctx context.Context, id tocsin.CampaignID) ([]tocsin.Member, error)
	// Blocked reports whether the devices of an owner drop what comes from a.
	Blocked(ctx context.Context, owner tocsin.OwnerID, a netip.Addr) (bool, error)
	// Suspect says whether a device may be compromised, so that its word binds
	// nobody.
	Suspect(ctx context.Context, id tocsin.DeviceID, suspect bool) error
}

// A Finder finds whom to write to: package rdap.
type Finder interface {
	Contact(ctx context.Context, a netip.Addr) (rdap.Contact, error)
}

// A Sender sends letters: package mail.
type Sender interface {
	Draft(m mail.Message) (mail.Message, []byte, error)
	Deliver(ctx context.Context, m mail.Message, letter []byte) (mail.Receipt, error)
}

// Deps are what the part works with. Finder and Sender may be nil: cases are kept
// all the same, and letters written to be sent by hand.
type Deps struct {
	Store  Store
	Fleet  Fleet
	Finder Finder
	Sender Sender
	Notify func(notify.Event)          // nil tells nobody
	Test   func(context.Context) error // sends a test to everybody who is notified; nil is nobody
	Log    *slog.Logger
	Clock  *clock.Clock     // what its timers ring by; nil is the wall clock
	Now    func() time.Time // nil is what Clock shows
}

// A Part judges and keeps cases. Make one with [New], then [Part.Run] it; its
// other methods may be called meanwhile, by any goroutine.
type Part struct {
	cfg   Config
	deps  Deps
	log   *slog.Logger
	nudge chan struct{}
	begun time.Time // nobody can be heard before

	judging sync.Mutex // guards memory: one judgement at a time
	memory  memory
	cases   sync.Mutex           // guards the fields below: one change of a case at a time, never held while somebody outside is waited for
	leaving map[takedown.ID]bool // cases whose mail is being handed over
	taken   map[string]bool      // by Message-ID: letters that left and could not be noted

	told told

	mu   sync.Mutex // guards the field below
	last judgement

	writing sync.Mutex // guards the field below
	written written
}

// New returns a part that has judged nothing yet.
func New(cfg Config, deps Deps) (*Part, error) {
	if deps.Store == nil || deps.Fleet == nil || deps.Log == nil {
		return nil, errors.New("incident: a store, a fleet and a log are needed")
	}
	if deps.Now == nil {
		deps.Now = deps.Clock.Now
	}
	if cfg.Keep <= 0 {
		cfg.Keep = defaultKeep
	}
	if cfg.Every <= 0 {
		cfg.Every = defaultEvery
	}
	if cfg.Silent <= 0 {
		cfg.Silent = defaultSilent
	}
	if len(cfg.Language) == 0 {
		cfg.Language = []dossier.Language{dossier.English}
	}
	if deps.Notify == nil {
		deps.Notify = func(notify.Event) {}
	}
	return &Part{
		cfg: cfg, deps: deps, log: deps.Log, begun: deps.Now(), nudge: make(chan struct{}, 1),
		leaving: map[takedown.ID]bool{}, taken: map[string]bool{},
	}, nil
}

// Look has all judged soon: something new came. It returns at once.
func (p *Part) Look() {
	select {
	case p.nudge <- struct{}{}:
	default: // it will be already
	}
}

// Run judges, and keeps the clocks of the cases, until ctx ends.
func (p *Part) Run(ctx context.Context) error {
	parts := []run.Part{{Name: "judge", Run: p.judgeAlways}}
	if p.cfg.Maildir != "" {
		parts = append(parts, run.Part{Name: "answers", Run: p.readAlways})
	}
	return run.All(ctx, p.log, parts...)
}

// Judging anew waits a little, as many clues come together, and never takes more
// than a tenth of a processor's time, however large the fleet.
const (
	rest  = 2 * time.Second
	share = 10
)

func (p *Part) judgeAlways(ctx context.Context) error {
	t := p.deps.Clock.NewTicker(p.cfg.Every)
	defer t.Stop()
	for {
		begun := p.deps.Now()
		if _, err := p.judge(ctx); err != nil && ctx.Err() == nil {
			p.log.Error("not judged: trying again", logkey.Err, err, logkey.Took, p.cfg.Every)
		}
		// What cannot be written down, or judged anew, stops no clock.
		if err := p.tick(ctx); err != nil && ctx.Err() == nil {
			p.log.Error("cases not looked at: trying again", logkey.Err, err, logkey.Took, p.cfg.Every)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-p.deps.Clock.After(max(rest, share*p.deps.Now().Sub(begun))):
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-p.nudge:
		case <-t.C:
		}
	}
}

// answersEvery is how often the folder of answers is looked at.
const answersEvery = time.Minute

func (p *Part) readAlways(ctx context.Context) error {
	t := p.deps.Clock.NewTicker(answersEvery)
	defer t.Stop()
	for {
		if err := p.readAnswers(ctx); err != nil && ctx.Err() == nil {
			p.log.Error("answers not read: trying again", logkey.Path, p.cfg.Maildir, logkey.Err, err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-t.C:
		}
	}
}

var _ api.Incident = (*Part)(nil)

// TestNotifications implements [api.Incident].
func (p *Part) TestNotifications(ctx context.Context) error {
	if p.deps.Test == nil {
		return api.Refuse(http.StatusConflict, "nobody is notified: add a [[notify]] to the hub's file")
	}
	return p.deps.Test(ctx)
}
