package signin

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/tocsin-io/tocsin/store"
)

// InvitedFor is how long an invitation can be used.
const InvitedFor = 24 * time.Hour

// A User is somebody who may sign in, for people.
type User struct {
	Name     string
	Role     store.Role
	Made     time.Time
	Last     time.Time
	Off      bool
	Waiting  bool // was invited, and has no password yet
	Sessions int
}

// Users returns all, by name.
func (d *Desk) Users(ctx context.Context) ([]User, error) {
	stored, err := d.store.Users(ctx)
	if err != nil {
		return nil, err
	}
	sessions, err := d.store.Sessions(ctx, "")
	if err != nil {
		return nil, err
	}
	open := map[string]int{}
	for _, s := range sessions {
		if d.now().Before(personOf(store.User{}, s).Until) {
			open[s.User]++
		}
	}
	list := make([]User, 0, len(stored))
	for _, u := range stored {
		list = append(list, User{u.Name, u.Role, u.Made, u.Last, u.Off, u.Password == "", open[u.Name]})
	}
	return list, nil
}

// Settled reports whether anybody has a password.
func (d *Desk) Settled(ctx context.Context) (bool, error) {
	list, err := d.store.Users(ctx)
	for _, u := range list {
		if u.Password != "" {
			return true, err
		}
	}
	return false, err
}

// An Invited is an invitation. Its code is shown once.
type Invited struct {
	Name  string // "" is the first of all, who chooses a name
	Role  store.Role
	Until time.Time
	Code  string
}

// First makes the invitation of the first of all, who becomes an admin. It holds
// while nobody has a password, and replaces the one before.
func (d *Desk) First(ctx context.Context, by string) (Invited, error) {
	return d.invite(ctx, store.Invitation{Role: store.Admin, By: by})
}

// Add makes a user, and an invitation with which they choose a password.
func (d *Desk) Add(ctx context.Context, name string, role store.Role, by string) (Invited, error) {
	name, err := Name(name)
	if err != nil {
		return Invited{}, err
	}
	if err := d.store.AddUser(ctx, store.User{Name: name, Role: role, Made: d.now()}); err != nil {
		return Invited{}, err
	}
	return d.invite(ctx, store.Invitation{Name: name, Role: role, By: by})
}

// Reset makes an invitation with which a user chooses another password. The old
// one, and who is signed in, stay until then.
func (d *Desk) Reset(ctx context.Context, name, by string) (Invited, error) {
	u, err := d.store.User(ctx, fold(name))
	if err != nil {
		return Invited{}, err
	}
	if u.Off {
		return Invited{}, ErrOff
	}
	return d.invite(ctx, store.Invitation{Name: u.Name, Role: u.Role, By: by})
}

func (d *Desk) invite(ctx context.Context, i store.Invitation) (Invited, error) {
	code := newSecret()
	i.Hash, i.Made = hashSecret("invitation", code), d.now()
	i.Until = i.Made.Add(InvitedFor)
	return Invited{i.Name, i.Role, i.Until, code}, d.store.AddInvitation(ctx, i)
}

// Known returns a name as it is stored if there is such a user, or "".
func (d *Desk) Known(ctx context.Context, name string) (string, error) {
	u, err := d.store.User(ctx, fold(name))
	if errors.Is(err, store.ErrNotFound) {
		err = nil
	}
	return u.Name, err
}

// fold returns a name as it is stored; what cannot be a name is nobody's.
func fold(name string) string {
	folded, err := Name(name)
	if err != nil {
		return ""
	}
	return folded
}

// Look returns what a code invites to: [store.ErrNotFound] or [store.ErrSpent] if
// to nothing.
func (d *Desk) Look(ctx context.Context, code string) (Invited, error) {
	i, err := d.store.Invitation(ctx, hashSecret("invitation", code), d.now())
	if err != nil {
		return Invited{}, err
	}
	role := i.Role
	if i.Name != "" {
		u, err := d.store.User(ctx, i.Name)
		if err != nil {
			return Invited{}, err
		}
		role = u.Role
	}
	return Invited{Name: i.Name, Role: role, Until: i.Until}, nil
}

