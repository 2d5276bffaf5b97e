package sim

import (
	"bufio"
	"cmp"
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/keys"
	"github.com/tocsin-io/tocsin/ruleset"
	"github.com/tocsin-io/tocsin/store"
)

// An order is what the parent has a share do; each is answered by reports with
// its number, the last of which has no Part.
type order struct {
	ID      int
	Do      string   // enrol, connect, drop, watch, attack, count
	Tickets []ticket // enrol
	Hub     string   // enrol: host:port, instead of those of the tokens
	Prefix  string   // watch
	Rate    float64  // attack, in sightings a second
	For     time.Duration
}

// A ticket is a guard to be.
type ticket struct {
	Number int
	Token  string
}

// A report is how far a share is.
type report struct {
	ID     int
	Part   bool           `json:",omitempty"` // more follows
	Done   int            `json:",omitempty"`
	Tries  int            `json:",omitempty"` // to connect
	At     []int64        `json:",omitempty"` // watch: when each guard had verified, in Unix nanoseconds
	Attack *attacked      `json:",omitempty"`
	Failed map[string]int `json:",omitempty"` // since the report before
}

// A share is the guards of one process. They share what is the hub's and not
// theirs: the trusted signing keys, which each of them would fetch alike, and the
// clock.
type share struct {
	folder string
	clock  *keys.Clock

	guards    sync.WaitGroup
	connected atomic.Int64
	tries     atomic.Int64
	watching  atomic.Pointer[watch]

	mu     sync.Mutex // guards the fields below
	all    []*guard
	failed map[string]int

	trusting sync.Mutex // guards the fields below, and each update
	root     []byte
	trust    atomic.Pointer[keys.Trust]
	asked    time.Time
}

// Serve is one share of a fleet: it takes orders of [Run] from in and reports to
// out until in ends.
func Serve(ctx context.Context, in io.Reader, out io.Writer) error {
	folder, err := os.MkdirTemp("", "tocsin-sim-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	s := &share{folder: folder, clock: keys.NewClock(time.Now, keys.Built(), time.Time{}), failed: map[string]int{}}
	ctx, stop := context.WithCancel(ctx)
	var orders sync.WaitGroup
	defer s.guards.Wait()
	defer orders.Wait()
	defer stop()
	var writing sync.Mutex
	enc := json.NewEncoder(out)
	tell := func(r report) {
		writing.Lock()
		defer writing.Unlock()
		if !r.Part {
			r.Failed = s.takeFailed()
		}
		if enc.Encode(r) != nil {
			stop() // nobody listens
		}
	}
	dec := json.NewDecoder(bufio.NewReader(in))
	for {
		var o order
		switch err := dec.Decode(&o); {
		case errors.Is(err, io.EOF) || errors.Is(err, io.ErrClosedPipe):
			return nil
		case err != nil:
			return fmt.Errorf("order not understood: %w", err)
		}
		orders.Go(func() { tell(s.do(ctx, o, tell)) })
	}
}

func (s *share) do(ctx context.Context, o order, tell func(report)) report {
	r := report{ID: o.ID}
	switch o.Do {
	case "enrol":
		s.enrol(ctx, o, tell)
		r.Done = len(s.guardList())
	case "connect":
		for _, g := range s.guardList() {
			s.guards.Go(func() { g.run(ctx) })
		}
		r.Done, r.Tries = s.await(ctx, o, tell)
	case "drop":
		s.tries.Store(0)
		for _, g := range s.guardList() {
			g.drop()
		}
		s.settle(ctx)
		r.Done, r.Tries = s.await(ctx, o, tell)
	case "watch":
		r.At, r.Done = s.watch(ctx, o, tell)
	case "attack":
		r.Attack = s.attack(ctx, o)
	default:
		r.Done = int(s.connected.Load())
	}
	return r
}

func (s *share) guardList() []*guard {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all
}

// fail counts an error by its kind.
func (s *share) fail(what string, err error) {
	text := what + ": " + plain(err)
	s.mu.Lock()
	defer s.mu.Unlock()
	const most = 50 // kinds
	if _, ok := s.failed[text]; !ok && len(s.failed) >= most {
		text = "others"
	}
	s.failed[text]++
}

func (s *share) takeFailed() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.failed
	s.failed = map[string]int{}
	return f
}

