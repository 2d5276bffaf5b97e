package api

import (
	"errors"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/tocsin-io/tocsin/ledger"
	"github.com/tocsin-io/tocsin/signin"
	"github.com/tocsin-io/tocsin/store"
)

// knownFor is how long a browser is known that somebody signed in with.
const knownFor = 90 * 24 * time.Hour

// WelcomePath is where an invitation leads; its code follows as a fragment, which
// browsers neither send nor log.
const WelcomePath = "/console/welcome#"

// A Session is who is asking, and until when.
type Session struct {
	Name    string     `json:"name"`
	Role    store.Role `json:"role"`
	Since   time.Time  `json:"since,omitzero"` // absent unless signed in with a password
	Until   time.Time  `json:"until,omitzero"` // unless something is asked for before
	Version string     `json:"version"`
	Demo    bool       `json:"demo"`
}

// A Credential is what somebody signs in with.
type Credential struct {
	Name     string `json:"name"`
	Password string `json:"password"`
}

// A PasswordChange is a new password of whoever is signed in.
type PasswordChange struct {
	Old string `json:"old"`
	New string `json:"new"`
}

// An InvitationCode is the secret of an invitation.
type InvitationCode struct {
	Code string `json:"code"`
}

// An Invitation is what a code invites to.
type Invitation struct {
	Name  string     `json:"name"` // "" is the first of all, who chooses a name
	Role  store.Role `json:"role"`
	Until time.Time  `json:"until"`
}

// An Acceptance spends an invitation.
type Acceptance struct {
	Code     string `json:"code"`
	Name     string `json:"name,omitempty"` // of the first of all; else it is the invitation's
	Password string `json:"password"`
}

// sessionRoutes are those for people who sign in.
func (a *API) sessionRoutes() []route {
	desk := func(do func(*call) (any, error)) func(*call) (any, error) {
		return func(c *call) (any, error) {
			if a.SignIn == nil {
				return nil, Refuse(http.StatusNotFound, "nobody signs in here with a password: send an API token")
			}
			return do(c)
		}
	}
	return []route{
		{"GET /v1/session", anybody, a.session, false},
		{"POST /v1/session", anybody, desk(a.signIn), false},
		{"DELETE /v1/session", viewer, desk(a.signOut), false},
		{"DELETE /v1/sessions", viewer, desk(a.signOutEverywhere), false},
		{"POST /v1/session/password", viewer, desk(a.changePassword), false},
		{"POST /v1/invitation/look", anybody, desk(a.lookAtInvitation), false},
		{"POST /v1/invitation", anybody, desk(a.acceptInvitation), false},

		{"POST /v1/users", admin, desk(a.addUser), false},
		{"PATCH /v1/users/{name}", admin, desk(a.changeUser), false},
		{"DELETE /v1/users/{name}", admin, desk(a.removeUser), false},
		{"DELETE /v1/users/{name}/sessions", admin, desk(a.signOutUser), false},
		{"POST /v1/users/{name}/reset", admin, desk(a.resetUser), false},

		{"GET /v1/log/verify", admin, a.verifyLog, false},
	}
}

// cookie returns the name of the cookie of a session: over TLS one that no other
// machine, and no plain HTTP, can set. By plain HTTP it has the port in its name:
// cookies know no ports, and two hubs on one machine (a demo is one) would sign
// people out of each other.
func (c *call) cookie() string {
	if c.r.TLS != nil {
		return "__Host-tocsin"
	}
	_, port, err := net.SplitHostPort(c.r.Host)
	if n, bad := strconv.ParseUint(port, 10, 16); err == nil && bad == nil {
		return "tocsin-" + strconv.FormatUint(n, 10)
	}
	return "tocsin"
}

// The cookie beside it says that somebody signed in with this browser before.
const knownSuffix = "-known"

