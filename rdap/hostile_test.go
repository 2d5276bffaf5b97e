package rdap

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"
)

var suspect = netip.MustParseAddr("192.0.2.7")

// Whatever a registry does there is an error with its address and with advice,
// within the time limit, and the next question is answered.
func TestHostileRegistries(t *testing.T) {
	for name, test := range map[string]struct {
		say  http.HandlerFunc
		want string
	}{
		"huge": {func(w http.ResponseWriter, _ *http.Request) {
			for range 100 {
				_, _ = w.Write(bytes.Repeat([]byte("{\"a\":"), 10<<10))
			}
		}, "larger than 524288 bytes"},
		"page":  {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }, "not a JSON object"},
		"null":  {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("null")) }, "not about a network"},
		"empty": {func(http.ResponseWriter, *http.Request) {}, "not a JSON object"},
		"another's": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(`{"startAddress":"203.0.113.0","endAddress":"203.0.113.255"}`))
		}, "does not hold 192.0.2.7"},
		"broken":  {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }, "status 500"},
		"unknown": {http.NotFound, "knows nothing of it"},
		"drops":   {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "EOF"},
		"headers": {func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X", strings.Repeat("x", 1<<20)) }, "headers exceeded"},
		"cut off": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "99")
			_, _ = w.Write([]byte("{"))
		}, "EOF"},
		"nowhere": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(302) }, "Location"},
		"bad zip": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write([]byte("{}"))
		}, "EOF"},
		"file":     {redirect("file:///etc/passwd"), "needs the form"},
		"no TLS":   {redirect("http://registry.example/ip/192.0.2.7"), "only https is trusted"},
		"password": {redirect("https://a:b@registry.example/"), "needs the form"},
		"inside":   {redirect("https://10.0.0.1/ip/192.0.2.7"), "10.0.0.1 is not a public server"},
		"loopback": {redirect("https://127.0.0.2:1/ip/192.0.2.7"), "127.0.0.2 is not a public server"},
		"mapped":   {redirect("https://[::ffff:10.0.0.1]/"), "10.0.0.1 is not a public server"},
		"cloud":    {redirect("https://169.254.169.254/latest/"), "169.254.169.254 is not a public server"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRegistries(t)
			r.on("/arin/ip/192.0.2.7", test.say)
			c, _ := client(t, r.config(t))
			_, err := c.Contact(t.Context(), suspect)
			wantErr(t, err, "192.0.2.7", test.want, "name the contact by hand")
			if _, err := c.Contact(t.Context(), netip.MustParseAddr("198.51.100.99")); err != nil {
				t.Errorf("the next question: %v", err)
			}
		})
	}
}

func redirect(to string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", to)
		w.WriteHeader(http.StatusTemporaryRedirect)
	}
}

func TestSlowRegistries(t *testing.T) {
	for name, say := range map[string]http.HandlerFunc{
		"silent": func(_ http.ResponseWriter, req *http.Request) { <-req.Context().Done() },
		"drips": func(w http.ResponseWriter, req *http.Request) {
			for req.Context().Err() == nil { // a byte at a time, without end
				_, _ = w.Write([]byte(" "))
				_ = http.NewResponseController(w).Flush()
				select {
				case <-req.Context().Done():
				case <-time.After(10 * time.Millisecond):
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRegistries(t)
			r.on("/arin/ip/192.0.2.7", say)
			cfg := r.config(t)
			cfg.Timeout = 200 * time.Millisecond
			c, _ := client(t, cfg)
			c.lists["ipv4.json"] = &list{fetched: start, networks: map[netip.Prefix]string{netip.MustParsePrefix("192.0.2.0/24"): r.URL + "/arin/"}}
			_, err := c.Contact(t.Context(), suspect)
			wantErr(t, err, "no whole answer within 200ms", "try again later")
		})
	}
}

func TestRedirects(t *testing.T) {
	r := newRegistries(t)
	c, now := client(t, r.config(t))
	r.answer(t, "/far/ip/192.0.2.7", "arin")
	for i, to := range []string{"/two/", "/three/", "/far/"} {
		from := []string{"/arin/", "/two/", "/three/"}[i]
		r.on(from+"ip/192.0.2.7", redirect(r.URL+to+"ip/192.0.2.7"))
	}
	got, err := c.Contact(t.Context(), suspect)
	if err != nil || got.URL != r.URL+"/far/ip/192.0.2.7" || got.Registry != r.URL+"/arin/" {
		t.Errorf("after 3 redirects: %q, %v", got.URL, err)
	}
	*now = now.Add(200 * 24 * time.Hour)
	r.on("/far/ip/192.0.2.7", redirect(r.URL+"/farther/ip/192.0.2.7"))
	_, err = c.Contact(t.Context(), suspect)
	wantErr(t, err, "more than 3 redirects")

	r.on("/two/ip/192.0.2.7", redirect("../../arin/ip/192.0.2.7")) // relative ones count, too
	_, err = c.Contact(t.Context(), suspect)
	wantErr(t, err, "in circles")
}

// A mirror of one's own may be asked, but nobody else leads us to it.
func TestStrangersDoNotLeadToOurMirror(t *testing.T) {
	c, _ := client(t, Config{Local: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}})
	for _, test := range []struct {
		address string
		hop     hop
		want    bool
	}{
		{"10.1.2.3:443", hop{}, true},
		{"10.1.2.3:443", hop{strange: true}, false},
		{"172.16.0.1:443", hop{}, false},
		{"192.0.2.1:443", hop{}, true},
		{"[2001:db8::1]:443", hop{strange: true}, true},
		{"nonsense", hop{}, false},
	} {
		ctx := context.WithValue(t.Context(), hopKey{}, &test.hop)
		if err := c.control(ctx, "tcp", test.address, nil); (err == nil) != test.want {
			t.Errorf("%s, sent by a stranger %v: %v", test.address, test.hop.strange, err)
		}
	}
	if err := c.control(t.Context(), "tcp", "10.1.2.3:443", nil); err == nil {
		t.Error("a connection that belongs to no question leads inside")
	}
}

