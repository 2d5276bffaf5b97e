package uplink

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/internal/durable"
	"github.com/tocsin-io/tocsin/internal/logkey"
	"github.com/tocsin-io/tocsin/spool"
)

// A lane hands in one kind of what a device tells besides sightings, in order, at
// its own pace: none waits for another.
type lane[T any] struct {
	up     *Uplink
	called string
	batch  int // how many go at once
	id     func(T) tocsin.ID
	wake   chan struct{}
	// handIn sends a batch that follows what the hub said it has, and returns what
	// it has then.
	handIn func(ctx context.Context, client *api.Client, said tocsin.ID, batch []T) (has tocsin.ID, err error)
	// kept notes on the disk what the hub has, where the hub cannot say so itself.
	kept func(has tocsin.ID) error

	mu    sync.Mutex // guards the fields below
	spool *spool.Spool[T]
	have  tocsin.ID // the newest that the hub has, or refused
	said  tocsin.ID // the newest that it said it has
	asked bool      // it did
	deaf  bool      // it takes none, and a person was told
}

const (
	cluesPerBatch = 500
	// A contact may take some 5 KiB.
	contactsPerBatch = 150
)

// openLanes opens what waits besides sightings.
func (u *Uplink) openLanes(now time.Time) error {
	clues, warning, err := spool.OpenClues(filepath.Join(u.cfg.Folder, "clues"), spool.Limits{}, now)
	if err != nil {
		return err
	}
	u.warn(warning)
	u.clues = &lane[tocsin.Clue]{
		up: u, called: "clue", batch: cluesPerBatch, spool: clues, wake: make(chan struct{}, 1),
		id: func(c tocsin.Clue) tocsin.ID { return c.ID },
		handIn: func(ctx context.Context, client *api.Client, said tocsin.ID, batch []tocsin.Clue) (tocsin.ID, error) {
			t, err := client.SendClues(ctx, u.wall(), said, batch)
			return tocsin.ID{Device: u.about.Device, Boot: t.HaveBoot, Counter: t.HaveCounter}, err
		},
	}
	contacts, warning, err := spool.OpenContacts(filepath.Join(u.cfg.Folder, "contacts"), spool.Limits{}, now)
	if err != nil {
		return err
	}
	u.warn(warning)
	path := filepath.Join(u.cfg.Folder, "contacts", "sent")
	u.contacts = &lane[spool.Contact]{
		up: u, called: "contact", batch: contactsPerBatch, spool: contacts, wake: make(chan struct{}, 1),
		id: func(c spool.Contact) tocsin.ID { return c.ID },
		handIn: func(ctx context.Context, client *api.Client, said tocsin.ID, batch []spool.Contact) (tocsin.ID, error) {
			list := make([]tocsin.Contact, len(batch))
			for i, c := range batch {
				list[i] = c.Contact
			}
			_, err := client.SendContacts(ctx, u.wall(), list)
			return batch[len(batch)-1].ID, err
		},
		kept: func(has tocsin.ID) error { return writeID(path, has) },
		have: readID(path), asked: true,
	}
	return nil
}

func (u *Uplink) warn(text string) {
	if text != "" {
		u.log.Warn(text)
	}
}

// readID reads what the hub has. If that is not known all that waits is sent
// again, which does no harm.
func readID(path string) (id tocsin.ID) {
	b, err := os.ReadFile(path)
	if err != nil || json.Unmarshal(b, &id) != nil {
		return tocsin.ID{}
	}
	return id
}

func writeID(path string, id tocsin.ID) error {
	return durable.WriteFile(path, 0o600, func(w io.Writer) error { return json.NewEncoder(w).Encode(id) })
}

// TellClues takes clues in the order of their IDs, and returns once they are on
// the disk.
func (u *Uplink) TellClues(batch []tocsin.Clue) { u.clues.tell(batch) }

// TellContacts takes contacts, and returns at once.
func (u *Uplink) TellContacts(batch []tocsin.Contact) {
	l := u.contacts
	l.mu.Lock()
	next := l.spool.Last()
	if next.Boot == 0 || above(l.have, next) { // nothing is there any more that was numbered
		next = tocsin.ID{Boot: max(l.have.Boot, next.Boot, 1), Counter: l.have.Counter}
	}
	list := make([]spool.Contact, len(batch))
	for i, c := range batch {
		next.Counter++
		list[i] = spool.Contact{ID: next, Contact: c}
	}
	l.spool.Add(list, u.clock.Now())
	l.mu.Unlock()
	l.nudge()
}

