package feed

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/feed/fanout"
	"github.com/tocsin-io/tocsin/internal/logkey"
	"github.com/tocsin-io/tocsin/ruleset"
)

// A Config is what a Server needs. Library and Log must be set.
type Config struct {
	Library Library
	Log     *slog.Logger
	// Secret decides which devices get bulk first. Without one, a new one is made,
	// and the order is another after each start.
	Secret []byte
	// Limit is how many devices may be connected; 0 is as many as descriptors allow.
	Limit int
	// Polls is how many long polls may wait at once; 0 is 256.
	Polls int
	// Fanout changes how connections are looked after; its functions and its limit
	// are the server's own.
	Fanout fanout.Config
}

// A Server sends each device what its lists say. Use [NewServer].
type Server struct {
	cfg   Config
	set   *fanout.Set
	polls chan struct{}
	now   func() time.Time

	mu      sync.Mutex // guards the fields below; nothing else is locked under it
	topics  map[ruleset.Ref]*topic
	peers   map[tocsin.DeviceID]*peer
	polled  map[tocsin.DeviceID]Follower
	waiting []*peer // to be caught up
	closed  bool
	more    *sync.Cond // waiting has grown, or closed
}

// catchers is how many goroutines catch devices up.
const catchers = 4

// NewServer makes a server; Run brings it to life.
func NewServer(cfg Config) (*Server, error) {
	if cfg.Library == nil || cfg.Log == nil {
		return nil, errors.New("feed: a library and a log are needed")
	}
	if len(cfg.Secret) == 0 {
		cfg.Secret = []byte(rand.Text())
	}
	s := &Server{
		cfg: cfg, polls: make(chan struct{}, cmp.Or(cfg.Polls, 256)), now: time.Now,
		topics: map[ruleset.Ref]*topic{}, peers: map[tocsin.DeviceID]*peer{}, polled: map[tocsin.DeviceID]Follower{},
	}
	s.more = sync.NewCond(&s.mu)
	f := cfg.Fanout
	f.Limit = cfg.Limit
	f.Receive = func(c *fanout.Conn, m []byte) { c.Tag.(*peer).receive(m) }
	f.Drained = func(c *fanout.Conn) { c.Tag.(*peer).drained() }
	f.Closed = func(c *fanout.Conn, why error) { s.leave(c.Tag.(*peer), why) }
	var err error
	s.set, err = fanout.New(f)
	return s, err
}

// Len returns how many devices are connected.
func (s *Server) Len() int { return s.set.Len() }

// Limit returns how many devices may be connected.
func (s *Server) Limit() int { return s.set.Limit() }

// Run serves until ctx ends; then every device is told when to come back.
func (s *Server) Run(ctx context.Context) error {
	heads, err := s.cfg.Library.Heads(ctx)
	if err != nil {
		return fmt.Errorf("feed: %w", err)
	}
	for _, h := range heads {
		t := s.topic(h.Ref)
		t.mu.Lock()
		if h.Compare(t.head) > 0 {
			t.head = h
		}
		t.mu.Unlock()
	}
	inner, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var wg sync.WaitGroup
	defer wg.Wait()
	for range catchers {
		wg.Go(func() { s.catchUps(ctx) })
	}
	defer context.AfterFunc(ctx, func() {
		s.farewell()
		stop()
	})()
	err = s.set.Run(inner)
	s.stop()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

func (s *Server) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.more.Broadcast()
}

// farewell tells all devices when to come back.
func (s *Server) farewell() {
	s.stop()
	reason := withRetry("the hub stops", s.Window())
	fanout.Share(s.connected(), func(p *peer) { p.close(closeRestart, reason) })
}

// handshakeCost is what one mutual handshake costs a hub, in processor time: of
// a slow machine, since waiting too long costs nothing but patience.
const handshakeCost = time.Millisecond

// Window returns in what time devices shall come back that lost this hub.
func (s *Server) Window() time.Duration {
	return max(time.Second, min(maxWait, Window(s.set.Len(), handshakeCost, runtime.GOMAXPROCS(0), 0.5)))
}