func TestRegistryWantsAPause(t *testing.T) {
	r := newRegistries(t)
	c, now := client(t, r.config(t))
	r.on("/arin/ip/192.0.2.7", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "120")
		w.WriteHeader(http.StatusTooManyRequests)
	})
	_, err := c.Contact(t.Context(), suspect)
	var busy *BusyError
	if !errors.As(err, &busy) || !busy.Until.Equal(start.Add(2*time.Minute)) {
		t.Errorf("got %v", err)
	}
	r.questions()
	// A storm of questions reaches it no more.
	for range 50 {
		_, err := c.Contact(t.Context(), suspect)
		wantErr(t, err, "enough questions until 2026-03-01T12:02:00Z")
	}
	wantQuestions(t, r)
	*now = now.Add(3 * time.Minute)
	r.answer(t, "/arin/ip/192.0.2.7", "arin")
	if _, err := c.Contact(t.Context(), suspect); err != nil {
		t.Error(err)
	}
}

func TestOurOwnLimit(t *testing.T) {
	r := newRegistries(t)
	cfg := r.config(t)
	cfg.PerMinute = 1
	c, _ := client(t, cfg)
	c.cfg.Timeout = time.Second // a minute's wait does not fit
	var err error
	for range burst + 1 {
		_, err = c.get(t.Context(), r.URL+"/ripe/autnum/64500", MaxAnswer)
	}
	var busy *BusyError
	if !errors.As(err, &busy) || len(r.questions()) != burst {
		t.Errorf("got %v", err)
	}
}

func TestServerNobodyVouchesFor(t *testing.T) {
	r := newRegistries(t)
	cfg := r.config(t)
	cfg.Roots = nil
	c, _ := client(t, cfg)
	_, err := c.Contact(t.Context(), suspect)
	wantErr(t, err, "nobody trusted vouches for this server", "clock")

	plain := httptest.NewServer(http.NotFoundHandler()) // speaks no TLS
	t.Cleanup(plain.Close)
	cfg.Bootstrap = []string{strings.Replace(plain.URL, "http:", "https:", 1)}
	c, _ = client(t, cfg)
	_, err = c.Contact(t.Context(), suspect)
	wantErr(t, err, "HTTP response to HTTPS client")
}

func TestCallerGivesUp(t *testing.T) {
	r := newRegistries(t)
	c, _ := client(t, r.config(t))
	ctx, cancel := context.WithCancel(t.Context())
	r.on("/arin/ip/192.0.2.7", func(_ http.ResponseWriter, req *http.Request) { cancel(); <-req.Context().Done() })
	if _, err := c.Contact(ctx, suspect); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	// That others are being asked is no reason to hang.
	c.turn <- struct{}{}
	if _, err := c.Contact(ctx, suspect); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// A hostile registry fills neither memory nor disk.
func TestAnswersAreBounded(t *testing.T) {
	a, err := openAnswers(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for i := range maxAnswers + 20 {
		addr := netip.AddrFrom4([4]byte{198, 18 + byte(i>>8), byte(i), 1})
		c := Contact{Network: netip.PrefixFrom(addr, 32), At: start.Add(time.Duration(i) * time.Second)}
		a.put(subject{addr: addr}.key(c.Network), c)
	}
	if err := a.trim(); err != nil {
		t.Fatal(err)
	}
	if _, ok := a.find(subject{addr: netip.MustParseAddr("198.18.0.1")}); ok || len(a.known) != maxAnswers {
		t.Errorf("%d answers kept, the oldest among them: %v", len(a.known), ok)
	}
	big := Contact{Raw: make([]byte, maxAnswerBytes+1), At: start.Add(time.Hour)}
	a.put("big", big)
	if err := a.trim(); err != nil || a.bytes > maxAnswerBytes {
		t.Errorf("%d bytes kept, %v", a.bytes, err)
	}
}
