package feed

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/feed/fanout"
	"github.com/tocsin-io/tocsin/ruleset"
)

func TestEachGetsItsLists(t *testing.T) {
	s := newShelf(t)
	s.open(1, fleet, alice, bob)
	h := startHub(t, s, nil, nil)
	var all []*testDevice
	for _, id := range []string{"alice-1", "alice-2", "bob-1", "carol-1"} {
		d := h.device(id, nil)
		d.start(t)
		all = append(all, d)
	}
	h.publish(fleet, block(0, 1, time.Now()))
	h.publish(alice, block(0, 2, time.Now()))
	h.publish(bob, block(0, 3, time.Now()))
	for _, d := range all {
		h.follows(t, d)
	}
	// Live now: no library is needed.
	asked := s.asks()
	h.publish(fleet, block(0, 4, time.Now()))
	h.publish(bob, block(0, 5, time.Now()))
	for _, d := range all {
		h.follows(t, d)
		d.wantNone(t)
		if d.Via() != ViaPush {
			t.Errorf("%s: got %q", d.id, d.Via())
		}
		d.Report(d.positions())
	}
	if again := s.asks() - asked; again != 0 {
		t.Errorf("the library was asked %d times for what was just published", again)
	}
	eventually(t, "all reported", func() bool {
		n := 0
		for f := range h.Connected() {
			if len(f.InForce) == 2 {
				n++
			}
		}
		return n == len(all)
	})
	for l := range h.Lagging(0) {
		t.Errorf("lags: %+v", l)
	}
	beat, err := s.Beat(t.Context(), fleet)
	if err != nil {
		t.Fatal(err)
	}
	before := all[0].count()
	h.Publish(fleet, beat, false)
	eventually(t, "the heartbeat is heard", func() bool { return all[0].count() > before })
	// A frame that no device enforces yet shows who lags.
	h.publish(alice, block(0, 6, time.Now()))
	lag := map[tocsin.DeviceID]uint64{}
	for l := range h.Lagging(-time.Second) {
		lag[l.Device] = l.Head.Serial - l.Have.Serial
	}
	if len(lag) != 2 || lag["alice-1"] != 1 || lag["alice-2"] != 1 {
		t.Errorf("got %v, want both of alice's, by one", lag)
	}
}

func (d *testDevice) count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.frames
}

// TestResumesAnywhere has devices that were away since each of the serials.
func TestResumesAnywhere(t *testing.T) {
	s := newShelf(t)
	s.open(5, fleet, alice)
	h := startHub(t, s, nil, nil)
	var all []*testDevice
	away := func() {
		d := h.device(fmt.Sprintf("alice-%d", len(all)), nil)
		for _, r := range refsOf(d.id) {
			sealed, err := s.Since(t.Context(), ruleset.Position{Ref: r})
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range sealed {
				if err := d.emit(m); err != nil {
					t.Fatal(err)
				}
			}
		}
		all = append(all, d)
	}
	all = append(all, h.device("alice-0", nil)) // never was there
	for n := range 20 {
		away()
		if n == 19 { // the server knows of what was published, or was there when it began
			h.publish(fleet, block(1, n, time.Now()))
			continue
		}
		s.next(fleet, block(1, n, time.Now()))
		if n == 9 {
			s.snapshot(fleet)
		}
	}
	for _, d := range all {
		d.start(t)
	}
	for _, d := range all {
		h.follows(t, d)
		d.wantNone(t)
	}
	h.publish(fleet, block(2, 1, time.Now()))
	for _, d := range all {
		h.follows(t, d)
		d.wantNone(t)
	}
}

// TestNoGapNoReordering has devices come while frames are published: none is
// ever sent a frame that does not follow.
func TestNoGapNoReordering(t *testing.T) {
	s := newShelf(t)
	s.open(1, fleet, alice)
	h := startHub(t, s, nil, nil)
	var wg sync.WaitGroup
	for _, r := range []ruleset.Ref{fleet, alice} {
		wg.Go(func() {
			for n := range 150 {
				h.publish(r, block(n/100, n%100, time.Now()))
				if n%60 == 59 {
					s.snapshot(r)
				}
			}
		})
	}
	var all []*testDevice
	for n := range 8 {
		d := h.device(fmt.Sprintf("alice-%d", n), nil)
		d.start(t)
		all = append(all, d)
	}
	wg.Wait()
	for _, d := range all {
		h.follows(t, d)
		d.wantNone(t)
	}
}

