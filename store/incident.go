package store

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/tocsin-io/tocsin"
)

// ErrChanged says that a document is of another version than the caller read.
var ErrChanged = errors.New("somebody changed it meanwhile: read it again")

// A Clue is a [tocsin.Clue] as the hub committed it: nothing below the clue comes
// from the device.
type Clue struct {
	tocsin.Clue
	Serial   uint64         // grows with each clue of any device; stamped by the store
	Received time.Time      // by the hub's clock; stamped by the store
	Offset   time.Duration  // how far the device's clock was ahead, as estimated at receipt
	Owner    tocsin.OwnerID // whose device it is, by its enrolment
}

// Clues is what devices noticed about themselves.
type Clues interface {
	// AddClues commits clues of one device in order and returns those that are
	// new, as stamped: one whose ID is not above the highest before it of its
	// device (by Boot, then Counter) is a repeat, for ever, and left out. Numbers
	// of clues have nothing to do with those of sightings. A batch of several
	// devices, or of none, is refused whole.
	AddClues(ctx context.Context, batch []Clue) (fresh []Clue, err error)
	// HighestClue returns the highest ID committed of a device, or none of it
	// (Boot and Counter 0).
	HighestClue(ctx context.Context, device tocsin.DeviceID) (tocsin.ID, error)
	// Clues yields the clues received at or after t, of one device, or of all with
	// "", in the order of their serials.
	Clues(ctx context.Context, device tocsin.DeviceID, t time.Time) iter.Seq2[Clue, error]
	// CountClues returns how many clues of each device are kept.
	CountClues(ctx context.Context) (map[tocsin.DeviceID]uint64, error)
	// ForgetClues removes clues received before t, oldest first and at most so
	// many, and returns how many went. What repeats are recognised by stays, and
	// no serial is given twice.
	ForgetClues(ctx context.Context, t time.Time, most int) (int, error)
}

// Contacts is which destinations devices opened connections to.
type Contacts interface {
	// AddContacts commits windows of one device. One of the same destination,
	// protocol and First as one before replaces it: a window that grew is told
	// again, and a repeat does no harm. A batch of several devices, or of none, is
	// refused whole.
	AddContacts(ctx context.Context, batch []tocsin.Contact) error
	// Contacts yields those whose Last is at or after t, of one device, or of all
	// with "", by device, then First, destination and protocol. Times are those of
	// the device's clock.
	Contacts(ctx context.Context, device tocsin.DeviceID, t time.Time) iter.Seq2[tocsin.Contact, error]
	// ForgetContacts removes contacts whose Last is before t, oldest first and at
	// most so many, and returns how many went.
	ForgetContacts(ctx context.Context, t time.Time, most int) (int, error)
}

// MaxSpans bounds what is kept of one stream of one device, spans read and gaps
// told each: beyond, the oldest go, and count as not read.
const MaxSpans = 1000

// Coverage is which telemetry of devices was read. It keeps what it is told, in
// the order of time, spans that touch or overlap as one.
type Coverage interface {
	// Cover notes that a device read a stream within c, but for the gaps. A gap
	// that was told stays one, whatever is told later: what a device could not
	// read it cannot take back. An empty or reversed span is left out.
	Cover(ctx context.Context, device tocsin.DeviceID, c tocsin.Coverage) error
	// Gaps returns what of a span is not known to be read, in order: gaps that were
	// told, with their reason, and what nobody told anything about, without one.
	// All of it is one gap where the device never told.
	Gaps(ctx context.Context, device tocsin.DeviceID, stream tocsin.Stream, within tocsin.Span) ([]tocsin.Gap, error)
	// Covered yields all that is kept of all devices, by device and stream.
	Covered(ctx context.Context) iter.Seq2[Covered, error]
}

// A Covered is what is kept of one stream of one device. The gaps count more than
// the spans.
type Covered struct {
	Device tocsin.DeviceID `json:"device"`
	Stream tocsin.Stream   `json:"stream"`
	Read   []tocsin.Span   `json:"read,omitempty"`
	Gaps   []tocsin.Gap    `json:"gaps,omitempty"`
}

// A Record is a document: a campaign, a case. What it was before is the
// document's own to tell.
type Record struct {
	Kind    string
	ID      string    // within its kind
	Version uint64    // grows by one with each change; the first is 1
	Changed time.Time // by the hub's clock; stamped by the store
	Body    []byte
}

// Records keeps documents that several may change.
type Records interface {
	// PutRecord stores a document in place of the version that r.Version names, 0
	// being none, and returns it as stored, its version one higher. If another
	// version is stored, or none where one was named, it is [ErrChanged].
	PutRecord(ctx context.Context, r Record) (Record, error)
	// Record returns one document, or [ErrNotFound].
	Record(ctx context.Context, kind, id string) (Record, error)
	// Records yields the documents of a kind, by ID.
	Records(ctx context.Context, kind string) iter.Seq2[Record, error]
	// DropRecord removes a document of exactly that version; if another or none is
	// stored, it is [ErrChanged].
	DropRecord(ctx context.Context, kind, id string, version uint64) error
}
