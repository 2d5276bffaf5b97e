package api

import (
	"context"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/tocsin-io/tocsin/table"
)

// Users lists who may sign in.
func (c *Client) Users(ctx context.Context) ([]User, error) {
	return rows[User](ctx, c, "users", url.Values{}, math.MaxInt)
}

// Deeds returns the newest entries of the log of what operators did, newest first:
// of somebody of that name, or of all with "".
func (c *Client) Deeds(ctx context.Context, by string, most int) ([]Deed, error) {
	if by == "" {
		return rows[Deed](ctx, c, "log", url.Values{}, most)
	}
	list, err := rows[Deed](ctx, c, "log", url.Values{"by": {by}}, math.MaxInt) // in which it is a part of the name, too
	list = slices.DeleteFunc(list, func(d Deed) bool { return d.By != by })
	return list[:min(len(list), most)], err
}

// rows returns rows of a table in its own order, at most so many.
func rows[R any](ctx context.Context, c *Client, name string, v url.Values, most int) (list []R, err error) {
	for page := 1; len(list) < most; page++ {
		v.Set("page", strconv.Itoa(page))
		v.Set("size", strconv.Itoa(table.MaxSize))
		var answer struct {
			Rows  []R `json:"rows"`
			Total int `json:"total"`
		}
		if err := c.get(ctx, "/v1/tables/"+name+"?"+v.Encode(), &answer); err != nil {
			return nil, err
		}
		list = append(list, answer.Rows...)
		if len(answer.Rows) == 0 || len(list) >= answer.Total {
			break
		}
	}
	return list[:min(len(list), most)], nil
}

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
