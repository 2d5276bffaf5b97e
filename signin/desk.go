// Package signin knows who may sign in to the console: people with passwords,
// their sessions, and the one-time invitations by which they choose a password.
// It promises that no secret is stored that opens anything (passwords by
// argon2id, everything else by its hash), that whoever guesses waits longer and
// longer while the guesses of others keep nobody from a first try, and that the
// last admin stays one.
//
// It speaks no HTTP, sets no cookie and writes no log of what people did: that is
// up to package api.
package signin

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/internal/logkey"
	"github.com/tocsin-io/tocsin/store"
)

// How long a session lasts.
const (
	Idle    = 12 * time.Hour     // without a request
	Longest = 7 * 24 * time.Hour // at all
)

const (
	seenEvery   = 5 * time.Minute // how exactly the last request is known: it commits
	maxSessions = 50              // of one user
	secretSize  = 32
)

// Why somebody is refused; callers tell them apart with errors.Is.
var (
	ErrWrong     = errors.New("the name or the password is wrong")
	ErrEnded     = errors.New("the session has ended: sign in again")
	ErrOff       = errors.New("this user is switched off: ask an admin")
	ErrLastAdmin = errors.New("this is the last admin who can sign in: make another one first")
)

// A WaitError says for how long not to try again.
type WaitError struct {
	For time.Duration
	Why string
}

func (e *WaitError) Error() string {
	return fmt.Sprintf("%s: wait %v", e.Why, max(e.For.Round(time.Second), time.Second))
}

// A Store is where the desk keeps its people.
type Store interface {
	store.Users
	store.Sessions
	store.Invitations
	store.Values
}

// Config is what a desk works with.
type Config struct {
	Store Store
	Now   func() time.Time // nil is the clock
	Log   *slog.Logger     // nil is none
}

// A Desk lets people in. Make one with [New]; it is safe for concurrent use.
type Desk struct {
	store  Store
	now    func() time.Time
	log    *slog.Logger
	guess  *throttle
	hasher *hasher // of strangers
	known  *known

	changing sync.Mutex // held from reading users to storing what one became

	mu    sync.Mutex // guards holds
	holds map[*hold]struct{}
}

// New returns a desk.
func New(ctx context.Context, c Config) (*Desk, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	k, err := newKnown(ctx, c.Store)
	if err != nil {
		return nil, err
	}
	return &Desk{
		store: c.Store, now: c.Now, log: c.Log, guess: newThrottle(), hasher: newHasher(2), known: k,
		holds: map[*hold]struct{}{},
	}, nil
}

// A Visitor is somebody who wants to sign in.
type Visitor struct {
	From  netip.Addr
	Known string // what a browser holds that signed in before; "" is nothing
}

// A Person is somebody who is signed in.
type Person struct {
	Name  string
	Role  store.Role
	Since time.Time
	Until time.Time // unless they ask for something before
	hash  [32]byte
}

// An Entry is a new session. Its secrets are for the browser, and shown once.
type Entry struct {
	Person
	Secret string // of the session
	Known  string // for [Visitor.Known] next time
}

// hashSecret returns what is stored of a secret of 256 random bits, which needs
// no salt.
func hashSecret(kind, secret string) [32]byte {
	return sha256.Sum256([]byte("tocsin " + kind + "\x00" + secret))
}

func newSecret() string {
	b := make([]byte, secretSize)
	_, _ = rand.Read(b) // never fails
	return base64.RawURLEncoding.EncodeToString(b)
}

// Enter signs somebody in by password. [ErrWrong] does not say whether there is
// such a user; a [*WaitError] says that nothing was looked at.
func (d *Desk) Enter(ctx context.Context, name, password string, v Visitor) (Entry, error) {
	folded, err := Name(name)
	if err != nil {
		folded = "" // counted and refused as any other
	}
	u, err := d.check(ctx, folded, password, v)
	if err != nil {
		return Entry{}, err
	}
	return d.open(ctx, u, v.From)
}

// check says whose password it is.
func (d *Desk) check(ctx context.Context, name, password string, v Visitor) (store.User, error) {
	if len(password) > maxPassword {
		password = "" // fits nobody
	}
	u, err := d.store.User(ctx, name)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return u, err
	}
	hasher, key := d.hasher, ""
	if key = d.known.browser(name, v.Known, d.now()); key != "" {
		hasher = d.known.hasher
	} else if wait := d.guess.begin(v.From, d.now()); wait != nil {
		return u, wait
	}
	good, err := hasher.verify(ctx, password, u.Password)
	good = good && !u.Off
	var outcome tocsin.Outcome
	switch {
	case good:
		outcome = tocsin.Success
	case err == nil:
		outcome = tocsin.Failure
	}
	if key == "" {
		d.guess.end(v.From, name, outcome, d.now())
	} else if outcome == tocsin.Failure {
		d.known.failed(key, d.now())
	}
	if err != nil {
		return u, err
	}
	if !good {
		return u, ErrWrong
	}
	return u, nil
}

