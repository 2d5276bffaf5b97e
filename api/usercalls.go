package api

import (
	"context"
	"net/http"
	"net/url"
)

// AddUser makes a user and a one-time link.
func (c *Client) AddUser(ctx context.Context, w UserWish) (u UserInvited, err error) {
	return u, c.post(ctx, "/v1/users", w, &u)
}

// ChangeUser changes what is set, or returns [store.ErrNotFound].
func (c *Client) ChangeUser(ctx context.Context, name string, change UserChange) error {
	return c.ask(ctx, http.MethodPatch, userPath(name), change, nil)
}

// RemoveUser removes a user, or returns [store.ErrNotFound].
func (c *Client) RemoveUser(ctx context.Context, name string) error {
	return c.ask(ctx, http.MethodDelete, userPath(name), nil, nil)
}

// SignOutUser ends all sessions of a user, or returns [store.ErrNotFound].
func (c *Client) SignOutUser(ctx context.Context, name string) error {
	return c.ask(ctx, http.MethodDelete, userPath(name)+"/sessions", nil, nil)
}

// ResetUser makes a one-time link with which a user takes another password; it
// works over the hub's socket only.
func (c *Client) ResetUser(ctx context.Context, name string) (u UserInvited, err error) {
	return u, c.post(ctx, userPath(name)+"/reset", nil, &u)
}

func userPath(name string) string { return "/v1/users/" + url.PathEscape(name) }

// VerifyLog asks whether the log of what operators did is as it was written; head
// is a hash noted before, or "".
func (c *Client) VerifyLog(ctx context.Context, head string) (l LogCheck, err error) {
	return l, c.get(ctx, "/v1/log/verify"+query("head", head), &l)
}