// tick is how often progress is told.
const tick = 200 * time.Millisecond

// settle waits until those who were cut off know it.
func (s *share) settle(ctx context.Context) {
	for n := 0; n < 50 && s.connected.Load() == int64(len(s.guardList())) && ctx.Err() == nil; n++ {
		pause(ctx, time.Millisecond)
	}
}

// await waits until all guards are served, at most as long as the order says.
func (s *share) await(ctx context.Context, o order, tell func(report)) (served, tries int) {
	end := time.Now().Add(o.For)
	for last := time.Now(); ; pause(ctx, 5*time.Millisecond) {
		served = int(s.connected.Load())
		if served == len(s.guardList()) || ctx.Err() != nil || time.Now().After(end) {
			return served, int(s.tries.Load())
		}
		if time.Since(last) > tick {
			last = time.Now()
			tell(report{ID: o.ID, Part: true, Done: served})
		}
	}
}

// enrolling is how many guards of a share enrol at a time.
const enrolling = 16

func (s *share) enrol(ctx context.Context, o order, tell func(report)) {
	var wg sync.WaitGroup
	defer wg.Wait()
	slots := make(chan struct{}, enrolling)
	last := time.Now()
	for _, t := range o.Tickets {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return
		}
		wg.Go(func() {
			defer func() { <-slots }()
			g, err := s.guard(ctx, o.Hub, t)
			if err != nil {
				s.fail("enrol", err)
				return
			}
			s.mu.Lock()
			s.all = append(s.all, g)
			s.mu.Unlock()
		})
		if time.Since(last) > tick {
			last = time.Now()
			tell(report{ID: o.ID, Part: true, Done: len(s.guardList())})
		}
	}
}

// guard enrols one, and tries again what may be tried again.
func (s *share) guard(ctx context.Context, hub string, t ticket) (*guard, error) {
	for n := 0; ; n++ {
		g, err := s.enrolOnce(ctx, hub, t)
		var refused *api.Error
		if err == nil || ctx.Err() != nil || n >= 8 || errors.As(err, &refused) && refused.RetryAfter == 0 {
			return g, err
		}
		wait := time.Duration(100<<n) * time.Millisecond
		if refused != nil {
			wait = max(wait, refused.RetryAfter)
		}
		pause(ctx, wait)
	}
}

// enrolOnce does what tocsin enroll does, but for the files, which go.
func (s *share) enrolOnce(ctx context.Context, hub string, t ticket) (*guard, error) {
	token, err := keys.ParseToken(t.Token)
	if err != nil {
		return nil, err
	}
	if hub != "" {
		token.Addresses = []string{hub}
	}
	folder := filepath.Join(s.folder, strconv.Itoa(t.Number))
	defer os.RemoveAll(folder)
	id, err := keys.OpenIdentity(folder)
	if err != nil {
		return nil, err
	}
	sealing, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	request, err := id.Request()
	if err != nil {
		return nil, err
	}
	conn, authority, err := token.Dial(ctx, s.clock, "http/1.1")
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	client := api.OverConn(conn)
	defer client.Close()
	e, err := client.Enrol(ctx, api.Enrolment{
		Secret: token.Secret.Text(), CSR: string(request), SealingKey: sealing.PublicKey().Bytes(),
		Name: fmt.Sprintf("sim-%d", t.Number), Model: "simulated", Version: "sim",
	})
	if err != nil {
		return nil, err
	}
	if err := id.Install([]byte(e.Certificates), authority); err != nil {
		return nil, err
	}
	g := &guard{
		share: s, device: e.Device, id: id, hub: conn.RemoteAddr().String(), from: sourceFor(conn.RemoteAddr().String(), t.Number),
		boot: uint64(time.Now().Unix()), set: ruleset.NewSet(ruleset.Refs(e.Owner)...),
	}
	return g, s.pin(ctx, e.Root, g)
}