// TestSlowDevice has one device read nothing while much is published, and
// others follow all the same; then it reads all of it, in order.
func TestSlowDevice(t *testing.T) {
	s := newShelf(t)
	s.open(1, fleet)
	h := startHub(t, s, nil, func(c *Config) { c.Fanout = fanout.Config{} })
	quick := h.device("alice-1", nil)
	quick.start(t)
	slow := h.dial(t, "alice-2")
	slow.say(t, encodeHello([]ruleset.Position{{Ref: fleet}}, nil))
	// 36 MB of frames, more than any socket holds: each is filled up, which no
	// device would accept.
	var want []ruleset.Position
	for n := range 40 {
		real := s.next(fleet, block(20, n, time.Now()))
		sealed := slices.Insert(slices.Clone(real), len(real)-80, make([]byte, 900<<10)...)
		s.mu.Lock()
		s.deltas[fleet][n] = sealed
		s.mu.Unlock()
		p, err := ruleset.Peek(sealed)
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, p.Position)
		h.Publish(fleet, sealed, false)
	}
	eventually(t, "the other device heard of the last", func() bool {
		quick.mu.Lock()
		defer quick.mu.Unlock()
		return len(quick.bad) > 0
	})
	at := ruleset.Position{Ref: fleet}
	for at != want[len(want)-1] {
		i, err := newIssue(slow.next(t), time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		if !follows(at, i) {
			t.Fatalf("%v after %v", i.Position, at)
		}
		at = i.Position
	}
}

// A raw is a connection that speaks the protocol by hand.
type raw struct {
	net.Conn
	r io.Reader
}

func (h *testHub) dial(t *testing.T, id string) *raw {
	t.Helper()
	config := h.tls(id)
	config.NextProtos = []string{ALPN}
	c, br, _, err := (ws.Dialer{TLSConfig: config}).Dial(t.Context(), "wss://"+h.addr+Path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if br != nil {
		return &raw{c, br}
	}
	return &raw{c, c}
}

func (r *raw) say(t *testing.T, b []byte) {
	t.Helper()
	if err := ws.WriteFrame(r, ws.MaskFrame(ws.NewTextFrame(b))); err != nil {
		t.Fatal(err)
	}
}

// next returns the next sealed message.
func (r *raw) next(t *testing.T) ruleset.Sealed {
	t.Helper()
	for {
		h, b := r.frame(t)
		if h.OpCode == ws.OpBinary {
			return b
		}
	}
}

func (r *raw) frame(t *testing.T) (ws.Header, []byte) {
	t.Helper()
	h, err := ws.ReadHeader(r.r)
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, min(h.Length, 1<<24))
	if _, err := io.ReadFull(r.r, b); err != nil {
		t.Fatal(err)
	}
	return h, b
}

func TestRevokedAtOnce(t *testing.T) {
	s := newShelf(t)
	s.open(1, fleet)
	h := startHub(t, s, nil, nil)
	r := h.dial(t, "alice-1")
	r.say(t, encodeHello([]ruleset.Position{{Ref: fleet}}, nil))
	r.next(t)
	h.revoked.Store("alice-1", true)
	h.Drop("alice-1")
	f, b := r.frame(t)
	if code, _ := ws.ParseCloseFrameData(b); f.OpCode != ws.OpClose || code != closeRevoked {
		t.Errorf("got %v %q, want a close with %d", f, b, closeRevoked)
	}
	eventually(t, "nobody is connected", func() bool { return h.set.Len() == 0 })
	d := h.device("alice-1", nil)
	if _, err := d.push(t.Context(), &follower{d.positions, d.emit, doubts{}}); err == nil || !strings.Contains(err.Error(), ErrRevoked.Error()) {
		t.Errorf("got %v, want the reason", err)
	}
}

// TestOneConnectionEach has the same device twice: the newer one stays.
func TestOneConnectionEach(t *testing.T) {
	s := newShelf(t)
	s.open(1, fleet)
	h := startHub(t, s, nil, nil)
	first := h.dial(t, "alice-1")
	eventually(t, "the first is known", func() bool { return len(h.connected()) == 1 })
	second := h.dial(t, "alice-1")
	if f, b := first.frame(t); f.OpCode != ws.OpClose {
		t.Errorf("got %v %q", f, b)
	}
	second.say(t, encodeHello([]ruleset.Position{{Ref: fleet}}, nil))
	second.next(t)
	if n := h.set.Len(); n != 1 {
		t.Errorf("got %d connections", n)
	}
}

