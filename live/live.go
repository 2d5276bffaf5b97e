// Package live tells many consoles at once what happens, as server-sent events.
// A message is encoded once and kept in one ring that all consoles read from:
// publishing costs the same for one console or two hundred, never waits for any of
// them, and nothing is buffered for a slow one. A console that comes back names the
// last message that it had and gets what it missed; one that missed more than the
// ring holds is told to fetch everything again.
//
// It knows nothing of what it carries, nor who may see it: whoever mounts it asks
// for that first, and ends the request once that changes.
package live

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/tocsin-io/tocsin/internal/logkey"
)

const (
	// Kept is how many messages a console may have missed and still catch up.
	Kept = 4096

	defaultMost = 200
	beatEvery   = 15 * time.Second // a proxy must not take the silence for the end
	writeTime   = 10 * time.Second // for one portion to a console
	portion     = 64               // messages written at a time
)

// Config is what a stream is told; the zero Config is a good one.
type Config struct {
	Version string           // of the hub: a page of another one loads itself anew
	Most    int              // consoles at a time; 0 is 200
	Demo    func() any       // what a demo hub says of itself in its hello; nil is none
	Beat    time.Duration    // between heartbeats; 0 is 15 s
	Log     *slog.Logger     // nil is none
	Now     func() time.Time // nil is the clock
}

// A Hello is the first message on every connection.
type Hello struct {
	Version string    `json:"version"`
	Now     time.Time `json:"now"`
	Demo    any       `json:"demo"` // null unless this is a demo hub
}

// A Stream carries messages to consoles. Make one with [New]; all its methods may be
// called by any goroutine.
type Stream struct {
	cfg    Config
	epoch  string // another one after each start: numbers of the one before mean nothing
	closed chan struct{}

	mu       sync.Mutex // guards the fields below
	ring     [Kept][]byte
	last     uint64 // number of the newest message; 0 is none yet
	consoles map[*console]bool
	over     bool
}

// A console is one connection. It is woken, and reads from the ring by itself.
type console struct{ wake chan struct{} }

// New returns a stream without consoles.
func New(c Config) *Stream {
	if c.Most <= 0 {
		c.Most = defaultMost
	}
	if c.Beat <= 0 {
		c.Beat = beatEvery
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Stream{cfg: c, epoch: rand.Text()[:12], closed: make(chan struct{}), consoles: map[*console]bool{}}
}

// Publish sends data, as JSON, to every console as a message of that kind, which is
// one word. It never waits.
func (s *Stream) Publish(kind string, data any) {
	b, err := json.Marshal(data)
	if err != nil {
		s.cfg.Log.Error("not told to consoles: it cannot be encoded", "kind", kind, logkey.Err, err)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return
	}
	s.last++
	s.ring[s.last%Kept] = s.encode(kind, s.last, b)
	for c := range s.consoles {
		select {
		case c.wake <- struct{}{}:
		default: // it was woken already
		}
	}
}

// encode writes one message. JSON holds no line end, so its data is one line.
func (s *Stream) encode(kind string, n uint64, data []byte) []byte {
	b := make([]byte, 0, len(data)+len(kind)+64)
	b = append(b, "id: "...)
	b = append(b, s.id(n)...)
	b = append(b, "\nevent: "...)
	b = append(b, kind...)
	b = append(b, "\ndata: "...)
	b = append(b, data...)
	return append(b, "\n\n"...)
}

func (s *Stream) id(n uint64) string { return s.epoch + "-" + strconv.FormatUint(n, 10) }

// Len returns how many consoles are open: who computes what only they see need not
// while there is none.
func (s *Stream) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.consoles)
}

// Close says bye to every console and ends their connections. It may be called twice.
func (s *Stream) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.over {
		s.over = true
		close(s.closed)
	}
}

// enter lets one more console in, unless there are too many.
func (s *Stream) enter() (*console, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over || len(s.consoles) >= s.cfg.Most {
		return nil, false
	}
	c := &console{wake: make(chan struct{}, 1)}
	s.consoles[c] = true
	return c, true
}

func (s *Stream) leave(c *console) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.consoles, c)
}

// resume returns the number of the message that a console had last. It is the newest
// one for a new console, and for one that cannot catch up, which must fetch all again.
func (s *Stream) resume(lastID string) (had uint64, again bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if lastID == "" {
		return s.last, false
	}
	epoch, number, _ := strings.Cut(lastID, "-")
	n, err := strconv.ParseUint(number, 10, 64)
	if epoch != s.epoch || err != nil || n > s.last || s.last-n > Kept {
		return s.last, true
	}
	return n, false
}

// after returns messages that follow the one with that number, at most a portion.
// What fell out of the ring is lost: again, and the console goes on at its end.
func (s *Stream) after(had uint64) (list [][]byte, now uint64, again bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last-had > Kept {
		return nil, s.last, true
	}
	for now = had; now < s.last && len(list) < portion; {
		now++
		list = append(list, s.ring[now%Kept])
	}
	return list, now, false
}

// ServeHTTP serves one console until its request ends, or the stream is closed. The
// header Last-Event-ID, or the query "after", names the last message that it had.
func (s *Stream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c, ok := s.enter()
	if !ok {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Retry-After", "10")
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = w.Write([]byte(`{"error":"too many consoles are open, or the hub is stopping: close some, and try again"}` + "\n"))
		return
	}
	defer s.leave(c)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // a proxy in front must pass it on at once
	out := writer{w: w, rc: http.NewResponseController(w)}
	lastID := r.Header.Get("Last-Event-ID")
	if lastID == "" {
		lastID = r.FormValue("after")
	}
	s.serve(out, c, r.Context().Done(), lastID)
}

// serve writes until the console is gone, gone means that nobody may read any more, or
// the stream is over.
func (s *Stream) serve(out writer, c *console, gone <-chan struct{}, lastID string) {
	had, again := s.resume(lastID)
	if out.write(s.hello(had)) != nil || again && out.write(s.again(had)) != nil {
		return
	}
	beat := time.NewTicker(s.cfg.Beat)
	defer beat.Stop()
	for {
		list, now, again := s.after(had)
		switch had = now; {
		case again:
			list = [][]byte{s.again(had)}
		case len(list) == 0:
			select {
			case <-gone:
				return
			case <-s.closed:
				_ = out.write([]byte("event: bye\ndata: {}\n\n")) // it ends either way
				return
			case <-c.wake:
			case <-beat.C:
				list = [][]byte{[]byte(":\n\n")}
			}
		}
		select {
		case <-gone:
			return
		default:
		}
		if len(list) > 0 && out.write(bytes.Join(list, nil)) != nil {
			return
		}
	}
}

func (s *Stream) hello(had uint64) []byte {
	h := Hello{Version: s.cfg.Version, Now: s.cfg.Now().UTC()}
	if s.cfg.Demo != nil {
		h.Demo = s.cfg.Demo()
	}
	b, err := json.Marshal(h)
	if err != nil {
		s.cfg.Log.Error("a console is not greeted", logkey.Err, err)
		b = []byte("{}")
	}
	return s.encode("hello", had, b)
}

func (s *Stream) again(at uint64) []byte { return s.encode("again", at, []byte("{}")) }

// A writer gives each portion its own deadline: who reads nothing is dropped.
type writer struct {
	w  http.ResponseWriter
	rc *http.ResponseController
}

func (o writer) write(b []byte) error {
	_ = o.rc.SetWriteDeadline(time.Now().Add(writeTime)) // where there is none to set, none is needed
	if _, err := o.w.Write(b); err != nil {
		return err
	}
	return o.rc.Flush()
}
