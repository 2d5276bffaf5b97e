package contact

import (
	"cmp"
	"math"
	"net/netip"
	"slices"
	"time"

	"github.com/tocsin-io/tocsin"
)

// Limits bound a [Book]. Zero fields take the value of [DefaultLimits].
type Limits struct {
	Window       time.Duration // what one contact sums up
	Destinations int           // of one device in one window; a quarter of them may be such that never answered
	Contacts     int           // in the book
}

// DefaultLimits suits a hub: 2^20 contacts take some 250 MiB at worst.
func DefaultLimits() Limits {
	return Limits{Window: time.Hour, Destinations: 1024, Contacts: 1 << 20}
}

// Left counts what a [Book] had no room for.
type Left struct {
	Flows  uint64 // not in any contact
	Starts uint64 // counted, but without their time
}

// A Book sums flows up. It is not safe for concurrent use.
type Book struct {
	limits Limits
	rows   map[key]*tocsin.Contact
	pages  map[page]*held
	left   Left
}

// A page is one device in one window.
type page struct {
	device tocsin.DeviceID
	window int64 // number of the window since 1970
}

type key struct {
	page
	to       netip.AddrPort
	protocol uint8
}

// held is how many contacts a page holds, and how many of them never answered
// when they were opened: a device that scans must not push out the rest.
type held struct{ all, failed int }

// NewBook returns an empty book.
func NewBook(l Limits) *Book {
	def := DefaultLimits()
	if l.Window <= 0 {
		l.Window = def.Window
	}
	if l.Destinations <= 0 {
		l.Destinations = def.Destinations
	}
	if l.Contacts <= 0 {
		l.Contacts = def.Contacts
	}
	return &Book{limits: l, rows: map[key]*tocsin.Contact{}, pages: map[page]*held{}}
}

// Add sums up f, which device opened. Flows may come in any order.
func (b *Book) Add(device tocsin.DeviceID, f Flow) {
	at := page{device, f.Start.UnixNano() / int64(b.limits.Window)}
	if f.Again {
		at.window = f.End.UnixNano() / int64(b.limits.Window)
	}
	to := netip.AddrPortFrom(f.To.Addr().Unmap(), f.To.Port())
	k := key{at, to, f.Protocol}
	c := b.rows[k]
	if c == nil {
		if !b.room(at, f.Failed) {
			b.left.Flows++
			return
		}
		c = &tocsin.Contact{Device: device, To: to, Protocol: f.Protocol, First: f.Start, Last: f.End}
		b.rows[k] = c
	}
	b.sum(c, f)
}

// room reports whether the page takes one more contact, and counts it.
func (b *Book) room(at page, failed bool) bool {
	if len(b.rows) >= b.limits.Contacts {
		return false
	}
	h := b.pages[at]
	if h == nil {
		h = &held{}
		b.pages[at] = h
	}
	if h.all >= b.limits.Destinations || failed && h.failed >= max(1, b.limits.Destinations/4) {
		return false
	}
	h.all++
	if failed {
		h.failed++
	}
	return true
}

func (b *Book) sum(c *tocsin.Contact, f Flow) {
	if f.Start.Before(c.First) {
		c.First = f.Start
	}
	if f.End.After(c.Last) {
		c.Last = f.End
	}
	c.Sent, c.Received = add(c.Sent, f.Sent), add(c.Received, f.Received)
	c.Longest = max(c.Longest, f.End.Sub(f.Start))
	if f.Failed && c.Failed < math.MaxUint32 {
		c.Failed++
	}
	if f.Again {
		return
	}
	if c.Count < math.MaxUint32 {
		c.Count++
	}
	b.start(c, tocsin.Start{At: f.Start, Sent: f.Sent})
}

// start keeps the earliest starts: whole intervals, rather than a sample of
// which none can be told.
func (b *Book) start(c *tocsin.Contact, s tocsin.Start) {
	i := len(c.Starts)
	for i > 0 && s.At.Before(c.Starts[i-1].At) {
		i--
	}
	if len(c.Starts) == tocsin.MaxStarts {
		b.left.Starts++
		if i == len(c.Starts) {
			return
		}
		c.Starts = c.Starts[:len(c.Starts)-1]
	}
	c.Starts = slices.Insert(c.Starts, i, s)
}

// add stops at the largest number: a file may claim any.
func add(a, b uint64) uint64 {
	if a > math.MaxUint64-b {
		return math.MaxUint64
	}
	return a + b
}

// Take returns the contacts whose window ended by then, and forgets them: by
// device, time and destination. A flow that comes later opens its window anew.
func (b *Book) Take(by time.Time) []tocsin.Contact {
	end := by.UnixNano() / int64(b.limits.Window)
	return b.take(func(window int64) bool { return window < end })
}

// TakeAll returns every contact, those of windows that have not ended included.
func (b *Book) TakeAll() []tocsin.Contact { return b.take(func(int64) bool { return true }) }

func (b *Book) take(ended func(window int64) bool) []tocsin.Contact {
	var rows []*tocsin.Contact
	for k, c := range b.rows {
		if ended(k.window) {
			rows = append(rows, c)
			delete(b.rows, k)
		}
	}
	for p := range b.pages {
		if ended(p.window) {
			delete(b.pages, p)
		}
	}
	slices.SortFunc(rows, func(x, y *tocsin.Contact) int {
		return cmp.Or(cmp.Compare(x.Device, y.Device), x.First.Compare(y.First), x.To.Compare(y.To),
			cmp.Compare(x.Protocol, y.Protocol), x.Last.Compare(y.Last))
	})
	list := make([]tocsin.Contact, len(rows))
	for i, c := range rows {
		list[i] = *c
	}
	return list
}

// Len returns how many contacts the book holds.
func (b *Book) Len() int { return len(b.rows) }

// Left returns what there was no room for so far.
func (b *Book) Left() Left { return b.left }