func TestFullIsToldWithADelay(t *testing.T) {
	s := newShelf(t)
	s.open(1, fleet)
	h := startHub(t, s, nil, func(c *Config) { c.Limit = 1 })
	h.dial(t, "alice-1")
	eventually(t, "the first is there", func() bool { return h.set.Len() == 1 })
	d := h.device("alice-2", nil)
	_, err := d.push(t.Context(), &follower{d.positions, d.emit, doubts{}})
	told, ok := errors.AsType[*retryError](err)
	if !ok || told.window < time.Minute || !strings.Contains(err.Error(), "LimitNOFILE") {
		t.Errorf("got %v", err)
	}
}

// TestHubRestart has a hub come back at the same address with a restored
// database: a new epoch.
func TestHubRestart(t *testing.T) {
	s := newShelf(t)
	s.open(1, fleet, alice)
	h := startHub(t, s, nil, nil)
	var all []*testDevice
	for n := range 5 {
		d := h.device(fmt.Sprintf("alice-%d", n), nil)
		d.start(t)
		h.follows(t, d)
		all = append(all, d)
	}
	h.stop()
	s.open(2, fleet)
	s.next(fleet, block(3, 1, time.Now()))
	h = startHub(t, s, h, nil)
	for _, d := range all {
		h.follows(t, d)
	}
	// And while it runs: the heartbeat alone tells of the new epoch.
	s.open(3, fleet)
	beat, err := s.Beat(t.Context(), fleet)
	if err != nil {
		t.Fatal(err)
	}
	h.Publish(fleet, beat, false)
	for _, d := range all {
		h.follows(t, d)
	}
}

// A tunnel forwards TCP to a hub, as long as it is let.
type tunnel struct {
	net.Listener
	dead  atomic.Bool  // forwards nothing, closes nothing
	quota atomic.Int64 // bytes to the device, after which a connection is cut; 0 is never
}

func newTunnel(t *testing.T, to string) *tunnel {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	u := &tunnel{Listener: l}
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(func() { cancel(); _ = l.Close(); wg.Wait() })
	wg.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", to)
			if err != nil {
				_ = in.Close()
				continue
			}
			context.AfterFunc(ctx, func() { _ = in.Close(); _ = out.Close() })
			dead := u.dead.Load
			wg.Go(func() { forward(out, in, dead, nil) })
			wg.Go(func() { forward(in, out, dead, &u.quota) })
		}
	})
	return u
}

