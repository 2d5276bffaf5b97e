package feed

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/ruleset"
)

func TestPlan(t *testing.T) {
	start := time.Date(2023, 10, 14, 6, 0, 0, 0, time.UTC)
	from := ruleset.Position{Ref: fleet, Epoch: 1, Serial: 10}
	for _, c := range []struct{ devices, first, second int }{{20, 1, 2}, {100, 1, 10}, {101, 2, 11}, {9000, 90, 900}} {
		var draws []uint64
		for n := range c.devices {
			draws = append(draws, draw([]byte("secret"), tocsin.DeviceID(fmt.Sprint(n)), fleet))
		}
		r, ok := plan(from, start, draws)
		if !ok {
			t.Fatalf("%d devices: no rings", c.devices)
		}
		for _, stage := range []struct {
			after time.Duration
			want  int
		}{{0, c.first}, {hold - 1, c.first}, {hold, c.second}, {2*hold - 1, c.second}, {2 * hold, c.devices}} {
			now, got := start.Add(stage.after), 0
			for _, d := range draws {
				if !r.holds(from, d, now) {
					got++
				}
			}
			if got != stage.want || r.over(now) != (got == c.devices) {
				t.Errorf("%d devices after %v: got %d, want %d", c.devices, stage.after, got, stage.want)
			}
		}
		last := slices.Max(draws)
		before, later := from, from
		before.Serial--
		later.Serial++
		if r.holds(before, last, start) || !r.holds(later, last, start) {
			t.Error("what came before is held back, or what came after is not")
		}
	}
	if _, ok := plan(from, start, make([]uint64, minRinged-1)); ok {
		t.Error("rings for few")
	}
	if draw([]byte("a"), "d", fleet) == draw([]byte("b"), "d", fleet) || draw([]byte("a"), "d", fleet) == draw([]byte("a"), "d", alice) {
		t.Error("the draw does not depend on secret and list")
	}
}

func TestBackoff(t *testing.T) {
	b, ceiling := backoff{}, firstWindow
	var sum time.Duration
	for range 1000 {
		wait := b.next(errors.New("down"))
		if wait >= ceiling {
			t.Fatalf("waits %v, want below %v", wait, ceiling)
		}
		ceiling = min(2*ceiling, windowCeiling)
		sum += wait
	}
	if mean := sum / 1000; mean < windowCeiling/3 || mean > windowCeiling*2/3 {
		t.Errorf("mean %v: not spread over %v", mean, windowCeiling)
	}
	told := backoff{}
	told.next(&retryError{errors.New("full"), 8 * time.Minute})
	if told.window < 8*time.Minute {
		t.Errorf("window %v, want what the hub told", told.window)
	}
	if w := Window(100_000, 450*time.Microsecond, 2, 0.5); w != 45*time.Second {
		t.Errorf("got %v, want 45s", w)
	}
	if got := retryIn(withRetry("the hub stops", 45*time.Second)); got != 45*time.Second {
		t.Errorf("got %v", got)
	}
}

// TestMirror follows an export on a plain web server.
func TestMirror(t *testing.T) {
	s := newShelf(t)
	s.open(1, fleet, alice)
	dir := t.TempDir()
	web := httptest.NewServer(http.FileServer(http.Dir(dir)))
	defer web.Close()
	ca, key := newAuthority(t)
	h := &testHub{t: t, shelf: s, addr: "127.0.0.1:1", ca: ca, key: key}
	d := h.device("alice-1", func(c *ClientConfig) { c.Mirror = web.URL })
	f := &follower{d.positions, d.emit, doubts{}}
	look := func() {
		t.Helper()
		if err := Export(t.Context(), s, dir); err != nil {
			t.Fatal(err)
		}
		if err := d.mirror(t.Context(), f); err == nil {
			t.Error("an owner's list was exported unasked")
		}
		if got, want := d.positions()[0], s.heads(refsOf("alice-1"))[0]; got != want {
			t.Errorf("got %v, want %v", got, want)
		}
		d.wantNone(t)
	}
	look()
	for n := range 5 {
		s.next(fleet, block(7, n, time.Now()))
		s.next(fleet, block(8, n, time.Now()))
		look()
		if n == 2 {
			s.snapshot(fleet)
		}
	}
	s.open(9, fleet)
	look()
	if err := Export(t.Context(), s, dir, fleet, alice); err != nil {
		t.Fatal(err)
	}
	if err := d.mirror(t.Context(), f); err != nil {
		t.Error(err)
	}
	h.follows(t, d)
}

