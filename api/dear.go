package api

import (
	"net/http"
	"time"
)

// Bounds of what takes much memory for as long as whoever asked sends or reads it: a
// whole table as a file, a list that is imported.
const (
	dearEach = 2 // of one caller at once
	dearMost = 8 // of all

	maxSorting  = 8   // pages of tables that are made at once; others wait for their turn
	maxWatching = 100 // consoles that one caller has open: half of what there is room for
)

// dear begins something of that kind, or refuses; done must follow.
func (a *API) dear(c *call) (done func(), err error) {
	busy := &Error{Status: http.StatusTooManyRequests, Text: "too many long lists are under way: wait until one is done", RetryAfter: 10 * time.Second}
	who := c.how + " " + c.by
	if !a.dearOf.enter(who) {
		return nil, busy
	}
	select {
	case a.dearAll <- struct{}{}:
		return func() { <-a.dearAll; a.dearOf.leave(who) }, nil
	default:
		a.dearOf.leave(who)
		return nil, busy
	}
}

// live tells a console what happens, until whoever looks at it may no longer.
func (a *API) live(c *call) (any, error) {
	who := c.how + " " + c.by
	if !a.watching.enter(who) {
		return nil, &Error{
			Status: http.StatusTooManyRequests, Text: "too many consoles of yours are open: close some", RetryAfter: 10 * time.Second,
		}
	}
	defer a.watching.leave(who)
	return a.mounted(a.Live)(c)
}