func (l *lane[T]) tell(batch []T) {
	l.mu.Lock()
	l.spool.Add(batch, l.up.clock.Now())
	l.mu.Unlock()
	l.nudge()
}

func (l *lane[T]) nudge() {
	select {
	case l.wake <- struct{}{}:
	default: // it is awake already
	}
}

// again has all offered again that is still kept: the hub was restored.
func (l *lane[T]) again() {
	l.mu.Lock()
	if l.kept != nil {
		l.have = tocsin.ID{}
	} else {
		l.asked = false
	}
	l.mu.Unlock()
	l.nudge()
}

// waiting returns how many wait, at most a thousand, and how many were lost.
func (l *lane[T]) waiting() (n int, lost uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	list, err := l.spool.After(l.have, 1000)
	if err != nil {
		return 0, l.spool.Lost()
	}
	return len(list), l.spool.Lost()
}

// broken returns why the newest are in memory only, or nil.
func (l *lane[T]) broken() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.spool.Broken()
}

func (l *lane[T]) run(ctx context.Context) error { return l.up.deliver(ctx, l.wake, l.one) }

// one hands in one batch, or asks what the hub has, and reports whether there is
// more to do.
func (l *lane[T]) one(ctx context.Context, client *api.Client) (more bool, err error) {
	l.mu.Lock()
	said, asked, after := l.said, l.asked, l.have
	var batch []T
	if asked {
		batch, err = l.spool.After(after, l.batch)
	} else if l.spool.Last() == (tocsin.ID{}) {
		asked = true // nothing was ever told, so nothing need be asked
	}
	l.mu.Unlock()
	if err != nil || asked && len(batch) == 0 {
		return false, err
	}
	has, err := l.handIn(ctx, client, said, batch)
	var refused *api.Error
	if errors.As(err, &refused) {
		switch i := refused.Index; {
		case refused.Status == http.StatusNotFound:
			// An older hub takes none: it is asked again once there is more to tell.
			l.deafOnce()
			return false, nil
		case i != nil && *i < len(batch):
			return l.without(ctx, client, said, batch, *i, err)
		}
	}
	if err != nil {
		return false, err
	}
	l.up.well()
	return true, l.took(after, has, batch)
}

// deafOnce tells a person once that the hub takes none.
func (l *lane[T]) deafOnce() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.deaf {
		l.up.log.Warn("the hub is too old for what this device tells: it waits here", "what", l.called+"s")
	}
	l.deaf = true
}

// without hands in what is before one that is refused, and goes on after it: one
// that the hub cannot take must not hold up the others for ever.
func (l *lane[T]) without(ctx context.Context, client *api.Client, said tocsin.ID, batch []T, i int, why error) (more bool, err error) {
	l.up.log.Error("the hub refuses a "+l.called+": it is left out", "number", fmt.Sprint(l.id(batch[i])), logkey.Err, why)
	l.mu.Lock()
	after := l.have
	l.mu.Unlock()
	if i > 0 {
		has, err := l.handIn(ctx, client, said, batch[:i])
		if err != nil {
			return false, err
		}
		if err := l.took(after, has, batch[:i]); err != nil {
			return false, err
		}
		after = l.id(batch[i-1])
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.have == after { // not if the hub was restored meanwhile
		l.have = l.id(batch[i])
	}
	return true, nil
}

// took notes what the hub has after a batch that followed what it had before. One
// that has less than it said was restored: it took nothing, and is offered all of
// it again.
func (l *lane[T]) took(after, has tocsin.ID, batch []T) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.kept == nil {
		restored := above(l.said, has)
		l.said, l.asked = has, true
		if restored {
			l.have = has
			l.up.log.Warn("the hub has less than it once acknowledged: offering it again", "what", l.called+"s", "has", has.Counter)
			return nil
		}
	} else if l.have != after {
		return nil // to be offered again meanwhile
	}
	l.have = has
	if n := len(batch); n > 0 && above(l.id(batch[n-1]), has) {
		// It has these, whatever it says: going on is better than repeating.
		l.have = l.id(batch[n-1])
	}
	if l.kept == nil {
		return nil
	}
	if err := l.kept(l.have); err != nil {
		l.up.log.Warn("what the hub has is not noted: a restart sends it again", logkey.Err, err)
	}
	return nil
}