// TestOtherWays takes some minutes of false time: the hub is out of reach, a
// mirror is not.
func TestOtherWays(t *testing.T) {
	s := newShelf(t)
	s.open(1, fleet, alice)
	dir := t.TempDir()
	if err := Export(t.Context(), s, dir, fleet, alice); err != nil {
		t.Fatal(err)
	}
	ca, key := newAuthority(t)
	h := &testHub{t: t, shelf: s, addr: "127.0.0.1:1", ca: ca, key: key}
	// The bubble's clock would run on while a network is waited for.
	files := http.FileServer(http.Dir(dir))
	web := &http.Client{Transport: roundTrip(func(r *http.Request) *http.Response {
		w := httptest.NewRecorder()
		files.ServeHTTP(w, r)
		return w.Result()
	})}
	now, keys := time.Now(), s.keys()
	synctest.Test(t, func(t *testing.T) {
		d := h.device("alice-1", func(c *ClientConfig) { c.Mirror, c.Web = "http://mirror.example", web })
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Minute)
		defer cancel()
		emit := func(s ruleset.Sealed) error { // the bubble has another year
			m, err := ruleset.Open(s, keys, now)
			if err != nil {
				return err
			}
			d.set, _, err = d.set.Apply(m, ruleset.DefaultLimits(), now)
			return err
		}
		if err := d.Run(ctx, d.set.Positions, emit); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if got, want := d.set.Positions(), s.heads(refsOf("alice-1")); !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	})
}

type roundTrip func(*http.Request) *http.Response

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r), nil }

func TestTruncatedAnswer(t *testing.T) {
	whole := append(binary.BigEndian.AppendUint32(nil, 5), "hello"...)
	for n := range whole {
		_, err := readMessage(bytes.NewReader(whole[:n]))
		if n == 0 && err != io.EOF || n > 0 && err != io.ErrUnexpectedEOF {
			t.Errorf("%d bytes: got %v", n, err)
		}
	}
	if m, err := readMessage(bytes.NewReader(whole)); string(m) != "hello" || err != nil {
		t.Errorf("got %q, %v", m, err)
	}
	if _, err := readMessage(bytes.NewReader([]byte{0xff, 0xff, 0xff, 0xff, 1})); err == nil {
		t.Error("4 GiB announced and accepted")
	}
}

// TestRefusedListsAreAskedForAgain and again, but less and less often.
func TestRefusedListsAreAskedForAgain(t *testing.T) {
	s := newShelf(t)
	s.open(1, fleet)
	delta := s.next(fleet, block(1, 1, time.Now()))
	at := ruleset.Position{Ref: fleet, Epoch: 1, Serial: 5}
	refuse := error(ruleset.ErrGap)
	f := &follower{func() []ruleset.Position { return []ruleset.Position{at} }, func(ruleset.Sealed) error { return refuse }, doubts{}}
	now, asked := time.Now(), 0
	for range 6000 { // ten minutes, ten frames a second
		if f.deliver(delta, now) {
			asked++
			if want := f.wanted(now, false); asked > 1 && want[0].Serial != 0 {
				t.Error("asked for the same again, rather than for all")
			}
			if want := f.wanted(now, true); len(want) != 0 {
				t.Error("a poll would ask again at once")
			}
		}
		now = now.Add(100 * time.Millisecond)
	}
	if asked < 5 || asked > 12 {
		t.Errorf("asked %d times", asked)
	}
	refuse = ruleset.ErrStale
	if f = (&follower{f.positions, f.emit, doubts{}}); f.deliver(delta, now) {
		t.Error("asked for what is only old")
	}
}

func FuzzHello(f *testing.F) {
	f.Add(encodeHello([]ruleset.Position{{Ref: fleet, Epoch: 1, Serial: 2}}, []ruleset.Position{{Ref: alice}}))
	f.Add([]byte(`{"have":[{"list":"fleet/24h","epoch":18446744073709551615}],"later":[1]}`))
	f.Add([]byte(`{"in_force":null}{}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		have, inForce, err := decodeHello(b)
		if err != nil {
			return
		}
		if len(have) > MaxLists || len(inForce) > MaxLists {
			t.Fatal("more lists than a device follows")
		}
		again, _, err := decodeHello(encodeHello(have, inForce))
		if len(encodeHello(have, inForce)) <= maxText && (err != nil || !slices.Equal(again, have)) {
			t.Fatalf("got %v, %v; want %v", again, err, have)
		}
	})
}

func FuzzPoll(f *testing.F) {
	f.Add("list=fleet/1h&epoch=1&serial=2&wait=50s")
	f.Add("list=fleet/1h&list=owner/x/24h&epoch=1&epoch=0&serial=2&serial=0")
	f.Fuzz(func(t *testing.T, query string) {
		have, wait, err := parsePoll(query)
		if err == nil && (len(have) == 0 || len(have) > MaxLists || wait < 0 || wait > maxPoll) {
			t.Fatalf("got %v, %v", have, wait)
		}
	})
}