func (c *call) setCookie(name, value string, lasts time.Duration) {
	cookie := &http.Cookie{
		Name: name, Value: value, Path: "/", MaxAge: int(lasts / time.Second), Secure: c.r.TLS != nil, HttpOnly: true,
		SameSite: http.SameSiteStrictMode,
	}
	if value == "" {
		cookie.MaxAge = -1
	}
	http.SetCookie(c.w, cookie)
}

func (c *call) cookieValue(name string) string {
	cookie, err := c.r.Cookie(name)
	if err != nil {
		return ""
	}
	return cookie.Value
}

func (c *call) visitor() signin.Visitor {
	return signin.Visitor{From: c.from, Known: c.cookieValue(c.cookie() + knownSuffix)}
}

// admitSigned finds out who asks by the cookie of a session. Whatever else comes
// from the same address, somebody who is signed in stays so.
func (a *API) admitSigned(c *call) error {
	secret := c.cookieValue(c.cookie())
	if secret == "" || a.SignIn == nil {
		return Refuse(http.StatusUnauthorized, "say who you are: sign in, send an API token (Authorization: Bearer), or use the hub's socket as root")
	}
	p, err := a.SignIn.Who(c.r.Context(), secret)
	if err != nil {
		return err
	}
	c.by, c.how, c.role, c.signed = p.Name, ledger.Console, whoOf(p.Role), &p
	return nil
}

// hold has a long answer end when the session or the API token of whoever asked
// does.
func (a *API) hold(c *call, rt route) (release func(), err error) {
	ctx := c.r.Context()
	switch {
	case !rt.stream:
		return func() {}, nil
	case c.signed != nil:
		ctx, release, err = a.SignIn.Hold(ctx, *c.signed)
	case c.how == ledger.Token:
		ctx, release, err = a.holdToken(ctx, c)
	default: // of the hub's machine
		return func() {}, nil
	}
	if err != nil {
		return nil, err
	}
	c.r = c.r.WithContext(ctx)
	return release, nil
}

// ofSignIn returns what a desk refuses, which is the asker's to know, or nil.
func ofSignIn(err error) *Error {
	var unfit *signin.UnfitError
	switch {
	case errors.As(err, &unfit):
		return Refuse(http.StatusUnprocessableEntity, "%s", unfit.Why)
	case errors.Is(err, signin.ErrWrong), errors.Is(err, signin.ErrEnded):
		return Refuse(http.StatusUnauthorized, "%v", err)
	case errors.Is(err, signin.ErrOff):
		return Refuse(http.StatusForbidden, "%v", err)
	case errors.Is(err, signin.ErrLastAdmin):
		return Refuse(http.StatusConflict, "%v", err)
	}
	if w, ok := signin.IsWait(err); ok {
		return &Error{Status: http.StatusTooManyRequests, Text: w.Error(), RetryAfter: w.For}
	}
	return nil
}

func (a *API) session(c *call) (any, error) {
	err := a.admitPerson(c)
	if err == nil {
		return a.sessionOf(c), nil
	}
	if e, theirs := asError(err); theirs && e.Status == http.StatusUnauthorized && a.SignIn != nil {
		settled, err := a.SignIn.Settled(c.r.Context())
		if err != nil {
			return nil, err
		}
		told := *e
		if told.First = !settled; told.First {
			told.Text = "nobody has an account yet: open the link that the hub printed, or make one on its machine with tocsin users add NAME --role admin"
		}
		return nil, &told
	}
	return nil, err
}

func (a *API) sessionOf(c *call) Session {
	s := Session{Name: c.by, Role: roleOf(c.role), Version: a.Version, Demo: a.Demo != nil}
	if c.signed != nil {
		s.Since, s.Until = c.signed.Since, c.signed.Until
	}
	return s
}

