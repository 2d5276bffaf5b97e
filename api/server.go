package api

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/user"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/internal/logkey"
	"github.com/tocsin-io/tocsin/ledger"
	"github.com/tocsin-io/tocsin/signin"
	"github.com/tocsin-io/tocsin/store"
)

const (
	headerTime = 10 * time.Second
	bodyTime   = 30 * time.Second
	writeTime  = 60 * time.Second // of a whole answer, or of one piece of a stream
	idleTime   = 3 * time.Minute
	maxHeader  = 16 << 10
)

// Config is what an API serves, and how much of it.
type Config struct {
	// Peer says who the device at the other end of a connection is, or why it may
	// not come in, revoked ones included. It is asked for each request.
	Peer func(tls.ConnectionState) (Peer, error)
	// Admin says which users of this machine may do everything over the socket;
	// nil is root and the hub's own.
	Admin func(uid uint32) bool

	Enroller Enroller
	Ingester Ingester
	Keyring  Keyring
	Fleet    Fleet
	Registry Registry
	Accesses Accesses
	Passes   Passes
	Upkeep   Upkeep
	Keys     Keykeeper
	Incident Incident     // nil: what happened is not served here
	Console  Console      // nil: what only pages show is not served here
	SignIn   *signin.Desk // nil: nobody signs in here with a password
	Ledger   store.Ledger // what operators did; nil: nothing is written down

	// Noted hears of each entry of the ledger; nil is nobody. It must return at
	// once.
	Noted func(ledger.Entry)

	Tables map[string]Table // of other parts, besides those of the console

	Feed    http.Handler // answers GET /v1/feed to devices
	Live    http.Handler // answers GET /v1/live to viewers; nil: nothing is told as it happens
	Metrics http.Handler // answers GET /metrics to viewers
	// Pages are what anybody may read, by the folder that they are below, such as
	// "/docs/". Their handlers set a policy for browsers that is no weaker than is
	// needed, and say what may be kept.
	Pages map[string]http.Handler

	Rate  float64 // sightings a second that one device may send for long; 0 is 200
	Burst float64 // sightings that it may send at once, after a time off; 0 is 20,000
	Busy  int     // batches decoded and committed at a time; 0 is 64

	Version  string   // of the program
	Demo     Demo     // what is shown is invented; nil: it is not
	Consoles []string // where browsers find the console, such as "https://192.0.2.1:7443"

	Log *slog.Logger     // nil is none
	Now func() time.Time // nil is the clock
}

// An API answers devices, people and programs. It is an [http.Handler]. Make one
// with [New].
type API struct {
	Config
	mux       *http.ServeMux
	cross     *http.CrossOriginProtection
	deeds     *deeds
	sightings *limiter[tocsin.DeviceID]
	clues     *limiter[tocsin.DeviceID]
	contacts  *limiter[tocsin.DeviceID]
	sending   *turnstile[tocsin.DeviceID]
	refusals  *limiter[netip.Prefix] // wrong tokens, by source
	redeems   *limiter[netip.Prefix] // one-time passes tried, by source
	everybody *limiter[struct{}]     // one-time passes tried by all
	busy      chan struct{}
	holds     holds
	watching  *turnstile[string] // consoles, by caller
	dearOf    *turnstile[string] // long lists, by caller
	dearAll   chan struct{}
	sorting   chan struct{}
}

// How many times rarer than sightings clues and contacts are: a device in other
// hands must not fill the hub's disk with them.
const (
	clueShare    = 20
	contactShare = 10
)

// New returns an API of these parts, all of which must be there.
func New(c Config) *API {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Admin == nil {
		c.Admin = func(uid uint32) bool { return uid == 0 || int(uid) == os.Geteuid() }
	}
	if c.Rate <= 0 {
		c.Rate = 200
	}
	if c.Burst <= 0 {
		c.Burst = 20_000
	}
	if c.Busy <= 0 {
		c.Busy = 64
	}
	const sources = 1 << 16 // an attacker chooses the addresses
	a := &API{
		Config: c, mux: http.NewServeMux(), cross: http.NewCrossOriginProtection(), deeds: newDeeds(), busy: make(chan struct{}, c.Busy),
		sightings: newLimiter[tocsin.DeviceID](c.Rate, c.Burst, 1<<20),
		clues:     newLimiter[tocsin.DeviceID](c.Rate/clueShare, c.Burst/clueShare, 1<<20),
		contacts:  newLimiter[tocsin.DeviceID](c.Rate/contactShare, c.Burst/contactShare, 1<<20),
		sending:   newTurnstile[tocsin.DeviceID](2),
		refusals:  newLimiter[netip.Prefix](0.2, 20, sources),
		redeems:   newLimiter[netip.Prefix](0.1, 6, sources),
		everybody: newLimiter[struct{}](20, 100, 1),
		watching:  newTurnstile[string](maxWatching),
		dearOf:    newTurnstile[string](dearEach),
		dearAll:   make(chan struct{}, dearMost),
		sorting:   make(chan struct{}, maxSorting),
	}
	a.Tables = a.peopleTables()
	for name, t := range c.Tables {
		a.Tables[name] = t
	}
	for _, r := range a.routes() {
		a.mux.Handle(r.pattern, a.handler(r))
	}
	for folder, pages := range a.Pages {
		a.mux.Handle("GET "+folder, a.handler(route{do: a.mounted(pages)}))
	}
	return a
}