func forward(to, from net.Conn, dead func() bool, quota *atomic.Int64) {
	buf := make([]byte, 1000)
	var sum int64
	for {
		n, err := from.Read(buf)
		if !dead() {
			if err == nil {
				_, err = to.Write(buf[:n])
			}
			sum += int64(n)
			if err != nil || quota != nil && quota.Load() > 0 && sum > quota.Load() {
				_, _ = to.Close(), from.Close()
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// TestHalfOpen has something in between stop forwarding without a word: both
// ends find out.
func TestHalfOpen(t *testing.T) {
	s := newShelf(t)
	s.open(1, fleet)
	h := startHub(t, s, nil, func(c *Config) { c.Fanout.Ping = 100 * time.Millisecond })
	u := newTunnel(t, h.addr)
	d := h.device("alice-1", func(c *ClientConfig) { c.Hub = u.Addr().String() })
	d.silence = time.Second
	d.start(t)
	h.follows(t, d)
	u.dead.Store(true)
	eventually(t, "the hub gave it up", func() bool { return h.set.Len() == 0 })
	h.publish(fleet, block(4, 1, time.Now()))
	u.dead.Store(false)
	h.follows(t, d)
}

// TestCutAnywhere cuts connections in the middle of frames.
func TestCutAnywhere(t *testing.T) {
	s := newShelf(t)
	s.open(1, fleet)
	for n := range 4 {
		s.next(fleet, wide(1000)...)
		if n == 2 {
			s.snapshot(fleet)
		}
	}
	h := startHub(t, s, nil, nil)
	u := newTunnel(t, h.addr)
	u.quota.Store(4000)
	d := h.device("alice-1", func(c *ClientConfig) { c.Hub = u.Addr().String() })
	for range 5 {
		_, err := d.push(t.Context(), &follower{d.positions, d.emit, doubts{}})
		if err == nil {
			t.Fatal("it was not cut")
		}
		u.quota.Add(400)
	}
	u.quota.Store(0)
	d.start(t)
	h.follows(t, d)
	d.wantNone(t)
}

// TestLongPoll goes through a plain reverse proxy, which vouches for the device.
func TestLongPoll(t *testing.T) {
	s := newShelf(t)
	s.open(1, fleet, alice, bob)
	h := startHub(t, s, nil, nil)
	h.publish(fleet, block(5, 0, time.Now()))
	hub, err := url.Parse("https://" + h.addr)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{
		Transport: &http.Transport{TLSClientConfig: h.tls("proxy-1")},
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(hub)
			r.Out.Header.Set("Vouched", "alice-1")
		},
	}
	front := httptest.NewServer(proxy)
	defer front.Close()
	d := h.device("alice-1", func(c *ClientConfig) { c.Hub = "127.0.0.1:1"; c.Poll = front.URL + Path })
	f := &follower{d.positions, d.emit, doubts{}}
	if err := d.poll(t.Context(), f); err != nil {
		t.Fatal(err)
	}
	h.follows(t, d)
	done := make(chan error)
	go func() { done <- d.poll(t.Context(), f) }() // waits for news
	eventually(t, "it waits", func() bool { return len(h.polls) == 1 })
	h.publish(alice, block(5, 1, time.Now()))
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	h.follows(t, d)
	d.wantNone(t)
	if d.Via() != ViaPoll {
		t.Errorf("got %q", d.Via())
	}
	var seen []Follower
	for f := range h.Connected() {
		seen = append(seen, f)
	}
	if len(seen) != 1 || !seen[0].Polls || len(seen[0].InForce) != 2 {
		t.Errorf("got %+v", seen)
	}
	// Straight to the hub, by its certificate.
	direct := h.device("alice-3", nil)
	if err := direct.poll(t.Context(), &follower{direct.positions, direct.emit, doubts{}}); err != nil {
		t.Fatal(err)
	}
	h.follows(t, direct)
	direct.set = ruleset.NewSet(bob)
	if err := direct.poll(t.Context(), &follower{direct.positions, direct.emit, doubts{}}); err == nil || !strings.Contains(err.Error(), "403") {
		t.Errorf("somebody else's list: got %v", err)
	}
}

// TestRings publishes bulk to connected devices: one gets it, the others once
// somebody declares an emergency; what comes after waits its turn.
func TestRings(t *testing.T) {
	s := newShelf(t)
	s.open(1, fleet)
	h := startHub(t, s, nil, func(c *Config) { c.Secret = []byte("fixed") })
	var all []*testDevice
	for n := range 25 {
		d := h.device(fmt.Sprintf("alice-%d", n), nil)
		d.start(t)
		h.follows(t, d)
		all = append(all, d)
	}
	before := s.heads(refsOf("alice-0"))
	h.Publish(fleet, s.next(fleet, block(6, 1, time.Now())), true)
	h.publish(fleet, block(6, 2, time.Now()))
	after := s.heads(refsOf("alice-0"))
	got := func() (n int) {
		for _, d := range all {
			switch p := d.positions(); {
			case slices.Equal(p, after):
				n++
			case !slices.Equal(p, before):
				return -1
			}
		}
		return n
	}
	eventually(t, "exactly one has both", func() bool { return got() == 1 })
	late := h.device("alice-late", nil)
	late.start(t)
	h.Hurry(fleet)
	eventually(t, "all have both", func() bool { return got() == len(all) })
	h.follows(t, late)
	for _, d := range all {
		d.wantNone(t)
	}
}

func TestTheOneDoor(t *testing.T) {
	s := newShelf(t)
	s.open(1, fleet)
	h := startHub(t, s, nil, nil)
	get := func(alpn, path string) string {
		config := h.tls("alice-1")
		config.NextProtos = []string{alpn}
		c, err := tls.Dial("tcp", h.addr, config)
		if err != nil {
			return err.Error()
		}
		defer c.Close()
		if _, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: hub.example\r\nConnection: close\r\n\r\n", path); err != nil {
			return err.Error()
		}
		b, _ := io.ReadAll(io.LimitReader(c, 64<<10)) // as much as comes
		return string(b)
	}
	for _, c := range [][3]string{
		{ALPN, "/elsewhere", "404"},
		{ALPN, Path, "400"}, // no upgrade
		{"http/1.1", Path + "?list=fleet/1h&epoch=0&serial=0", contentType},
		{"http/1.1", Path + "?list=fleet/1h&epoch=0", "400"},
		{"http/1.1", Path + "?list=owner/bob/1h&epoch=0&serial=0", "403"},
	} {
		if got := get(c[0], c[1]); !strings.Contains(got, c[2]) {
			t.Errorf("%s %s: got %.100q, want %s", c[0], c[1], got, c[2])
		}
	}
	plain, err := http.Get("http://" + h.addr + Path)
	if err == nil {
		_ = plain.Body.Close()
		t.Errorf("without TLS: got %s", plain.Status)
	}
	r := h.dial(t, "alice-1")
	r.say(t, []byte(`{"have":[{"list":"../etc"}]}`))
	if f, b := r.frame(t); f.OpCode != ws.OpClose {
		t.Errorf("got %v %q", f, b)
	}
}