// entered hands a new session to the browser.
func (a *API) entered(c *call, e signin.Entry) Session {
	c.by, c.how, c.role, c.signed = e.Name, ledger.Console, whoOf(e.Role), &e.Person
	c.setCookie(c.cookie(), e.Secret, signin.Longest)
	c.setCookie(c.cookie()+knownSuffix, e.Known, knownFor)
	return a.sessionOf(c)
}

func (a *API) signIn(c *call) (any, error) {
	var w Credential
	c.by, c.how, c.secret = "?", ledger.Console, true
	if err := fromPerson(c.w, c.r, &w); err != nil {
		return nil, err
	}
	e, err := a.SignIn.Enter(c.r.Context(), w.Name, w.Password, c.visitor())
	a.guessed(c, w.Name, err)
	if err != nil {
		return nil, err
	}
	return a.entered(c, e), nil
}

// bySession refuses what only makes sense for somebody who signed in.
func (c *call) bySession() error {
	if c.signed == nil {
		return badRequest("this is for people who signed in with a password: an API token is ended with tocsin hub access drop")
	}
	return nil
}

func (a *API) signOut(c *call) (any, error) {
	if err := c.bySession(); err != nil {
		return nil, err
	}
	err := a.SignIn.Leave(c.r.Context(), *c.signed)
	if err == nil {
		c.setCookie(c.cookie(), "", 0)
	}
	return nil, err
}

func (a *API) signOutEverywhere(c *call) (any, error) {
	if err := c.bySession(); err != nil {
		return nil, err
	}
	err := a.SignIn.LeaveEverywhere(c.r.Context(), c.by)
	if err == nil {
		c.setCookie(c.cookie(), "", 0)
	}
	return nil, err
}

func (a *API) changePassword(c *call) (any, error) {
	if err := c.bySession(); err != nil {
		return nil, err
	}
	var w PasswordChange
	c.secret = true
	if err := fromPerson(c.w, c.r, &w); err != nil {
		return nil, err
	}
	err := a.SignIn.ChangePassword(c.r.Context(), *c.signed, w.Old, w.New, c.visitor())
	if errors.Is(err, signin.ErrWrong) {
		return nil, Refuse(http.StatusUnprocessableEntity, "old: this is not your password")
	}
	return nil, err
}

func (a *API) lookAtInvitation(c *call) (any, error) {
	var w InvitationCode
	if err := fromPerson(c.w, c.r, &w); err != nil {
		return nil, err
	}
	i, err := a.SignIn.Look(c.r.Context(), w.Code)
	return result(Invitation{i.Name, i.Role, i.Until}, spentLink(err))
}

// spentLink says what to do about a link that leads nowhere any more.
func spentLink(err error) error {
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrSpent) {
		return Refuse(http.StatusGone, "this link was used, replaced, or is too old: ask an admin for another (tocsin users reset NAME)")
	}
	return err
}

func (a *API) acceptInvitation(c *call) (any, error) {
	var w Acceptance
	c.by, c.how, c.secret = "?", ledger.Console, true
	if err := fromPerson(c.w, c.r, &w); err != nil {
		return nil, err
	}
	e, err := a.SignIn.Accept(c.r.Context(), w.Code, w.Name, w.Password, c.visitor())
	if err != nil {
		return nil, spentLink(err)
	}
	return a.entered(c, e), nil
}

// Local returns what a listener for this machine alone serves, by plain HTTP. A
// page elsewhere can have its own name lead to this machine, and would be the
// same site then: only names that cannot lead elsewhere are answered.
func (a *API) Local() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !isLocal(r.Host) {
			secure(w.Header(), r)
			writeError(w, Refuse(http.StatusMisdirectedRequest, "this address is for this machine alone: call it localhost or 127.0.0.1"))
			return
		}
		a.ServeHTTP(w, r)
	})
}

// isLocal reports whether a host, with a port or without, can only be this
// machine.
func isLocal(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if strings.EqualFold(strings.TrimSuffix(host, "."), "localhost") {
		return true
	}
	address, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && address.Unmap().IsLoopback()
}