// pin keeps the root that the first guard was shown, and gets the keys that the
// hub signs with. Later ones must be shown the same.
func (s *share) pin(ctx context.Context, root []byte, g *guard) error {
	s.trusting.Lock()
	defer s.trusting.Unlock()
	switch {
	case s.trust.Load() == nil:
	case string(s.root) == string(root):
		return nil
	default:
		return errors.New("the hub shows another root than before: its keys were moved while the fleet enrolled")
	}
	t, err := keys.Pin(s.folder, root)
	if err != nil {
		return err
	}
	if err := g.update(ctx, t); err != nil {
		return err
	}
	s.root = root
	s.trust.Store(t)
	return nil
}

// update fetches the keys that the hub signs with.
func (g *guard) update(ctx context.Context, t *keys.Trust) error {
	config, err := g.id.TLS(g.share.clock)
	if err != nil {
		return err
	}
	client := api.AsDevice(g.hub, config)
	defer client.Close()
	return t.Update(func(name string) ([]byte, error) {
		b, err := client.TUF(ctx, name)
		if errors.Is(err, store.ErrNotFound) {
			return nil, fs.ErrNotExist
		}
		return b, err
	}, g.share.clock.Now())
}

func (s *share) limits() ruleset.Limits { return s.trust.Load().Limits("") }

// open verifies a message; if no known key signed it the hub is asked for its
// keys, at most once a minute.
func (s *share) open(g *guard, sealed ruleset.Sealed) (ruleset.Message, error) {
	now := s.clock.Now()
	m, err := ruleset.Open(sealed, s.trust.Load().Keys(now), now)
	if !errors.Is(err, ruleset.ErrForged) && !errors.Is(err, ruleset.ErrExpired) {
		return m, err
	}
	s.trusting.Lock()
	defer s.trusting.Unlock()
	if time.Since(s.asked) > time.Minute {
		s.asked = time.Now()
		ctx, cancel := context.WithTimeout(context.Background(), dialTimeout)
		defer cancel()
		if err := g.update(ctx, s.trust.Load()); err != nil {
			return nil, err
		}
	}
	return ruleset.Open(sealed, s.trust.Load().Keys(now), now)
}

// A watch waits for a rule to come into force at every guard.
type watch struct {
	prefix string
	want   int
	done   chan struct{}

	mu   sync.Mutex // guards the fields below
	seen map[*guard]struct{}
	at   []int64
}

func (s *share) watch(ctx context.Context, o order, tell func(report)) (at []int64, of int) {
	w := &watch{prefix: o.Prefix, want: int(s.connected.Load()), done: make(chan struct{}), seen: map[*guard]struct{}{}}
	s.watching.Store(w)
	defer s.watching.CompareAndSwap(w, nil)
	tell(report{ID: o.ID, Part: true})
	if w.want == 0 {
		return nil, 0
	}
	t := time.NewTimer(o.For)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	case <-w.done:
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.at, w.want
}

// verified notes what a guard verified and applied.
func (s *share) verified(g *guard, c tocsin.Change) {
	w := s.watching.Load()
	if w == nil {
		return
	}
	for _, r := range c.Add {
		if r.Prefix.String() != w.prefix {
			continue
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		if _, ok := w.seen[g]; ok {
			return
		}
		w.seen[g] = struct{}{}
		if w.at = append(w.at, time.Now().UnixNano()); len(w.at) == w.want {
			close(w.done)
		}
		return
	}
}

// plain returns the kind of an error: without addresses and numbers, so that the
// same of many guards counts as one.
func plain(err error) string {
	var refused *api.Error
	if errors.As(err, &refused) {
		return fmt.Sprintf("%d %s", refused.Status, refused.Text)
	}
	inner := err
	for u := errors.Unwrap(inner); u != nil; u = errors.Unwrap(inner) {
		inner = u
	}
	return cmp.Or(inner.Error(), err.Error())
}
