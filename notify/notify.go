// Package notify tells people what they should hear of, by mail and by webhook:
// few messages, each with a link and with what to do.
//
// Events of one kind within a short time make one message. After so many
// messages of a kind within an hour the rest waits and comes as one digest. A
// receiver that is down gets everything later, in order, each message under the
// same name at every try; what there is no room for is counted, and told.
// Deciding that is pure (a box), apart from sending.
//
// It judges nothing: what is worth telling is the caller's business, and nothing
// waits for a message.
package notify

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/tocsin-io/tocsin/internal/logkey"
)

// maxRecipients bounds the boxes.
const maxRecipients = 50

// Config says who is told, and how often.
type Config struct {
	Recipients []Recipient
	Window     time.Duration // events within it make one message; 0 is a minute
	PerHour    int           // messages of one kind to one recipient; 0 is 6
	Folder     string        // keeps what waits over a restart; "" keeps it in memory
}

// A Recipient is a mail address or a webhook.
type Recipient struct {
	Name  string // unique: its box is kept under it
	Mail  string // an address, or else
	Hook  *Hook  // a webhook
	Kinds []Kind // what it hears of; empty is everything
}

// A MailFunc sends one mail; it may be called by several goroutines at once. It
// is tried again after any error.
type MailFunc func(ctx context.Context, to, subject, text string) error

// Status is how a recipient stands.
type Status struct {
	Name     string    `json:"name"`
	Events   int       `json:"events"`   // waiting to be put together
	Messages int       `json:"messages"` // waiting to be delivered
	GivenUp  uint64    `json:"given_up"` // messages that could not be delivered
	Sent     time.Time `json:"sent,omitzero"`
	Failing  string    `json:"failing,omitempty"` // why the last try failed; "" is that it did not
}

// A Notifier tells recipients. It is safe for concurrent use.
type Notifier struct {
	pace  pace
	log   *slog.Logger
	store store
	dirty chan struct{} // something is to be stored

	mu   sync.Mutex // guards the mutable fields of every line
	line []*line
}

// A line is one recipient with its box.
type line struct {
	Recipient
	send func(ctx context.Context, b Batch) error
	wake chan struct{}

	box     box
	sent    time.Time
	failing string
}

// New returns a notifier with what waited when it was stopped. mail may be nil
// where no recipient has an address. The error names every mistake of cfg.
func New(cfg Config, mail MailFunc, log *slog.Logger) (*Notifier, error) {
	n := &Notifier{
		pace: pace{window: cfg.Window, perHour: cfg.PerHour}, log: log,
		store: store{folder: cfg.Folder}, dirty: make(chan struct{}, 1),
	}
	if n.pace.window <= 0 {
		n.pace.window = time.Minute
	}
	if n.pace.perHour <= 0 {
		n.pace.perHour = 6
	}
	var errs []error
	if len(cfg.Recipients) > maxRecipients {
		errs = append(errs, fmt.Errorf("notify: %d recipients: at most %d", len(cfg.Recipients), maxRecipients))
	}
	for _, r := range cfg.Recipients {
		l := &line{Recipient: r, wake: make(chan struct{}, 1)}
		var err error
		switch {
		case r.Name == "" || slices.ContainsFunc(n.line, func(o *line) bool { return o.Name == r.Name }):
			err = fmt.Errorf("notify: recipient %q: needs a name of its own", r.Name)
		case (r.Mail == "") == (r.Hook == nil):
			err = fmt.Errorf("notify: recipient %q: needs a mail address or a webhook, and not both", r.Name)
		case r.Mail != "" && mail == nil:
			err = fmt.Errorf("notify: recipient %q: mail is not set up: see [mail]", r.Name)
		case r.Mail != "":
			l.send = func(ctx context.Context, b Batch) error { return mail(ctx, r.Mail, b.Subject(), b.Text()) }
		default:
			l.send, err = r.Hook.sender()
		}
		if err != nil {
			errs = append(errs, err)
		}
		n.line = append(n.line, l)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return n, n.load()
}

// Notify takes an event for everybody who wants to hear of its kind. It never
// waits for anybody.
func (n *Notifier) Notify(e Event) {
	if e.Kind == 0 || e.Kind >= TestMessage {
		n.log.Error("an event of no kind is not told", logkey.Reason, e.Title)
		return
	}
	e = e.tidy()
	now := time.Now()
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, l := range n.line {
		if len(l.Kinds) == 0 || slices.Contains(l.Kinds, e.Kind) {
			l.box.add(e, now)
			poke(l.wake)
		}
	}
	poke(n.dirty)
}

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Run sends until ctx ends. What waits then is stored.
func (n *Notifier) Run(ctx context.Context) error {
	var parts sync.WaitGroup
	for _, l := range n.line {
		parts.Go(func() { n.serve(ctx, l) })
	}
	parts.Go(func() { n.keep(ctx) })
	parts.Wait()
	if err := n.save(); err != nil {
		return fmt.Errorf("notify: what waits is lost: %w", err)
	}
	return nil
}

// serve sends to one recipient, one message after the other.
func (n *Notifier) serve(ctx context.Context, l *line) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for ctx.Err() == nil {
		batch, at := n.next(l)
		if batch != nil {
			err := l.send(ctx, *batch)
			if ctx.Err() != nil && err != nil {
				return // that it was cut off is nobody's failure
			}
			n.done(l, *batch, err)
			continue
		}
		wait := time.Hour
		if !at.IsZero() {
			wait = min(max(time.Until(at), 0), time.Hour)
		}
		timer.Reset(wait)
		select {
		case <-ctx.Done():
		case <-l.wake:
		case <-timer.C:
		}
	}
}

func (n *Notifier) next(l *line) (*Batch, time.Time) {
	now := time.Now()
	n.mu.Lock()
	defer n.mu.Unlock()
	l.box.collect(now, n.pace, newID)
	return l.box.next(now, n.pace)
}

func (n *Notifier) done(l *line, b Batch, err error) {
	now := time.Now()
	n.mu.Lock()
	defer n.mu.Unlock()
	l.box.done(b, err, now)
	poke(n.dirty)
	switch {
	case err == nil:
		l.sent, l.failing = now, ""
	case l.failing != err.Error():
		l.failing = err.Error()
		n.log.Warn("a recipient cannot be told, and is tried again", logkey.User, l.Name, logkey.Err, err)
	}
}

// Test sends one message to every recipient at once, past all that waits, and
// says which could not be reached.
func (n *Notifier) Test(ctx context.Context) error {
	now := time.Now()
	batch := Batch{ID: newID(), Kind: TestMessage, Made: now, Events: []Event{{
		Kind: TestMessage, At: now, Title: "test: messages arrive", Todo: "Nothing: somebody tried whether messages arrive.",
	}}}
	errs := make([]error, len(n.line))
	var parts sync.WaitGroup
	for i, l := range n.line {
		parts.Go(func() {
			if err := l.send(ctx, batch); err != nil {
				errs[i] = fmt.Errorf("notify: %s: %w", l.Name, err)
			}
		})
	}
	parts.Wait()
	return errors.Join(errs...)
}

// Status returns how each recipient stands, in the order of the configuration.
func (n *Notifier) Status() []Status {
	n.mu.Lock()
	defer n.mu.Unlock()
	var list []Status
	for _, l := range n.line {
		s := Status{Name: l.Name, GivenUp: l.box.Gone, Sent: l.sent, Failing: l.failing}
		s.Events, s.Messages = l.box.waiting()
		list = append(list, s)
	}
	return list
}

func newID() string {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}
