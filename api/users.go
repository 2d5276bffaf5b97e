package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/tocsin-io/tocsin/ledger"
	"github.com/tocsin-io/tocsin/signin"
	"github.com/tocsin-io/tocsin/store"
)

// A User is a person who may sign in to the console.
type User struct {
	Name     string     `json:"name"`
	Role     store.Role `json:"role"`
	Made     time.Time  `json:"made"`
	Last     time.Time  `json:"last,omitzero"` // sign-in
	Off      bool       `json:"off"`           // may not sign in
	Sessions int        `json:"sessions"`      // that are open
	Waiting  bool       `json:"waiting"`       // invited, and has no password yet
}

// A UserWish says who shall be able to sign in.
type UserWish struct {
	Name string     `json:"name"`
	Role store.Role `json:"role"`
}

// A UserChange changes what is set.
type UserChange struct {
	Role *store.Role `json:"role,omitempty"`
	Off  *bool       `json:"off,omitempty"`
}

// A UserInvited is a one-time link with which a person chooses a password. It is
// shown once.
type UserInvited struct {
	Name      string     `json:"name"`
	Role      store.Role `json:"role"`
	Link      string     `json:"link"` // path of the console, to follow one of the addresses
	Until     time.Time  `json:"until"`
	Addresses []string   `json:"addresses,omitempty"` // where browsers find the console
}

// Users returns who may sign in, by name.
func (a *API) Users(ctx context.Context) ([]User, error) {
	if a.SignIn == nil {
		return nil, nil
	}
	stored, err := a.SignIn.Users(ctx)
	list := make([]User, 0, len(stored))
	for _, u := range stored {
		list = append(list, User{u.Name, u.Role, u.Made, u.Last, u.Off, u.Sessions, u.Waiting})
	}
	return list, err
}

func (a *API) invited(i signin.Invited, err error) (any, error) {
	return result(UserInvited{i.Name, i.Role, WelcomePath + i.Code, i.Until, a.Consoles}, err)
}

func checkRole(r store.Role) error {
	if whoOf(r) == anybody {
		return badRequest("role: want viewer, analyst or admin")
	}
	return nil
}

func (a *API) addUser(c *call) (any, error) {
	var w UserWish
	if err := fromPerson(c.w, c.r, &w); err != nil {
		return nil, err
	}
	c.did = fmt.Sprintf("add user %s as %s", cut(w.Name), cut(string(w.Role)))
	if err := checkRole(w.Role); err != nil {
		return nil, err
	}
	i, err := a.SignIn.Add(c.r.Context(), w.Name, w.Role, c.by)
	if errors.Is(err, store.ErrExists) {
		return nil, Refuse(http.StatusConflict, "there is a user of that name: take another name, or make a new link with tocsin users reset")
	}
	return a.invited(i, err)
}

func (a *API) changeUser(c *call) (any, error) {
	var w UserChange
	if err := fromPerson(c.w, c.r, &w); err != nil {
		return nil, err
	}
	c.did = "change user " + cut(c.r.PathValue("name"))
	if w.Role != nil {
		c.did += ": role " + cut(string(*w.Role))
	}
	if w.Off != nil {
		c.did += map[bool]string{true: ": off", false: ": on"}[*w.Off]
	}
	if w.Role == nil && w.Off == nil {
		return nil, badRequest("nothing to change: want role or off")
	}
	if w.Role != nil {
		if err := checkRole(*w.Role); err != nil {
			return nil, err
		}
	}
	return nil, a.SignIn.Change(c.r.Context(), c.r.PathValue("name"), signin.Change{Role: w.Role, Off: w.Off})
}

func (a *API) removeUser(c *call) (any, error) {
	return nil, a.SignIn.Remove(c.r.Context(), c.r.PathValue("name"))
}

func (a *API) signOutUser(c *call) (any, error) {
	return nil, a.SignIn.SignOut(c.r.Context(), c.r.PathValue("name"))
}

// resetUser makes a link for another password. Whoever holds it can be that user,
// so it is for those who have the hub's machine, and not for a console that
// somebody left open.
func (a *API) resetUser(c *call) (any, error) {
	if c.how != ledger.Socket {
		return nil, Refuse(http.StatusForbidden, "a password is reset on the hub's machine only: tocsin users reset NAME")
	}
	return a.invited(a.SignIn.Reset(c.r.Context(), c.r.PathValue("name"), c.by))
}