// open makes a session of a user as they were when their password was checked.
// Whoever got another one meanwhile, or was switched off, is not let in: the old
// password must not open what ended with it.
func (d *Desk) open(ctx context.Context, checked store.User, from netip.Addr) (Entry, error) {
	now := d.now()
	secret := newSecret()
	s := store.Session{Hash: hashSecret("session", secret), User: checked.Name, Made: now, Seen: now, From: from}
	d.changing.Lock()
	defer d.changing.Unlock()
	u, err := d.store.User(ctx, checked.Name)
	if err == nil && (u.Off || u.Password != checked.Password) {
		err = ErrWrong
	}
	if err == nil {
		err = d.store.AddSession(ctx, s, now.Add(-Idle), maxSessions)
	}
	if errors.Is(err, store.ErrNotFound) { // removed meanwhile
		err = ErrWrong
	}
	if err != nil {
		return Entry{}, err
	}
	u.Last = now
	if err := d.store.ChangeUser(ctx, u); err != nil {
		d.log.Warn("time of a sign-in not noted", logkey.User, u.Name, logkey.Err, err)
	}
	return Entry{personOf(u, s), secret, d.known.mark(u.Name)}, nil
}

func personOf(u store.User, s store.Session) Person {
	until := s.Seen.Add(Idle)
	if end := s.Made.Add(Longest); end.Before(until) {
		until = end
	}
	return Person{Name: u.Name, Role: u.Role, Since: s.Made, Until: until, hash: s.Hash}
}

// Who returns whose session it is, or [ErrEnded].
func (d *Desk) Who(ctx context.Context, secret string) (Person, error) {
	if len(secret) != base64.RawURLEncoding.EncodedLen(secretSize) {
		return Person{}, ErrEnded
	}
	hash := hashSecret("session", secret)
	s, err := d.store.Session(ctx, hash)
	if err != nil {
		return Person{}, ended(err)
	}
	u, err := d.store.User(ctx, s.User)
	if err != nil {
		return Person{}, ended(err)
	}
	now := d.now()
	p := personOf(u, s)
	if u.Off || !now.Before(p.Until) {
		return Person{}, ErrEnded
	}
	if now.Sub(s.Seen) > seenEvery {
		if err := d.store.SeeSession(ctx, hash, now); err != nil {
			d.log.Warn("use of a session not noted", logkey.User, u.Name, logkey.Err, err)
		}
		s.Seen = now
		p = personOf(u, s)
	}
	return p, nil
}

func ended(err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return ErrEnded
	}
	return err
}

// Leave ends a session.
func (d *Desk) Leave(ctx context.Context, p Person) error {
	err := d.store.DropSession(ctx, p.hash)
	if err == nil {
		d.release(func(h *hold) bool { return h.hash == p.hash })
	}
	return err
}

// LeaveEverywhere ends all sessions of a user.
func (d *Desk) LeaveEverywhere(ctx context.Context, name string) error {
	return d.leaveAll(ctx, name, [32]byte{})
}

// leaveAll ends all sessions of a user but one.
func (d *Desk) leaveAll(ctx context.Context, name string, but [32]byte) error {
	_, err := d.store.DropSessions(ctx, name, but)
	if err == nil {
		d.release(func(h *hold) bool { return h.user == name && h.hash != but })
	}
	return err
}

// ChangePassword gives somebody who is signed in and knows the old password a new
// one. All other sessions end.
func (d *Desk) ChangePassword(ctx context.Context, p Person, old, fresh string, v Visitor) error {
	checked, err := d.check(ctx, p.Name, old, v)
	if err != nil {
		return err
	}
	if err := fit(p.Name, fresh); err != nil {
		return err
	}
	hash, err := d.hasher.hash(ctx, fresh)
	if err != nil {
		return err
	}
	err = d.change(ctx, p.Name, func(u *store.User) error {
		if u.Password != checked.Password { // by a link, meanwhile: that one counts
			return ErrWrong
		}
		u.Password = hash
		return nil
	})
	if err != nil {
		return err
	}
	return d.leaveAll(ctx, p.Name, p.hash)
}

// A hold is a long answer to somebody who is signed in.
type hold struct {
	hash [32]byte
	user string
	end  context.CancelFunc
}

// Hold returns a context for a long answer: it ends when the session does, or the
// user gets another role, and when the session would end if nothing more is asked
// for: whoever reads on asks again. One that ended since p was found out is
// [ErrEnded]. Release must be called.
func (d *Desk) Hold(ctx context.Context, p Person) (held context.Context, release func(), err error) {
	held, cancel := context.WithTimeout(ctx, p.Until.Sub(d.now()))
	h := &hold{p.hash, p.Name, cancel}
	d.mu.Lock()
	d.holds[h] = struct{}{}
	d.mu.Unlock()
	release = func() {
		cancel()
		d.mu.Lock()
		delete(d.holds, h)
		d.mu.Unlock()
	}
	// It may have ended before it was held.
	if _, err := d.store.Session(ctx, p.hash); err != nil {
		release()
		return nil, nil, ended(err)
	}
	return held, release, nil
}

// release ends the long answers that are meant.
func (d *Desk) release(meant func(*hold) bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for h := range d.holds {
		if meant(h) {
			h.end()
		}
	}
}
