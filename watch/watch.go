// Package watch is everything one device concludes from what its logs tell: it
// joins detection, the list of blocks and sightings into one machine without a
// clock, a socket or a lock. The guard feeds it with live lines; scan and replay
// feed it with old ones in virtual time, which is why a back-test is the
// production code.
//
// It enforces nothing: the caller carries its changes to a firewall.
package watch

import (
	"net/netip"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/blocklist"
	"github.com/tocsin-io/tocsin/detect"
	"github.com/tocsin-io/tocsin/internal/accounts"
	"github.com/tocsin-io/tocsin/sighting"
)

// A Watch is one device's mind. It is not safe for concurrent use.
type Watch struct {
	detector *detect.Detector
	list     *blocklist.List
	book     *sighting.Book // nil keeps none
	shared   shared
	welcome  welcome
	blocked  func(tocsin.Attempt) bool // asks the list
}

// New joins the three; book may be nil. Proxies are the sources that stand for
// others: reverse proxies and relays that the configuration lists.
func New(d *detect.Detector, l *blocklist.List, book *sighting.Book, proxies []netip.Prefix) *Watch {
	return &Watch{
		detector: d, list: l, book: book, shared: newShared(proxies), welcome: newWelcome(accounts.Guests()),
		blocked: func(a tocsin.Attempt) bool { return l.Blocked(a.Source.Addr(), a.At) },
	}
}

// An Event is what one attempt led to.
type Event struct {
	Attempt  tocsin.Attempt
	Facts    tocsin.FactSet
	Decided  bool // Decision and Verdict hold what was decided
	Decision tocsin.Decision
	Verdict  blocklist.Verdict
	Change   tocsin.Change // for the firewall
}

// Observe takes an attempt. An old one, read back from before, is remembered and
// its facts told, but it never leads to a block.
func (w *Watch) Observe(a tocsin.Attempt, old bool) Event {
	e := Event{Attempt: a}
	var r detect.Result
	if old {
		r = w.detector.Recall(a)
	} else {
		r = w.detector.Observe(a, w.blocked)
	}
	e.Facts = r.Facts
	if w.shared.missing(a) {
		e.Facts = e.Facts.With(tocsin.AddressMissing)
	}
	if r.Decided {
		e.Decided, e.Decision = true, r.Decision
		e.Change, e.Verdict = w.list.Decide(r.Decision, a.At)
		w.reconsider(e)
		if e.Verdict == blocklist.Enforced {
			e.Facts = e.Facts.With(tocsin.BlockedHere)
		}
	}
	w.welcome.note(a, e.Facts, e.Decided)
	if w.book != nil {
		w.book.Observe(a, e.Facts)
	}
	return e
}

// later is when a decision that could not be enforced is looked at again.
const later = 10 * time.Minute

// reconsider tells the detector of its blocks that are not in force: one that a
// pass or a full list kept out, and one that made room for this. Otherwise it
// would hold its peace until they would have ended.
func (w *Watch) reconsider(e Event) {
	if e.Verdict == blocklist.Passed || e.Verdict == blocklist.Full {
		w.detector.Lapse(e.Decision.Prefix, e.Attempt.At.Add(later))
	}
	for _, r := range e.Change.Remove {
		w.detector.Lapse(r.Prefix, e.Attempt.At)
	}
}

// Warm tells which attempts are about to be observed: see
// [detect.Detector.Warm].
func (w *Watch) Warm(batch []tocsin.Attempt) { w.detector.Warm(batch) }

// Dropped counts n packets that the firewall dropped from a.
func (w *Watch) Dropped(a netip.Addr, n uint32, at time.Time) {
	if p, ok := w.list.Hit(a, n, at); ok && w.book != nil {
		w.book.Dropped(p, n, at)
	}
}

// Unblock lifts every block inside d.Prefix, lets it pass until d.Until and
// forgives what it did.
func (w *Watch) Unblock(d tocsin.Decision) (tocsin.Change, blocklist.Verdict) {
	w.detector.Forgive(d.Prefix, d.At)
	return w.list.Lift(d, d.At)
}

// Shift moves everything remembered: the clock was set by that much.
func (w *Watch) Shift(by time.Duration) {
	w.detector.Shift(by)
	w.list.Shift(by)
	for i := range w.welcome.list {
		w.welcome.list[i].at = w.welcome.list[i].at.Add(by)
	}
}
