package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/internal/logkey"
	"github.com/tocsin-io/tocsin/ledger"
	"github.com/tocsin-io/tocsin/signin"
)

// How many refusals are written down: whoever asks for them must not fill the
// disk with them. What is left out is counted in the next that is written.
const (
	refusedRate, refusedBurst = 0.1, 20  // a second, and at once: of one name, or of one source
	refusedMore, refusedMost  = 0.1, 200 // of all strangers
)

// noteTime bounds the writing of an entry, which goes on when whoever asked has
// hung up.
const noteTime = 30 * time.Second

// deeds writes what people did to the operators' log.
type deeds struct {
	known *limiter[string]   // refusals by name, guesses by source
	all   *limiter[struct{}] // guesses

	mu      sync.Mutex // guards leftOut
	leftOut uint64
}

func newDeeds() *deeds {
	const keys = 1 << 12 // callers choose them
	return &deeds{known: newLimiter[string](refusedRate, refusedBurst, keys), all: newLimiter[struct{}](refusedMore, refusedMost, 1)}
}

// summaries are what each route does, in the words of the document.
var summaries = sync.OnceValue(func() map[string]string {
	var doc struct {
		Paths map[string]map[string]struct{ Summary string }
	}
	if err := json.Unmarshal(Document, &doc); err != nil {
		panic(err) // it is part of the program
	}
	all := map[string]string{}
	for path, item := range doc.Paths {
		for method, op := range item {
			all[strings.ToUpper(method)+" "+path] = op.Summary
		}
	}
	return all
})

// noted reports whether a request belongs into the log of what operators did.
func (a *API) noted(c *call, rt route, err error) bool {
	switch {
	case a.Ledger == nil:
		return false
	case rt.pattern == "POST /v1/session", rt.pattern == "POST /v1/invitation":
		// A try that was not looked at is no sign-in, and comes as often as it likes.
		e, theirs := asError(err)
		return err == nil || !theirs || e.Status != http.StatusTooManyRequests && e.Status != http.StatusGone
	case rt.pattern == "GET /v1/backup": // it hands out all that the hub keeps
		return c.how != ""
	}
	return rt.who >= viewer && c.how != "" && c.r.Method != http.MethodGet && c.r.Method != http.MethodHead
}

// note writes a request to the log of what operators did, after it happened.
func (a *API) note(c *call, rt route, err error) {
	if !a.noted(c, rt, err) {
		return
	}
	e := ledger.Entry{
		By: c.by, How: c.how, From: c.from, Did: c.words(rt), Path: c.r.Method + " " + c.r.URL.Path, Outcome: outcome(c, err),
	}
	if err != nil && !a.deeds.room(c) {
		return
	}
	if err != nil {
		e.Outcome += a.deeds.counted()
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.r.Context()), noteTime)
	defer cancel()
	e, failed := a.Ledger.Enter(ctx, e)
	if failed != nil {
		a.Log.Error("what an operator did is not in the log of the hub: make room or look at the disk", logkey.User, c.by, logkey.Path,
			c.r.Method+" "+c.r.URL.Path, logkey.Outcome, outcome(c, err), logkey.Err, failed)
		return
	}
	// Where this goes another copy of the head is kept: what the log cannot tell.
	a.Log.Info("asked", logkey.User, e.By, logkey.Path, e.Path, logkey.Outcome, e.Outcome, "entry", e.Serial, "head", e.Hash.String())
	if a.Noted != nil {
		a.Noted(e)
	}
}

// words say what was asked for.
func (c *call) words(rt route) string {
	if c.did != "" {
		return c.did
	}
	text, _, _ := strings.Cut(summaries()[rt.pattern], ";")
	if text != "" {
		text = strings.ToLower(text[:1]) + text[1:]
	}
	for _, name := range []string{"id", "name", "device", "key"} {
		if v := c.r.PathValue(name); v != "" {
			text += ": " + v
		}
	}
	return text
}

// outcome says how it ended. Texts about a body may quote it, and some bodies hold
// secrets.
func outcome(c *call, err error) string {
	if err == nil {
		return "done"
	}
	e, theirs := asError(err)
	switch {
	case !theirs:
		return "failed: " + e.Text
	case e.Status == http.StatusBadRequest && c.secret:
		return "refused: not understood"
	}
	return "refused: " + e.Text
}

// room reports whether one more refusal may be written. Only strangers share a bound:
// they must not keep out of the log what somebody who is known was refused.
func (d *deeds) room(c *call) bool {
	key, stranger := "by "+c.how+" "+c.by, false
	if c.how == "" || c.signed == nil && c.how == ledger.Console {
		key, stranger = "from "+tocsin.SourcePrefix(c.from).String(), true
	}
	if d.known.wait(key, c.at) > 0 || stranger && d.all.wait(struct{}{}, c.at) > 0 {
		d.mu.Lock()
		d.leftOut++
		d.mu.Unlock()
		return false
	}
	d.known.take(key, 1, c.at)
	if stranger {
		d.all.take(struct{}{}, 1, c.at)
	}
	return true
}

// counted tells what was left out since the last time.
func (d *deeds) counted() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := d.leftOut
	d.leftOut = 0
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(" (%d more refusals before this one are not written down)", n)
}

// guessed says who tried to sign in: a name only if there is such a user, for
// people type passwords into the field above, too.
func (a *API) guessed(c *call, name string, err error) {
	c.did = "sign in"
	if known, e := a.SignIn.Known(c.r.Context(), name); e == nil && known != "" {
		c.by = known
	}
	if errors.Is(err, signin.ErrWrong) {
		c.did = "sign in with a wrong password"
		if c.by == "?" {
			c.did = "sign in as nobody who is known"
		}
	}
}
