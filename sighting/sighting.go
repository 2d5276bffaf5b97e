// Package sighting sums up attempts for the hub: one [tocsin.Sighting] for each
// source and service in a window of a few seconds. It promises that nothing
// observed is left out of a sum, that account names leave the device only as
// keyed hashes (but for the names that everybody knows), and that its memory is
// bounded.
//
// It is pure: the caller says what time it is. It sends nothing: what [Book.Take]
// returns is the caller's to keep until the hub has it.
package sighting

import (
	"container/heap"
	"net/netip"
	"slices"
	"time"

	"github.com/tocsin-io/tocsin"
)

// MaxAccounts is how many accounts one sighting tells, the first ones tried.
const MaxAccounts = 16

// Caps bound a [Book]. Zero fields take the value of [DefaultCaps].
type Caps struct {
	Window time.Duration // how long attempts are summed up
	Open   int           // windows open at a time; one more closes the oldest
	Closed int           // sightings that wait for Take; one more loses the oldest
	Eager  bool          // a source not told lately is told at once, and summed up from then on
}

// DefaultCaps returns what a guard uses.
func DefaultCaps() Caps { return Caps{Window: 10 * time.Second, Open: 4096, Closed: 8192} }

// A Book holds the open windows of one device. Make one with [New]. It is not
// safe for concurrent use.
type Book struct {
	caps   Caps
	tags   tagger
	id     tocsin.ID // of the last sighting
	open   map[place]*window
	order  byEnd
	closed []tocsin.Sighting
	lost   uint64
	recent map[place]time.Time // when a window of it was last open; bounded
	told   map[place]span      // what was told before a restart: see [Book.Told]
}

// A place is what one sighting is about.
type place struct {
	source  netip.Prefix
	service tocsin.Service
}

type window struct {
	tocsin.Sighting
	end   time.Time
	first bool // of a source that was not told lately
	place int  // in the order
}

// New returns an empty Book. Key is the owner's, for account names; boot grows
// each time the guard starts, so that the numbers of its sightings never come
// twice.
func New(key []byte, device tocsin.DeviceID, boot uint64, caps Caps) *Book {
	def := DefaultCaps()
	if caps.Window <= 0 {
		caps.Window = def.Window
	}
	if caps.Open <= 0 {
		caps.Open = def.Open
	}
	if caps.Closed <= 0 {
		caps.Closed = def.Closed
	}
	return &Book{caps: caps, tags: newTagger(key), id: tocsin.ID{Device: device, Boot: boot}, open: map[place]*window{}, recent: map[place]time.Time{}}
}

// written is how long before it is read a line may have been written.
const written = 5 * time.Second

// A span is from the first attempt told to the last.
type span struct{ first, last time.Time }

// Told has attempts left out that these sightings tell already: a guard that was
// killed reads the lines again that it read since it last wrote down where it
// was. An attempt in the second of the last one told may be left out with them.
// Lines read again bear the time that was written, which is a little before they
// were first read.
func (b *Book) Told(list []tocsin.Sighting) {
	b.told = make(map[place]span, len(list))
	for _, s := range list {
		at := place{s.Source, s.Service}
		t, known := b.told[at]
		if first := s.First.Add(-written); !known || first.Before(t.first) {
			t.first = first
		}
		if s.Last.After(t.last) {
			t.last = s.Last
		}
		b.told[at] = t
	}
}

// Rekey has account names keyed by another key from now on. Windows that are
// open keep the tags they have: take them first.
func (b *Book) Rekey(key []byte) { b.tags = newTagger(key) }

// Observe adds an attempt and what was found out about it. An attempt that is
// tentative, or whose provenance is not known, counts as hearsay: it is told as
// [tocsin.Network], which never decides alone.
func (b *Book) Observe(a tocsin.Attempt, facts tocsin.FactSet) {
	source := tocsin.SourcePrefix(a.Source.Addr())
	if !source.IsValid() || a.Outcome < tocsin.Failure || a.Outcome > tocsin.Probe {
		return
	}
	at := place{source, a.Service}
	if t, ok := b.told[at]; ok && !a.At.Before(t.first) && !a.At.After(t.last) {
		return
	}
	w := b.window(at, a.At)
	switch a.Outcome {
	case tocsin.Failure:
		add(&w.Failures, 1)
	case tocsin.Success:
		add(&w.Successes, 1)
	case tocsin.Probe:
		add(&w.Probes, 1)
	}
	if a.Source.Port() != 0 {
		w.Port = a.Source.Port()
	}
	provenance := a.Provenance
	if a.Tentative || provenance < tocsin.Attested || provenance > tocsin.Network {
		provenance = tocsin.Network
	}
	w.Provenance = max(w.Provenance, provenance)
	w.Facts |= facts
	if a.Account != "" {
		w.name(b.tags.tag(a.Account), a)
	}
	if facts != 0 || b.caps.Eager && w.first && a.Outcome != tocsin.Success {
		b.hurry(w)
	}
}

// Dropped adds n packets of the source at, that the firewall dropped: by sample,
// so at least so many. They are told apart from the attempts, with no service.
func (b *Book) Dropped(source netip.Prefix, n uint32, at time.Time) {
	source = tocsin.SourcePrefix(source.Addr())
	if !source.IsValid() || n == 0 {
		return
	}
	w := b.window(place{source: source}, at)
	add(&w.Dropped, n)
	w.Provenance = max(w.Provenance, tocsin.Attested) // the kernel's own word
}