// Server returns an HTTP server that serves a on listeners of TLS connections,
// and on a Unix socket.
func (a *API) Server() *http.Server {
	return &http.Server{
		Handler:           a,
		ReadHeaderTimeout: headerTime,
		IdleTimeout:       idleTime,
		MaxHeaderBytes:    maxHeader,
		ConnContext:       ConnContext,
		ErrorLog:          slog.NewLogLogger(a.Log.Handler(), slog.LevelDebug),
	}
}

type uidKey struct{}

// ConnContext notes who is at the other end of a Unix socket, by the kernel's
// word. An [http.Server] of one's own needs it.
func ConnContext(ctx context.Context, c net.Conn) context.Context {
	u, ok := c.(*net.UnixConn)
	if !ok {
		return ctx
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return ctx
	}
	var cred *unix.Ucred
	var unknown error
	err = raw.Control(func(fd uintptr) { cred, unknown = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) })
	if err != nil || unknown != nil {
		return ctx
	}
	return context.WithValue(ctx, uidKey{}, cred.Uid)
}

// userName returns the name of a user of this machine.
func userName(uid uint32) string {
	id := strconv.FormatUint(uint64(uid), 10)
	if u, err := user.LookupId(id); err == nil {
		return u.Username
	}
	return "uid " + id
}

// ServeHTTP answers one request.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	secure(w.Header(), r)
	if err := a.cross.Check(r); err != nil {
		writeError(w, Refuse(http.StatusForbidden, "another site's page asked for this: open the hub's own console"))
		return
	}
	if _, pattern := a.mux.Handler(r); pattern == "" {
		a.lost(w, r)
		return
	}
	a.mux.ServeHTTP(w, r)
}

// secure sets what makes browsers and caches careful.
func secure(h http.Header, r *http.Request) {
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", contentPolicy)
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Referrer-Policy", "no-referrer")
	if r.TLS != nil && !isLocal(r.Host) { // one name of this machine serves plain HTTP on another port
		h.Set("Strict-Transport-Security", "max-age=31536000")
	}
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
}

// lost answers what no route does, in JSON as everything.
func (a *API) lost(w http.ResponseWriter, r *http.Request) {
	var m muted
	a.mux.ServeHTTP(&m, r)
	if m.status == http.StatusMethodNotAllowed {
		w.Header().Set("Allow", m.Header().Get("Allow"))
		writeError(w, Refuse(m.status, "%s is not for %s: try %s", r.URL.Path, r.Method, m.Header().Get("Allow")))
		return
	}
	writeError(w, Refuse(http.StatusNotFound, "there is nothing here: /openapi.json lists what there is"))
}

// muted keeps the header of an answer, and nothing else.
type muted struct {
	header http.Header
	status int
}

func (m *muted) Header() http.Header {
	if m.header == nil {
		m.header = http.Header{}
	}
	return m.header
}
func (m *muted) WriteHeader(status int)      { m.status = status }
func (m *muted) Write(b []byte) (int, error) { return len(b), nil }

// handler wraps a route: deadlines, who asks, errors.
func (a *API) handler(rt route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.deadlines(w, rt)
		if !rt.stream {
			ctx, cancel := context.WithTimeout(r.Context(), writeTime)
			defer cancel()
			r = r.WithContext(ctx)
		}
		c := &call{w: w, r: r, at: a.Now(), from: remote(r)}
		answer, err := any(nil), a.admit(c, rt.who)
		if err == nil {
			answer, err = a.held(c, rt)
		}
		a.note(c, rt, err)
		switch {
		case err != nil:
			a.refuse(c, err)
		case answer == answered:
		case answer == nil:
			w.WriteHeader(http.StatusNoContent)
		default:
			writeJSON(w, http.StatusOK, answer)
		}
	})
}

// held does what a route does, for as long as whoever asked may.
func (a *API) held(c *call, rt route) (any, error) {
	release, err := a.hold(c, rt)
	if err != nil {
		return nil, err
	}
	defer release()
	return rt.do(c)
}

// deadlines bounds how long a request may come in and an answer may go out;
// httptest's recorder knows neither.
func (a *API) deadlines(w http.ResponseWriter, rt route) {
	if rt.stream {
		return
	}
	rc := http.NewResponseController(w)
	err := errors.Join(rc.SetReadDeadline(time.Now().Add(bodyTime)), rc.SetWriteDeadline(time.Now().Add(bodyTime+writeTime)))
	if err != nil && !errors.Is(err, http.ErrNotSupported) {
		a.Log.Debug("no deadline", logkey.Err, err)
	}
}

// refuse answers with an error; what is the hub's own business is logged.
func (a *API) refuse(c *call, err error) {
	e, theirs := asError(err)
	if !theirs && c.r.Context().Err() == nil {
		a.Log.Error("request failed", logkey.Path, c.r.Method+" "+c.r.URL.Path, logkey.Err, err)
	}
	if c.begun {
		// The only way to say that what was sent is not all.
		panic(http.ErrAbortHandler)
	}
	writeError(c.w, e)
}

// remote returns the address at the other end; a Unix socket has none.
func remote(r *http.Request) netip.Addr {
	p, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return p.Addr().Unmap().WithZone("")
}
