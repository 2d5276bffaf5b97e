package api

import (
	"crypto/sha256"
	"errors"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/internal/logkey"
	"github.com/tocsin-io/tocsin/ledger"
	"github.com/tocsin-io/tocsin/signin"
	"github.com/tocsin-io/tocsin/store"
)

// who may use a route. Each of the last three may do what the one before may.
type who uint8

const (
	anybody  who = iota
	device       // by its certificate
	renewing     // by its certificate, even if that expired
	viewer
	analyst
	admin
)

// A route is one thing that the API does.
type route struct {
	pattern string
	who     who
	do      func(*call) (answer any, err error) // nil answers 204
	stream  bool                                // sets its own deadlines
}

// answered is the answer of a route that wrote it itself.
var answered any = new(int)

// A call is one request under way.
type call struct {
	w      http.ResponseWriter
	r      *http.Request
	at     time.Time
	from   netip.Addr
	peer   Peer   // of a device
	by     string // name of a person or program
	how    string // by which way it is known: see package ledger
	did    string // what was asked for, in words; "" is the summary of the route
	secret bool   // the body holds a secret: what is said about it is not written down
	role   who
	signed *signin.Person // who signed in with a password; nil is nobody
	access store.Access   // the API token that was sent
	begun  bool           // part of the answer is out
}

// Routes lists what an [API] answers, such as "GET /v1/status".
func Routes() (list []string) {
	for _, r := range new(API).routes() {
		list = append(list, r.pattern)
	}
	return list
}

func (a *API) routes() []route {
	return slices.Concat(a.incidentRoutes(), a.sessionRoutes(), a.consoleRoutes(), []route{
		{"POST /v1/enroll", anybody, a.enrol, false},
		{"POST /v1/renew", renewing, a.renew, false},
		{"POST /v1/sightings", device, a.ingest, false},
		{"POST /v1/clues", device, a.takeClues, false},
		{"POST /v1/contacts", device, a.takeContacts, false},
		{"POST /v1/losses", device, a.lose, false},
		{"POST /v1/state", device, a.report, false},
		{"GET /v1/tuf/{file}", device, a.tuf, false},
		{"GET /v1/owner-key", device, a.ownerKey, false},
		{"POST /v1/owner-key", device, a.offerOwnerKey, false},
		{"GET /v1/feed", device, a.mounted(a.Feed), true},

		{"GET /v1/devices", viewer, a.devices, false},
		{"GET /v1/devices/{id}", viewer, a.device, false},
		{"PATCH /v1/devices/{id}", analyst, a.changeDevice, false},
		{"POST /v1/devices/{id}/revoke", admin, a.revokeDevice, false},
		{"POST /v1/tokens", admin, a.newToken, false},
		{"GET /v1/rules", viewer, a.rules, false},
		{"GET /v1/rules/explain", viewer, a.explain, false},
		{"POST /v1/orders", analyst, a.order, false},
		{"GET /v1/events", viewer, a.events, false},
		{"GET /v1/list", viewer, a.list, true},
		{"GET /v1/accesses", admin, a.accesses, false},
		{"POST /v1/accesses", admin, a.newAccess, false},
		{"DELETE /v1/accesses/{name}", admin, a.dropAccess, false},
		{"GET /v1/passes", analyst, a.passes, false},
		{"POST /v1/passes", analyst, a.newPasses, false},
		{"GET /v1/networks", viewer, a.networks, false},
		{"PUT /v1/networks", admin, a.importNetworks, true},
		{"GET /v1/keys", admin, a.keyStatus, false},
		{"POST /v1/keys", admin, a.changeKeys, false},
		{"GET /v1/status", viewer, a.status, false},
		{"GET /v1/backup", admin, a.backup, true},

		{"GET /pass", anybody, a.passPage, false},
		{"POST /pass", anybody, a.redeem, false},
		{"GET /openapi.json", anybody, a.document, false},
		{"GET /healthz", anybody, a.health, false},
		{"GET /readyz", anybody, a.ready, false},
		{"GET /metrics", viewer, a.mounted(a.Metrics), true},
	})
}

