// Package store is what the parts of a hub ask of its database: one small
// interface for each of them, never one big one. What it promises is written
// beside each method, and package storetest holds every implementation to it.
//
// It stores; it decides nothing. A call returns after the commit: whoever was
// answered can lose nothing. A call that returns an error has changed nothing,
// the end of its context included, unless the disk itself failed at the commit:
// then the same call may be repeated.
//
// What comes back equals what went in, but for times, which are in UTC, and
// empty slices and maps, which are nil. A caller may ask for more while it
// ranges over what a method yields: nothing is held meanwhile.
package store

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/tocsin-io/tocsin"
)

// Why a call is refused; callers tell them apart with errors.Is.
var (
	ErrNotFound = errors.New("not found")
	ErrExists   = errors.New("already there")
	ErrSpent    = errors.New("used before, or too old")
	ErrNewer    = errors.New("the database was written by a newer tocsin: upgrade this one, or restore a backup")
	ErrFull     = errors.New("the disk is full: make room; nothing acknowledged is lost")
	ErrDamaged  = errors.New("the database is damaged: keep the file, and restore the newest backup")
	ErrBusy     = errors.New("another program holds the database: end it; nothing acknowledged is lost")
)

// An Ingest takes what devices report.
type Ingest interface {
	// Append commits a batch of one device in order, gives each a serial, and
	// returns those that are new: a sighting whose ID is not above the highest
	// before it of its device (by Boot, then Counter) is a repeat, for ever, and
	// left out. Several callers share one commit. At and Serial are stamped here,
	// At never before that of the event before. A batch of several devices, or
	// of none, is refused whole.
	Append(ctx context.Context, batch []tocsin.Received) (fresh []tocsin.Event, err error)
	// Highest returns the highest ID committed of a device, or none of it (Boot and
	// Counter 0).
	Highest(ctx context.Context, device tocsin.DeviceID) (tocsin.ID, error)
}

// A Log is the hub's log of events: what the fleet decides follows from it.
type Log interface {
	// Add commits one event that is not a sighting and returns it as stamped. One
	// that is neither an order nor a loss, or both, is refused.
	Add(ctx context.Context, e tocsin.Event) (tocsin.Event, error)
	// Since yields the events with a serial above after, in order.
	Since(ctx context.Context, after uint64) iter.Seq2[tocsin.Event, error]
	// From yields those received at or after t: where a replay begins.
	From(ctx context.Context, t time.Time) iter.Seq2[tocsin.Event, error]
	// About returns the newest events about exactly one prefix, or about the
	// prefix that counts as the source of one address, newest first; with before,
	// those of lower serials.
	About(ctx context.Context, source string, before uint64, most int) ([]tocsin.Event, error)
	// Forget removes sightings received before t, oldest first and at most so
	// many, and returns how many went; others write meanwhile. What repeats are
	// recognised by stays, no serial is given twice, and orders and losses stay.
	Forget(ctx context.Context, before time.Time, most int) (int, error)
}

// A Token lets one device enrol, once.
type Token struct {
	Hash     [32]byte // of the secret: the secret itself is never stored
	Owner    tocsin.OwnerID
	Groups   []string
	Honeypot bool
	Made     time.Time
	Until    time.Time
	By       string // who made it
}

// Devices is who is enrolled.
type Devices interface {
	// AddToken stores a token; one of that hash is [ErrExists]. Tokens long out of
	// date may go meanwhile.
	AddToken(ctx context.Context, t Token) error
	// Redeem spends the token with that hash and stores the device, in one
	// transaction: of two who race, one gets [ErrSpent]. Owner, groups and
	// honeypot come from the token, and the time of enrolment is now, whatever d
	// says. It returns the device as stored. A token that nobody made is
	// [ErrNotFound]; a device that exists is [ErrExists], and spends nothing.
	Redeem(ctx context.Context, hash [32]byte, now time.Time, d tocsin.Device) (tocsin.Device, error)
	// Device returns one device, or [ErrNotFound].
	Device(ctx context.Context, id tocsin.DeviceID) (tocsin.Device, error)
	// Devices yields all devices, by ID.
	Devices(ctx context.Context) iter.Seq2[tocsin.Device, error]
	// Change replaces what is stored of d.ID, revocation included, or returns
	// [ErrNotFound].
	Change(ctx context.Context, d tocsin.Device) error
	// Reported notes what a device last said of itself, or returns [ErrNotFound].
	Reported(ctx context.Context, id tocsin.DeviceID, s DeviceState) error
	// States yields what devices last said of themselves, by ID.
	States(ctx context.Context) iter.Seq2[DeviceState, error]
}

