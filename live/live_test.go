package live_test

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-io/tocsin/live"
)

// A message is one server-sent event, as a browser reads it.
type message struct{ id, kind, data string }

// A page is a console that reads the stream.
type page struct {
	t    *testing.T
	body *bufio.Reader
	stop func()
}

func serve(t *testing.T, s *live.Stream) string {
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	t.Cleanup(s.Close)
	return server.URL
}

// open connects; had is the last message that the console had.
func open(t *testing.T, url, had string) *page {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if had != "" {
		req.Header.Set("Last-Event-ID", had)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	p := &page{t, bufio.NewReader(resp.Body), func() { cancel(); _ = resp.Body.Close() }}
	t.Cleanup(p.stop)
	if got := resp.Header.Get("Content-Type"); got != "text/event-stream" {
		t.Fatalf("served as %q", got)
	}
	return p
}

// next returns the next message; one without a kind is the end.
func (p *page) next() (m message) {
	p.t.Helper()
	for {
		line, err := p.body.ReadString('\n')
		if err != nil {
			return message{}
		}
		field, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		switch field {
		case "id":
			m.id = value
		case "event":
			m.kind = value
		case "data":
			m.data = value
		case "":
			if m.kind != "" {
				return m
			}
		}
	}
}

func (p *page) want(kind, data string) message {
	p.t.Helper()
	m := p.next()
	if m.kind != kind || data != "" && m.data != data {
		p.t.Fatalf("got %s %s, want %s %s", m.kind, m.data, kind, data)
	}
	return m
}

func TestEveryConsoleHearsInOrder(t *testing.T) {
	s := live.New(live.Config{Version: "v9"})
	url := serve(t, s)
	one, two := open(t, url, ""), open(t, url, "")
	for _, p := range []*page{one, two} {
		if m := p.want("hello", ""); !strings.Contains(m.data, `"version":"v9"`) || !strings.Contains(m.data, `"demo":null`) {
			t.Errorf("hello says %s", m.data)
		}
	}
	s.Publish("rule", map[string]string{"prefix": "192.0.2.1/32"})
	s.Publish("table", map[string]string{"reason": "two\nlines\n\nevent: bye"})
	for _, p := range []*page{one, two} {
		p.want("rule", `{"prefix":"192.0.2.1/32"}`)
		p.want("table", `{"reason":"two\nlines\n\nevent: bye"}`)
	}
}

// TestWhoComesBackCatchesUp is what a lost connection costs: nothing, as long as the
// ring holds what was missed.
func TestWhoComesBackCatchesUp(t *testing.T) {
	s := live.New(live.Config{})
	url := serve(t, s)
	p := open(t, url, "")
	p.want("hello", "")
	s.Publish("n", 1)
	had := p.want("n", "1").id
	p.stop()
	s.Publish("n", 2)
	s.Publish("n", 3)
	p = open(t, url, had)
	p.want("hello", "")
	p.want("n", "2")
	p.want("n", "3")
	for i := range live.Kept {
		s.Publish("m", i)
	}
	for _, had := range []string{had, "other-3", "nonsense", strings.Split(had, "-")[0] + "-99999"} {
		p = open(t, url, had)
		hello := p.want("hello", "")
		p.want("again", "{}")
		s.Publish("n", 4)
		p.want("n", "4")
		if strings.HasPrefix(had, "other") && hello.id == "" {
			t.Error("whoever begins anew has no place to come back to")
		}
	}
}

// TestASlowConsoleHoldsUpNobody fills what the kernel buffers for a console that does
// not read: publishing goes on, others hear, and it is told to fetch all again.
func TestASlowConsoleHoldsUpNobody(t *testing.T) {
	s := live.New(live.Config{})
	url := serve(t, s)
	slow, quick := open(t, url, ""), open(t, url, "")
	quick.want("hello", "")
	heard := make(chan bool)
	go func() {
		defer close(heard)
		for m := quick.next(); m.kind != "last"; m = quick.next() {
			if m.kind == "" {
				return
			}
		}
		heard <- true
	}()
	text := strings.Repeat("x", 8<<10)
	for range 3 * live.Kept {
		s.Publish("n", text)
	}
	for ok, done := false, false; !done; { // told again: whoever fetches all anew goes on at the end
		s.Publish("last", 1)
		select {
		case ok = <-heard:
			done = true
		case <-time.After(time.Millisecond):
		}
		if done && !ok {
			t.Fatal("the quick console did not hear the end")
		}
	}
	again := false
	for m := slow.next(); m.kind != "last"; m = slow.next() {
		if again = again || m.kind == "again"; m.kind == "" {
			t.Fatal("the slow console was cut off")
		}
		if again { // it goes on at the end of the ring
			s.Publish("last", 1)
		}
	}
	if !again {
		t.Error("the slow console missed messages, and was not told so")
	}
}

func TestConsolesAreBounded(t *testing.T) {
	s := live.New(live.Config{Most: 2})
	url := serve(t, s)
	one, two := open(t, url, ""), open(t, url, "")
	one.want("hello", "")
	two.want("hello", "")
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil || resp.StatusCode != http.StatusServiceUnavailable || !strings.Contains(string(b), `"error":"too many consoles`) {
		t.Errorf("a third got %d %s, %v", resp.StatusCode, b, err)
	}
	one.stop()
	for end := time.Now().Add(time.Minute); s.Len() == 2 && time.Now().Before(end); time.Sleep(time.Millisecond) {
	}
	open(t, url, "").want("hello", "")
}

func TestByeAndHeartbeats(t *testing.T) {
	s := live.New(live.Config{Beat: time.Millisecond})
	p := open(t, serve(t, s), "")
	p.want("hello", "")
	if line, err := p.body.ReadString('\n'); line != ":\n" || err != nil {
		t.Errorf("got %q, %v, want a comment", line, err)
	}
	s.Close()
	s.Close()
	p.want("bye", "{}")
	if m := p.next(); m.kind != "" {
		t.Errorf("after bye came %v", m)
	}
	s.Publish("late", 1)
}

// BenchmarkPublish is what one message costs with 50 consoles open.
func BenchmarkPublish(b *testing.B) {
	s := live.New(live.Config{})
	server := httptest.NewServer(s)
	defer server.Close()
	defer s.Close()
	for range 50 {
		resp, err := http.Get(server.URL)
		if err != nil {
			b.Fatal(err)
		}
		go func() { _, _ = io.Copy(io.Discard, resp.Body) }()
	}
	for b.Loop() {
		s.Publish("rule", "192.0.2.1/32")
	}
}
