package store

import (
	"context"
	"iter"
	"net/netip"
	"time"

	"github.com/tocsin-io/tocsin/ledger"
)

// A User is a person who may sign in to the console.
type User struct {
	Name     string // unique
	Role     Role
	Made     time.Time
	Last     time.Time // when they last signed in; zero is never
	Off      bool      // may not sign in
	Password string    // hash of the password; "" is none yet
}

// Users is who may sign in.
type Users interface {
	// AddUser stores a user; a name that exists is [ErrExists].
	AddUser(ctx context.Context, u User) error
	// User returns one, or [ErrNotFound].
	User(ctx context.Context, name string) (User, error)
	// Users returns all, by name.
	Users(ctx context.Context) ([]User, error)
	// ChangeUser replaces what is stored of u.Name, or returns [ErrNotFound].
	ChangeUser(ctx context.Context, u User) error
	// DropUser removes a user with all sessions and invitations, or returns
	// [ErrNotFound].
	DropUser(ctx context.Context, name string) error
}

// A Session is a browser that somebody signed in with.
type Session struct {
	Hash [32]byte // of the secret in its cookie: the secret itself is never stored
	User string
	Made time.Time
	Seen time.Time // when it last asked for something, within some minutes
	From netip.Addr
}

// Sessions is who is signed in.
type Sessions interface {
	// AddSession stores a session, and removes all those that were last seen
	// before stale, and those of its user beyond the newest most. A user who does
	// not exist is [ErrNotFound], a hash that does [ErrExists].
	AddSession(ctx context.Context, s Session, stale time.Time, most int) error
	// Session returns the one with that hash, or [ErrNotFound].
	Session(ctx context.Context, hash [32]byte) (Session, error)
	// Sessions returns those of a user, or of all with "", by user, newest last.
	Sessions(ctx context.Context, user string) ([]Session, error)
	// SeeSession notes when the one with that hash last asked, or returns
	// [ErrNotFound]. It commits, so once in a while is enough.
	SeeSession(ctx context.Context, hash [32]byte, at time.Time) error
	// DropSession removes one; none is no error.
	DropSession(ctx context.Context, hash [32]byte) error
	// DropSessions removes those of a user but for the one with that hash, and
	// returns how many went.
	DropSessions(ctx context.Context, user string, but [32]byte) (int, error)
}

// An Invitation lets a person choose a password, once.
type Invitation struct {
	Hash  [32]byte // of the secret in its link: the secret itself is never stored
	Name  string   // of the user; "" is the first of all, who chooses a name
	Role  Role     // of the first of all
	Made  time.Time
	Until time.Time
	By    string // who made it
}

// Invitations is who was invited.
type Invitations interface {
	// AddInvitation stores one in place of all those of the same name that were
	// not used. A name without a user is [ErrNotFound].
	AddInvitation(ctx context.Context, i Invitation) error
	// Invitation returns one that can still be used at now: [ErrNotFound] is one
	// that nobody made, or that was replaced, [ErrSpent] one that was used, or is
	// too old, or the first of all after somebody has a password.
	Invitation(ctx context.Context, hash [32]byte, now time.Time) (Invitation, error)
	// DropInvitations removes all that were not used.
	DropInvitations(ctx context.Context) error
	// Accept spends an invitation, as Invitation gives it, and stores the hash of
	// a password, in one transaction: of two who race, one gets [ErrSpent]. The
	// first of all becomes a user called name ([ErrExists] if there is one); else
	// the name is the invitation's. All sessions of the user end. It returns the
	// user as stored.
	Accept(ctx context.Context, hash [32]byte, now time.Time, name, password string) (User, error)
}

// A Ledger is the log of what operators did.
type Ledger interface {
	// Enter commits an entry, stamped with the time and chained to the one before,
	// and returns it so. At is never before that of the entry before.
	Enter(ctx context.Context, e ledger.Entry) (ledger.Entry, error)
	// Entries yields those with a serial above after, in order, as they are
	// stored: whether the chain holds is for [ledger.Verify] to say. One that
	// cannot be read has a serial, a hash and nothing else.
	Entries(ctx context.Context, after uint64) iter.Seq2[ledger.Entry, error]
	// LastEntries returns the newest, newest first; with before, those of lower
	// serials.
	LastEntries(ctx context.Context, before uint64, most int) ([]ledger.Entry, error)
}