// A DeviceState is what a device last said of itself.
type DeviceState struct {
	Device  tocsin.DeviceID `json:"device"`
	At      time.Time       `json:"at"`
	Version string          `json:"version,omitempty"`
	Lists   []ListState     `json:"lists,omitempty"`
	Offset  time.Duration   `json:"offset_ns,omitempty"` // how far its clock is ahead
	Note    string          `json:"note,omitempty"`      // what it wants a person to know
}

// A ListState is how far a device has enforced a list.
type ListState struct {
	List   string `json:"list"`
	Epoch  uint64 `json:"epoch"`
	Serial uint64 `json:"serial"`
}

// A Frame is one signed frame of a list, as published.
type Frame struct {
	List     string
	Epoch    uint64
	Serial   uint64
	Snapshot bool
	Made     time.Time
	Sealed   []byte
}

// Frames keeps what was published, so that a device resumes from any serial.
type Frames interface {
	// Publish commits frames, all or none; a serial that its list and epoch already
	// have is [ErrExists]. A snapshot replaces the one before of its list; one of
	// an older epoch or serial is [ErrExists], too. A snapshot and another frame
	// may have the same serial: both lead to the same list.
	Publish(ctx context.Context, frames []Frame) error
	// FramesSince yields the frames of a list and epoch with a serial above
	// after, in order, snapshots excepted.
	FramesSince(ctx context.Context, list string, epoch, after uint64) iter.Seq2[Frame, error]
	// Snapshot returns the newest snapshot of a list, or [ErrNotFound].
	Snapshot(ctx context.Context, list string) (Frame, error)
	// Heads returns the newest frame of each list, by list.
	Heads(ctx context.Context) ([]Frame, error)
	// ForgetFrames removes frames made before t that a snapshot of their list has
	// overtaken, and returns how many went: what leads from the snapshot to the
	// head stays, and so does the snapshot.
	ForgetFrames(ctx context.Context, before time.Time) (int, error)
}

// Values keeps small things by name: secrets, sealed keys, settings.
type Values interface {
	// Value returns what was put, or [ErrNotFound].
	Value(ctx context.Context, name string) ([]byte, error)
	// Put stores a value.
	Put(ctx context.Context, name string, value []byte) error
	// PutNew stores a value unless there is one; it returns what is stored then.
	PutNew(ctx context.Context, name string, value []byte) ([]byte, error)
	// Drop removes a value; one that is not there is no error.
	Drop(ctx context.Context, name string) error
	// Names returns the names that begin with prefix, in order.
	Names(ctx context.Context, prefix string) ([]string, error)
}

// Role is what the bearer of an API token may do.
type Role string

// The roles, each with the power of the one before.
const (
	Viewer  Role = "viewer"  // reads
	Analyst Role = "analyst" // and decides: blocks, passes, labels
	Admin   Role = "admin"   // and changes: devices, tokens, keys, backups
)

// An Access is an API token as stored.
type Access struct {
	Hash  [32]byte
	Name  string
	Role  Role
	Made  time.Time
	Until time.Time // zero is for ever
	Used  time.Time
}

// Accesses is who may use the API.
type Accesses interface {
	// AddAccess stores an API token; a name or hash that exists is [ErrExists].
	AddAccess(ctx context.Context, a Access) error
	// Access returns the one with that hash, or [ErrNotFound].
	Access(ctx context.Context, hash [32]byte) (Access, error)
	// UseAccess notes when the one with that hash was last used, or returns
	// [ErrNotFound]. It commits, so once in a while is enough.
	UseAccess(ctx context.Context, hash [32]byte, at time.Time) error
	// Accesses returns all, by name.
	Accesses(ctx context.Context) ([]Access, error)
	// DropAccess removes the one of that name, or returns [ErrNotFound].
	DropAccess(ctx context.Context, name string) error
}

// Upkeep is what an operator needs besides.
type Upkeep interface {
	// Backup writes a copy of the database as of one moment to path, while others
	// read and write, and reads it back before it returns. A path that exists is
	// refused. The copy holds every secret that the database holds.
	Backup(ctx context.Context, path string) error
	// Check reads the whole database and returns what is damaged: [ErrDamaged].
	Check(ctx context.Context) error
	// Size returns how many bytes the database takes, and how many events it holds.
	Size(ctx context.Context) (bytes int64, events uint64, err error)
}
