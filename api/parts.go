package api

import (
	"context"
	"crypto/ecdsa"
	"io"
	"net/netip"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/store"
)

// A Peer is a device, by the certificate of its connection.
type Peer struct {
	Device  tocsin.DeviceID
	Owner   tocsin.OwnerID
	Expired bool             // its certificate did: it may renew, and nothing else
	Key     *ecdsa.PublicKey // proved by the connection
}

// A Reporter is a device that says something.
type Reporter struct {
	Peer
	From   netip.Addr    // the address that the hub saw
	At     time.Time     // when it did
	Offset time.Duration // how far the device's clock was ahead
}

// An Ingested is what became of a batch: all of it is fresh or repeated, unless
// the hub has less than it follows; then none is.
type Ingested struct {
	Fresh, Repeated int
	Have            tocsin.ID // the newest sighting of the device that the hub has
}

// The interfaces below are what a hub implements. Their errors are shown to
// whoever asked if they are an [*Error] or wrap a known error of package store;
// every other error is logged, and the asker is told to look there.

// An Enroller lets devices in.
type Enroller interface {
	// Enrol spends the token and stores the device. [store.ErrSpent] is a token
	// that nobody made, was used, or is too old.
	Enrol(ctx context.Context, e Enrolment, from netip.Addr) (Enrolled, error)
	// Renew makes the next certificate for the same key, also for a peer whose
	// certificate expired.
	Renew(ctx context.Context, p Peer, csr string) (Renewed, error)
}

// An Ingester takes what devices say. It returns after the commit.
type Ingester interface {
	// Ingest commits a batch that follows the sighting after, and returns how many
	// of it are new, and what the hub has of the device then. If that is less than
	// after, nothing is committed: what lies between would be lost.
	// An empty batch asks what the hub has.
	Ingest(ctx context.Context, r Reporter, after tocsin.ID, batch []tocsin.Sighting) (Ingested, error)
	// Clues commits what a device noticed about itself, as Ingest does sightings.
	Clues(ctx context.Context, r Reporter, after tocsin.ID, batch []tocsin.Clue) (Ingested, error)
	// Contacts commits windows of outgoing connections; a repeat replaces itself.
	Contacts(ctx context.Context, r Reporter, batch []tocsin.Contact) error
	// Lose commits that rules cut off people who belong there.
	Lose(ctx context.Context, r Reporter, rules []netip.Prefix) error
	// Report notes what the device says of itself.
	Report(ctx context.Context, r Reporter, s State) error
}

// A Keyring is what devices learn of keys.
type Keyring interface {
	// TUF returns a file of the TUF repository, such as "timestamp.json" or
	// "2.root.json", or [store.ErrNotFound]. The name holds no slash.
	TUF(ctx context.Context, name string) ([]byte, error)
	// OwnerKey returns what this device may know of its owner's key.
	OwnerKey(ctx context.Context, p Peer) (OwnerKey, error)
	// OfferOwnerKey claims the fingerprint if nobody did and stores what was
	// sealed. Another fingerprint than the one claimed is a conflict; a device
	// that is not the owner's is [store.ErrNotFound].
	OfferOwnerKey(ctx context.Context, p Peer, o OwnerKeyOffer) error
}

// A RuleQuery selects rules of one scope.
type RuleQuery struct {
	Owner  tocsin.OwnerID // "" is what binds every owner
	Action tocsin.Action  // 0 is both
	After  netip.Prefix   // only those that sort after it (netip.Prefix.Compare); the zero Prefix is from the start
	Most   int
}

// A Fleet is what was decided, and takes orders.
type Fleet interface {
	// Rules returns rules in force of one scope, sorted by prefix, then action.
	// Those of one prefix are never cut apart: a page may be one longer.
	Rules(ctx context.Context, q RuleQuery) ([]Rule, error)
	// Explain says why address is blocked for that owner, or is not.
	Explain(ctx context.Context, owner tocsin.OwnerID, address netip.Addr) (Explanation, error)
	// Order commits an order; it is in force at the devices soon after.
	Order(ctx context.Context, o Order) (Done, error)
	// Import commits many orders to block or to allow, unless dry says only to check
	// them. It returns why some are refused, or have no effect, by their index.
	Import(ctx context.Context, orders []Order, dry bool) (refused map[int]string, err error)
	// About returns events about a source, newest first, with serials below
	// before; 0 is from the newest.
	About(ctx context.Context, source netip.Prefix, before uint64, most int) ([]tocsin.Event, error)
}

// A Registry is who is enrolled.
type Registry interface {
	// Devices returns devices sorted by ID, only those after, and of that owner
	// unless it is "".
	Devices(ctx context.Context, owner tocsin.OwnerID, after tocsin.DeviceID, most int) ([]Device, error)
	// Device returns one, or [store.ErrNotFound].
	Device(ctx context.Context, id tocsin.DeviceID) (Device, error)
	// Change changes a device.
	Change(ctx context.Context, id tocsin.DeviceID, c DeviceChange, by string) (Device, error)
	// Revoke ends a device's certificate for ever and its connections at once.
	Revoke(ctx context.Context, id tocsin.DeviceID, by string) (Device, error)
	// NewToken makes an enrolment token and stores its hash.
	NewToken(ctx context.Context, w TokenWish, by string) (Token, error)
}

// Accesses is who may use the API; a store has it.
type Accesses = store.Accesses

// Passes are one-time passes. Only hashes of codes are handed over (see
// [HashPass]), so that nothing stored opens anything.
type Passes interface {
	// AddPasses replaces an owner's passes that were not used.
	AddPasses(ctx context.Context, owner tocsin.OwnerID, codes [][32]byte, by string) error
	// Passes lists an owner's passes, used ones included, by number.
	Passes(ctx context.Context, owner tocsin.OwnerID) ([]Pass, error)
	// RedeemPass spends a code: it lifts blocks of the source and lets it pass
	// for 24 h. [store.ErrNotFound] is a code that nobody made, [store.ErrSpent]
	// one that was used.
	RedeemPass(ctx context.Context, code [32]byte, source netip.Prefix) (Redeemed, error)
}

// Upkeep is what an operator needs besides.
type Upkeep interface {
	// Status tells how the hub is.
	Status(ctx context.Context) (Status, error)
	// Ready returns why the hub cannot work, or nil.
	Ready(ctx context.Context) error
	// Backup writes a copy of all that the hub keeps, as of one moment, while it
	// works on.
	Backup(ctx context.Context, w io.Writer) error
	// Networks tells about the table of autonomous systems.
	Networks(ctx context.Context) (NetworkTable, error)
	// ImportNetworks replaces it by a CSV table of start, end, number, name.
	ImportNetworks(ctx context.Context, csv io.Reader, by string) (NetworkTable, error)
}
