package rdap

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A got is what a server answered.
type got struct {
	url  string // after redirects
	at   time.Time
	body []byte
}

// transport returns a client of HTTP that reaches public servers only. Whatever
// a name resolves to is judged where it is dialled, so that a name that changes
// its mind between two look-ups gains nothing. There is no proxy: it would dial
// in our place.
func (c *Client) transport() *http.Client {
	dialer := net.Dialer{ControlContext: c.control}
	return &http.Client{
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				conn, err := dialer.DialContext(ctx, network, address)
				if h, ok := ctx.Value(hopKey{}).(*hop); ok && err == nil {
					h.own = c.own(conn.RemoteAddr())
				}
				return conn, err
			},
			TLSClientConfig:        &tls.Config{RootCAs: c.cfg.Roots, MinVersion: tls.VersionTLS12},
			MaxResponseHeaderBytes: 64 << 10,
			DisableKeepAlives:      true, // questions are few, and each connection is judged
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// A hop is one request of a question, known to whoever dials for it.
type hop struct {
	strange bool // a public server sent us: it leads to no server of our own
	own     bool // a server of our own answered
}

type hopKey struct{}

func (c *Client) control(ctx context.Context, _, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	a := at.Addr().Unmap()
	h, ok := ctx.Value(hopKey{}).(*hop)
	if own := ok && !h.strange && c.local(a); !own && !public(a) {
		return fmt.Errorf("%s is not a public server, and is not contacted", a)
	}
	return nil
}

func (c *Client) own(a net.Addr) bool {
	tcp, ok := a.(*net.TCPAddr)
	return ok && c.local(tcp.AddrPort().Addr().Unmap())
}

func (c *Client) local(a netip.Addr) bool {
	return slices.ContainsFunc(c.cfg.Local, func(p netip.Prefix) bool { return p.Contains(a) })
}

// parse reads the address of a server. Without TLS an answer could be anybody's,
// so that is for servers of one's own, given by number.
func (c *Client) parse(address string) (*url.URL, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, fmt.Errorf("rdap: %w", err)
	}
	own := false
	if a, err := netip.ParseAddr(u.Hostname()); err == nil {
		own = c.local(a.Unmap())
	}
	switch {
	case u.Host == "" || u.User != nil:
		return nil, fmt.Errorf("rdap: %q: needs the form https://server/path/", address)
	case u.Scheme != "https" && !(u.Scheme == "http" && own):
		return nil, fmt.Errorf("rdap: %q: only https is trusted", address)
	}
	return u, nil
}

// get asks for an address and follows a few redirects, never in circles. The
// time limit holds for all of it.
func (c *Client) get(ctx context.Context, address string, most int64) (got, error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	var visited []string
	strange := false
	for {
		u, err := c.parse(address)
		if err != nil {
			return got{}, err
		}
		if slices.Contains(visited, u.String()) {
			return got{}, fmt.Errorf("%s: the registries send us in circles: %s", visited[0], strings.Join(visited, ", "))
		}
		if len(visited) > maxRedirects {
			return got{}, fmt.Errorf("%s: more than %d redirects", visited[0], maxRedirects)
		}
		visited = append(visited, u.String())
		h := &hop{strange: strange}
		answer, next, err := c.once(context.WithValue(ctx, hopKey{}, h), u, most)
		if err != nil {
			return got{}, c.explain(u, err)
		}
		if next == "" {
			return answer, nil
		}
		address, strange = next, !h.own
	}
}

// once sends one request. next is where the answer sends us instead.
func (c *Client) once(ctx context.Context, u *url.URL, most int64) (answer got, next string, err error) {
	b := c.server(u.Host)
	if err := b.wait(ctx, c.now(), c.cfg.PerMinute); err != nil {
		return got{}, "", err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return got{}, "", err
	}
	req.Header.Set("Accept", "application/rdap+json, application/json")
	req.Header.Set("User-Agent", c.cfg.Agent)
	res, err := c.http.Do(req)
	if err != nil {
		return got{}, "", err
	}
	defer res.Body.Close()
	switch code := res.StatusCode; {
	case code == http.StatusOK:
	case code == 301 || code == 302 || code == 303 || code == 307 || code == 308:
		to, err := res.Location()
		if err != nil {
			return got{}, "", fmt.Errorf("status %d: %w", code, err)
		}
		return got{}, to.String(), nil
	case code == http.StatusTooManyRequests || code == http.StatusServiceUnavailable:
		until := c.now().Add(pause(res.Header.Get("Retry-After"), c.now()))
		b.until = until
		return got{}, "", &BusyError{Server: u.Host, Until: until}
	case code == http.StatusNotFound:
		return got{}, "", errors.New("status 404: the registry knows nothing of it")
	default:
		return got{}, "", fmt.Errorf("status %s", clean(res.Status, 80))
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, most+1))
	if err == nil {
		// A server may end its answer because we are just hanging up: that is not the whole of it.
		err = ctx.Err()
	}
	if err != nil {
		return got{}, "", err
	}
	if int64(len(body)) > most {
		return got{}, "", fmt.Errorf("answer is larger than %d bytes", most)
	}
	return got{url: u.String(), at: c.now(), body: body}, "", nil
}

// explain says in words what went wrong, and with whom.
func (c *Client) explain(u *url.URL, err error) error {
	var outer *url.Error
	if errors.As(err, &outer) {
		err = outer.Err // it repeats the address
	}
	var unknown *tls.CertificateVerificationError
	switch {
	case errors.As(err, &unknown):
		err = fmt.Errorf("%w: nobody trusted vouches for this server; is this machine's clock right, are its root certificates there?", err)
	case errors.Is(err, context.DeadlineExceeded):
		err = fmt.Errorf("no whole answer within %s: %w", c.cfg.Timeout, err)
	}
	return fmt.Errorf("%s: %w", u, err)
}

// pause reads Retry-After, seconds or a date; a minute where it is missing or
// wrong, and never longer than we are patient.
func pause(header string, now time.Time) time.Duration {
	d := time.Minute
	if n, err := strconv.ParseUint(strings.TrimSpace(header), 10, 31); err == nil {
		d = time.Duration(n) * time.Second
	} else if at, err := http.ParseTime(header); err == nil {
		d = at.Sub(now)
	}
	return min(max(d, time.Second), maxPatience)
}