// incidentRoutes are those of a hub that answers what happened.
func (a *API) incidentRoutes() []route {
	served := func(do func(*call) (any, error)) func(*call) (any, error) {
		return func(c *call) (any, error) {
			if a.Incident == nil {
				return nil, Refuse(http.StatusNotFound, "this hub does not serve it")
			}
			return do(c)
		}
	}
	return []route{
		{"GET /v1/campaigns", viewer, served(a.campaigns), false},
		{"GET /v1/campaigns/{id}", viewer, served(a.campaign), false},
		{"GET /v1/stix", viewer, served(a.stix), true},
		{"GET /v1/controllers", viewer, served(a.controllers), false},
		{"GET /v1/compromise", viewer, served(a.compromise), false},
		{"GET /v1/compromise/{device}", viewer, served(a.assessed), false},
		{"POST /v1/compromise/{device}/dismiss", analyst, served(a.dismiss), false},
		{"GET /v1/notices", analyst, served(a.notices), false},
		{"POST /v1/notices/approve", analyst, served(a.approveNotice), false},

		{"GET /v1/cases", viewer, served(a.cases), false},
		{"GET /v1/cases/{id}", viewer, served(a.caseFile), false},
		{"GET /v1/cases/{id}/letters", viewer, served(a.caseLetters), false},
		{"POST /v1/cases", analyst, served(a.openCase), false},
		{"POST /v1/cases/{id}/draft", analyst, served(a.draftCase), false},
		{"POST /v1/cases/{id}/approve", analyst, served(a.approveCase), false},
		{"POST /v1/cases/{id}/send", analyst, served(a.sendCase), false},
		{"POST /v1/cases/{id}/act", analyst, served(a.actOnCase), false},
		{"GET /v1/cases/{id}/dossier", analyst, served(a.dossier), false},
		{"GET /v1/cases/{id}/print", viewer, served(a.printCase), false},
		{"POST /v1/cases/answer", analyst, served(a.takeAnswer), false},

		{"POST /v1/flows", analyst, served(a.importFlows), true},
		{"POST /v1/notifications/test", admin, served(a.testNotifications), false},
	}
}

// mounted serves a part that writes its own answers.
func (a *API) mounted(h http.Handler) func(*call) (any, error) {
	return func(c *call) (any, error) {
		if h == nil {
			return nil, Refuse(http.StatusNotFound, "this hub does not serve it")
		}
		h.ServeHTTP(c.w, c.r)
		return answered, nil
	}
}

// admit finds out who asks, before anything of the body is read.
func (a *API) admit(c *call, need who) error {
	switch need {
	case anybody:
		return nil
	case device, renewing:
		return a.admitDevice(c, need)
	}
	if err := a.admitPerson(c); err != nil {
		return err
	}
	return c.needs(need)
}

// needs refuses a person who may not do as much.
func (c *call) needs(role who) error {
	if c.role < role {
		return Refuse(http.StatusForbidden, "%s may not: it takes the role of %s", c.by, roleOf(role))
	}
	return nil
}

func (a *API) admitDevice(c *call, need who) error {
	if c.r.TLS == nil {
		return Refuse(http.StatusUnauthorized, "this is for devices, by their certificate: enrol first (tocsin enroll)")
	}
	p, err := a.Peer(*c.r.TLS)
	if err != nil {
		var e *Error
		if errors.As(err, &e) {
			return e
		}
		return Refuse(http.StatusUnauthorized, "no device of this hub: %v", err)
	}
	if p.Expired && need != renewing {
		return Refuse(http.StatusForbidden, "the certificate expired: renew it first")
	}
	c.peer = p
	return nil
}

func (a *API) admitPerson(c *call) error {
	if uid, ok := c.r.Context().Value(uidKey{}).(uint32); ok && a.Admin(uid) {
		c.by, c.how, c.role = userName(uid), ledger.Socket, admin
		return nil
	}
	scheme, token, _ := strings.Cut(c.r.Header.Get("Authorization"), " ")
	if token == "" || !strings.EqualFold(scheme, "Bearer") {
		return a.admitSigned(c)
	}
	source := tocsin.SourcePrefix(c.from)
	if wait := a.refusals.wait(source, c.at); wait > 0 {
		return &Error{Status: http.StatusTooManyRequests, Text: "too many wrong tokens from there: wait", RetryAfter: wait}
	}
	hash := HashAccess(token)
	access, err := a.Accesses.Access(c.r.Context(), hash)
	if errors.Is(err, store.ErrNotFound) || err == nil && !access.Until.IsZero() && !c.at.Before(access.Until) {
		a.refusals.take(source, 1, c.at)
		return errToken
	}
	if err != nil {
		return err
	}
	if c.at.Sub(access.Used) > usedEvery { // it commits: once in a while is enough
		if err := a.Accesses.UseAccess(c.r.Context(), hash, c.at); err != nil {
			a.Log.Warn("use of an API token not noted", logkey.User, access.Name, logkey.Err, err)
		}
	}
	c.by, c.how, c.role, c.access = access.Name, ledger.Token, whoOf(access.Role), access
	return nil
}

// errToken refuses an API token.
var errToken = Refuse(http.StatusUnauthorized, "the API token is not known, or has ended: ask an admin of the hub for one")

// whoOf returns what somebody of a role may do; none that is not known may
// anything.
func whoOf(r store.Role) who {
	for _, role := range []who{viewer, analyst, admin} {
		if roleOf(role) == r {
			return role
		}
	}
	return anybody
}

// usedEvery is how exactly the last use of an API token is known.
const usedEvery = 10 * time.Minute

func roleOf(w who) store.Role {
	return map[who]store.Role{viewer: store.Viewer, analyst: store.Analyst, admin: store.Admin}[w]
}

// HashAccess returns what is stored of an API token. A token is 256 random bits,
// so its hash needs no salt.
func HashAccess(token string) [32]byte { return sha256.Sum256([]byte("tocsin access\x00" + token)) }