func (s *Server) topic(r ruleset.Ref) *topic {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.topics[r]
	if t == nil {
		t = newTopic(r, s.cfg.Secret)
		s.topics[r] = t
	}
	return t
}

func (s *Server) connected() []*peer {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*peer, 0, len(s.peers))
	for _, p := range s.peers {
		all = append(all, p)
	}
	return all
}

// Publish sends a frame or a heartbeat to the devices that follow the list, and
// returns without waiting for any of them. Frames are in the library before. A
// snapshot only tells that there is something newer. Bulk goes out by rings, and
// so does whatever the list says after it, for the 40 seconds that it takes: a
// list has one order. See [Server.Hurry].
func (s *Server) Publish(ref ruleset.Ref, sealed ruleset.Sealed, bulk bool) {
	i, err := newIssue(sealed, s.now())
	if err != nil || i.Position.Ref != ref {
		s.cfg.Log.Error("this is no message of that list", logkey.Path, ref.String(), logkey.Err, err)
		return
	}
	t := s.topic(ref)
	to, held := t.publish(i, bulk)
	fanout.Share(to, func(p *peer) { p.publish(t, i) })
	if held {
		for n := range ringShares {
			time.AfterFunc(hold*time.Duration(n+1)+time.Millisecond, func() { s.release(t) })
		}
	}
}

// Hurry ends what a list holds back: an emergency, by name, is for who, why and
// when to be recorded by the caller.
func (s *Server) Hurry(ref ruleset.Ref) {
	t := s.topic(ref)
	t.mu.Lock()
	t.rollouts = nil
	t.mu.Unlock()
	s.release(t)
}

// release catches up those that something was held back from.
func (s *Server) release(t *topic) {
	t.mu.Lock()
	to, head := t.followers(), t.head
	t.wake()
	t.mu.Unlock()
	for _, p := range to {
		p.mayLack(t, head)
	}
}

// Drop ends the connection of a device that is revoked, at once.
func (s *Server) Drop(d tocsin.DeviceID) {
	s.mu.Lock()
	p := s.peers[d]
	delete(s.polled, d)
	s.mu.Unlock()
	if p != nil {
		p.close(closeRevoked, ErrRevoked.Error())
	}
}

// A Follower is a device as the feed knows it.
type Follower struct {
	Device  tocsin.DeviceID
	Since   time.Time          // connected; of a device that polls, its last poll
	Polls   bool               // by long poll
	InForce []ruleset.Position // as it reported
}

// pollLives is how long a device that polls counts as connected after its last.
const pollLives = 3 * time.Minute

// Connected yields the devices that follow the feed now.
func (s *Server) Connected() iter.Seq[Follower] {
	return func(yield func(Follower) bool) {
		for _, p := range s.connected() {
			if !yield(p.follower()) {
				return
			}
		}
		s.mu.Lock()
		var polling []Follower
		for d, f := range s.polled {
			if s.now().Sub(f.Since) > pollLives {
				delete(s.polled, d)
			} else if s.peers[d] == nil {
				polling = append(polling, f)
			}
		}
		s.mu.Unlock()
		for _, f := range polling {
			if !yield(f) {
				return
			}
		}
	}
}

// A Lag is a list that a connected device does not enforce as it stands.
type Lag struct {
	Device     tocsin.DeviceID
	Have, Head ruleset.Position
	Since      time.Time // of the first frame that it lacks; zero if long ago
}

// Lagging yields what connected devices have not reported in force although it
// was published longer ago than grace.
func (s *Server) Lagging(grace time.Duration) iter.Seq[Lag] {
	return func(yield func(Lag) bool) {
		now := s.now()
		for f := range s.Connected() {
			for _, have := range f.InForce {
				t := s.topic(have.Ref)
				head, since := t.lacks(have)
				if head.Compare(have) > 0 && now.Sub(since) > grace && !yield(Lag{f.Device, have, head, since}) {
					return
				}
			}
		}
	}
}

// lacks returns the head, and when the frame after p was published.
func (t *topic) lacks(p ruleset.Position) (head ruleset.Position, since time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := slices.IndexFunc(t.recent, func(i issue) bool { return follows(p, i) })
	if n >= 0 {
		since = t.recent[n].at
	}
	return t.head, since
}