// Due returns when the next window closes; false means that there is none.
func (b *Book) Due() (time.Time, bool) {
	if len(b.closed) > 0 {
		return b.closed[0].Last, true
	}
	if len(b.order) == 0 {
		return time.Time{}, false
	}
	return b.order[0].end, true
}

// Take closes the windows that end by now, and those that begin so late after
// now that their clock was wrong, and returns all sightings closed since the
// last Take, in the order of their numbers.
func (b *Book) Take(now time.Time) []tocsin.Sighting {
	for len(b.order) > 0 && !b.order[0].end.After(now) {
		b.close(b.order[0])
	}
	for _, w := range b.ahead(now) {
		b.close(w)
	}
	closed := b.closed
	b.closed = nil
	return closed
}

// ahead returns the windows that begin well after now. Whoever forges a time
// must not keep a window from ever being told.
func (b *Book) ahead(now time.Time) (list []*window) {
	for _, w := range b.order {
		if w.end.Sub(now) > 2*b.caps.Window {
			list = append(list, w)
		}
	}
	return list
}

// Flush closes every window and returns what [Book.Take] would: the guard stops.
func (b *Book) Flush() []tocsin.Sighting {
	for len(b.order) > 0 {
		b.close(b.order[0])
	}
	closed := b.closed
	b.closed = nil
	return closed
}

// Open returns how many windows are open.
func (b *Book) Open() int { return len(b.order) }

// Lost returns how many sightings were pushed out because nobody took them.
func (b *Book) Lost() uint64 { return b.lost }

// window returns the open window of p that at belongs to, opened if need be.
func (b *Book) window(p place, at time.Time) *window {
	w := b.open[p]
	if w != nil && (at.Sub(w.First) > b.caps.Window || w.Last.Sub(at) > b.caps.Window) {
		b.close(w)
		w = nil
	}
	if w == nil {
		if len(b.order) >= b.caps.Open {
			b.close(b.order[0])
		}
		w = &window{
			Sighting: tocsin.Sighting{Source: p.source, Service: p.service, First: at, Last: at},
			end:      at.Add(b.caps.Window), first: b.isNew(p, at),
		}
		b.open[p] = w
		heap.Push(&b.order, w)
	}
	if at.Before(w.First) {
		w.First = at
	}
	if at.After(w.Last) {
		w.Last = at
	}
	return w
}

// anew is how long a source must have been silent for its next attempt to be
// told at once: one that goes from device to device must be seen at each.
const anew = time.Minute

// isNew reports whether p was not told lately. Of what an attacker chooses only
// so much is remembered; who is forgotten is told at once again.
func (b *Book) isNew(p place, at time.Time) bool {
	last, ok := b.recent[p]
	if len(b.recent) >= b.caps.Open && !ok {
		clear(b.recent)
	}
	b.recent[p] = at
	return !ok || at.Sub(last).Abs() > anew
}

// hurry makes w end with what was last seen: a fact is not kept waiting.
func (b *Book) hurry(w *window) {
	w.end = w.First
	heap.Fix(&b.order, w.place)
}

func (b *Book) close(w *window) {
	heap.Remove(&b.order, w.place)
	delete(b.open, place{w.Source, w.Service})
	b.id.Counter++
	w.ID = b.id
	if len(b.closed) >= b.caps.Closed {
		b.closed = b.closed[1:]
		b.lost++
	}
	b.closed = append(b.closed, w.Sighting)
}

// name adds what became of an account, as far as there is room.
func (w *window) name(t tocsin.AccountTag, a tocsin.Attempt) {
	i := slices.IndexFunc(w.Accounts, func(have tocsin.Tried) bool { return have.Tag == t })
	if i < 0 {
		if len(w.Accounts) >= MaxAccounts {
			return
		}
		i = len(w.Accounts)
		w.Accounts = append(w.Accounts, tocsin.Tried{Tag: t})
	}
	tried := &w.Accounts[i]
	switch a.Outcome {
	case tocsin.Failure:
		add(&tried.Failures, 1)
	case tocsin.Success:
		add(&tried.Successes, 1)
	}
	tried.Unknown = tried.Unknown || a.Unknown
}

// add counts up and stays at the largest number, rather than starting over.
func add(n *uint32, more uint32) {
	if *n += more; *n < more {
		*n = 1<<32 - 1
	}
}

// byEnd is a heap of open windows, the first to close on top.
type byEnd []*window

func (h byEnd) Len() int           { return len(h) }
func (h byEnd) Less(i, j int) bool { return h[i].end.Before(h[j].end) }
func (h byEnd) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].place, h[j].place = i, j
}

// Push is called by package heap only.
func (h *byEnd) Push(x any) {
	w := x.(*window)
	w.place = len(*h)
	*h = append(*h, w)
}

// Pop is called by package heap only.
func (h *byEnd) Pop() any {
	n := len(*h) - 1
	w := (*h)[n]
	(*h)[n] = nil
	*h = (*h)[:n]
	return w
}