// Accept spends a code: the user has that password from now on, and is signed in.
// All sessions from before end. Name counts for the first of all only.
func (d *Desk) Accept(ctx context.Context, code, name, password string, v Visitor) (Entry, error) {
	i, err := d.Look(ctx, code)
	if err != nil {
		return Entry{}, err
	}
	if i.Name != "" {
		name = i.Name
		if u, err := d.store.User(ctx, name); err != nil || u.Off { // which spends nothing
			return Entry{}, cmp.Or(err, ErrOff)
		}
	}
	if name, err = Name(name); err != nil {
		return Entry{}, err
	}
	if err := fit(name, password); err != nil {
		return Entry{}, err
	}
	hash, err := d.known.hasher.hash(ctx, password) // a code is no guess
	if err != nil {
		return Entry{}, err
	}
	d.changing.Lock()
	u, err := d.store.Accept(ctx, hashSecret("invitation", code), d.now(), name, hash)
	d.changing.Unlock()
	if err != nil {
		return Entry{}, err
	}
	d.release(func(h *hold) bool { return h.user == u.Name })
	if u.Off {
		return Entry{}, ErrOff
	}
	return d.open(ctx, u, v.From)
}

// A Change is what becomes of a user; nil stays.
type Change struct {
	Role *store.Role // counts from the next request on; long answers end
	Off  *bool       // true ends all sessions
}

// Change changes a user.
func (d *Desk) Change(ctx context.Context, name string, c Change) error {
	name = fold(name)
	err := d.change(ctx, name, func(u *store.User) error {
		if c.Role != nil {
			u.Role = *c.Role
		}
		if c.Off != nil {
			u.Off = *c.Off
		}
		return nil
	})
	switch {
	case err != nil:
		return err
	case c.Off != nil && *c.Off:
		return d.LeaveEverywhere(ctx, name)
	case c.Role != nil: // what they may read now is found out anew
		d.release(func(h *hold) bool { return h.user == name })
	}
	return nil
}

// Remove removes a user.
func (d *Desk) Remove(ctx context.Context, name string) error {
	name = fold(name)
	d.changing.Lock()
	defer d.changing.Unlock()
	if err := d.keepsAdmin(ctx, name, store.User{}); err != nil {
		return err
	}
	if err := d.store.DropUser(ctx, name); err != nil {
		return err
	}
	d.release(func(h *hold) bool { return h.user == name })
	return nil
}

// change stores what becomes of a user.
func (d *Desk) change(ctx context.Context, name string, become func(*store.User) error) error {
	d.changing.Lock()
	defer d.changing.Unlock()
	u, err := d.store.User(ctx, name)
	if err != nil {
		return err
	}
	if err := become(&u); err != nil {
		return err
	}
	if err := d.keepsAdmin(ctx, name, u); err != nil {
		return err
	}
	return d.store.ChangeUser(ctx, u)
}

// keepsAdmin refuses to make of a user what leaves nobody who can sign in and do
// everything.
func (d *Desk) keepsAdmin(ctx context.Context, name string, becomes store.User) error {
	list, err := d.store.Users(ctx)
	if err != nil {
		return err
	}
	before, after := 0, 0
	for _, u := range list {
		if isAdmin(u) {
			before++
		}
		if u.Name == name {
			u = becomes
		}
		if isAdmin(u) {
			after++
		}
	}
	if before > 0 && after == 0 {
		return ErrLastAdmin
	}
	return nil
}

func isAdmin(u store.User) bool { return u.Role == store.Admin && !u.Off && u.Password != "" }

// IsWait returns the [*WaitError] in err, if there is one.
func IsWait(err error) (*WaitError, bool) {
	var w *WaitError
	ok := errors.As(err, &w)
	return w, ok
}

// Restored forgets who was signed in and invited when a backup was made: what
// ended since then must not begin again.
func (d *Desk) Restored(ctx context.Context) error {
	list, err := d.store.Users(ctx)
	for _, u := range list {
		err = errors.Join(err, d.LeaveEverywhere(ctx, u.Name))
	}
	return errors.Join(err, d.store.DropInvitations(ctx))
}

// SignOut ends all sessions of a user, or returns [store.ErrNotFound].
func (d *Desk) SignOut(ctx context.Context, name string) error {
	u, err := d.store.User(ctx, fold(name))
	if err != nil {
		return err
	}
	return d.LeaveEverywhere(ctx, u.Name)
}
