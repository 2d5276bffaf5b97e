package feed

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/feed/fanout"
	"github.com/tocsin-io/tocsin/ruleset"
)

// What a topic remembers, so that those a little behind need no library.
const (
	recentFrames = 300     // more than a hub publishes between snapshots
	recentBytes  = 4 << 20 // of one list
	recentAge    = 15 * time.Minute
)

// An issue is a frame as it was published.
type issue struct {
	ruleset.Header
	message fanout.Message // sealed, as WebSocket carries it
	size    int            // of the sealed part, at the end of message
	at      time.Time      // when it was published
}

func (i issue) sealed() ruleset.Sealed { return ruleset.Sealed(i.message[len(i.message)-i.size:]) }

func newIssue(s ruleset.Sealed, now time.Time) (issue, error) {
	h, err := ruleset.Peek(s)
	return issue{Header: h, message: fanout.Binary(s), size: len(s), at: now}, err
}

// A topic is one list, and who follows it. No peer is locked while it is.
type topic struct {
	ref    ruleset.Ref
	secret []byte

	mu       sync.Mutex // guards the fields below
	peers    map[*peer]struct{}
	all      []*peer // of peers, made when somebody publishes; nil if changed
	head     ruleset.Position
	recent   []issue // consecutive, up to head
	bytes    int     // of recent
	snapshot issue   // the newest that the library gave
	beat     issue
	rollouts []rollout
	changed  chan struct{} // closed when there may be something new

	loading sync.Mutex // held by the one who asks the library
}

func newTopic(ref ruleset.Ref, secret []byte) *topic {
	return &topic{ref: ref, secret: secret, peers: map[*peer]struct{}{}, changed: make(chan struct{}), head: ruleset.Position{Ref: ref}}
}

func (t *topic) follow(p *peer, on bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if on {
		t.peers[p] = struct{}{}
	} else {
		delete(t.peers, p)
	}
	t.all = nil
}

// followers returns a slice that nobody changes.
func (t *topic) followers() []*peer {
	if t.all == nil && len(t.peers) > 0 {
		t.all = make([]*peer, 0, len(t.peers))
		for p := range t.peers {
			t.all = append(t.all, p)
		}
	}
	return t.all
}

// publish notes an issue and returns who may want it.
func (t *topic) publish(i issue, bulk bool) (to []*peer, held bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	to = t.followers()
	if i.Kind == ruleset.Beat {
		t.beat = i
	} else if bulk {
		draws := make([]uint64, 0, len(to))
		for _, p := range to {
			draws = append(draws, draw(t.secret, p.device, t.ref))
		}
		var r rollout
		if r, held = plan(i.Position, i.at, draws); held {
			t.rollouts = append(t.rollouts, r)
		}
	}
	if i.Kind == ruleset.Snapshot {
		t.snapshot = i
	}
	if i.Position.Compare(t.head) > 0 {
		t.head = i.Position
	}
	if i.Kind == ruleset.Delta {
		t.remember(i)
	}
	t.wake()
	return to, held
}

func (t *topic) remember(i issue) {
	if n := len(t.recent); n > 0 && !follows(t.recent[n-1].Position, i) {
		t.recent, t.bytes = nil, 0
	}
	t.recent = append(t.recent, i)
	t.bytes += i.size
	for len(t.recent) > recentFrames || t.bytes > recentBytes && len(t.recent) > 1 {
		t.bytes -= t.recent[0].size
		t.recent = slices.Delete(t.recent, 0, 1)
	}
}

func (t *topic) wake() {
	close(t.changed)
	t.changed = make(chan struct{})
}

// follows reports whether i is what comes next for a device at p.
func follows(p ruleset.Position, i issue) bool {
	switch i.Kind {
	case ruleset.Delta:
		return i.Position.Epoch == p.Epoch && i.Position.Serial == p.Serial+1
	case ruleset.Snapshot:
		return i.Position.Compare(p) > 0
	}
	return false
}

// open reports whether a device may have what a list said at p.
func (t *topic) open(d tocsin.DeviceID, p ruleset.Position, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.mayHave(d, p, now)
}

func (t *topic) mayHave(d tocsin.DeviceID, p ruleset.Position, now time.Time) bool {
	if len(t.rollouts) == 0 {
		return true
	}
	t.rollouts = slices.DeleteFunc(t.rollouts, func(r rollout) bool { return r.over(now) })
	n := draw(t.secret, d, t.ref)
	return !slices.ContainsFunc(t.rollouts, func(r rollout) bool { return r.holds(p, n, now) })
}

// since returns what a device lacks after p, as far as it may have it.
func (t *topic) since(ctx context.Context, lib Library, d tocsin.DeviceID, p ruleset.Position, now time.Time) ([]issue, error) {
	issues, known := t.remembered(p, now)
	if !known {
		t.loading.Lock()
		defer t.loading.Unlock()
		if issues, known = t.remembered(p, now); !known { // what another has loaded meanwhile
			var err error
			if issues, err = t.load(ctx, lib, p, now); err != nil {
				return nil, err
			}
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for n, i := range issues {
		if !follows(p, i) || !t.mayHave(d, i.Position, now) {
			return issues[:n], nil
		}
		p = i.Position
	}
	return issues, nil
}

// remembered answers since without the library, if it can.
func (t *topic) remembered(p ruleset.Position, now time.Time) ([]issue, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if p == t.head && p.Epoch != 0 {
		return nil, true
	}
	if out, ok := t.after(p); ok {
		return out, true
	}
	if s := t.snapshot; s.size > 0 && s.Position.Compare(p) > 0 && now.Sub(s.at) < recentAge {
		if out, ok := t.after(s.Position); ok || s.Position == t.head {
			return append([]issue{s}, out...), true
		}
	}
	return nil, false
}

// after returns what came after p, if all of it is remembered.
func (t *topic) after(p ruleset.Position) ([]issue, bool) {
	for n, i := range t.recent {
		if follows(p, i) && t.recent[len(t.recent)-1].Position == t.head {
			return slices.Clone(t.recent[n:]), true
		}
	}
	return nil, false
}

// load asks the library, and remembers the snapshot and the head.
func (t *topic) load(ctx context.Context, lib Library, p ruleset.Position, now time.Time) ([]issue, error) {
	sealed, err := lib.Since(ctx, p)
	if err != nil {
		return nil, err
	}
	var out []issue
	for _, s := range sealed {
		i, err := newIssue(s, now)
		if err != nil {
			return nil, err
		}
		out = append(out, i)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for n, i := range out {
		if i.Kind == ruleset.Snapshot {
			if i.Position == t.snapshot.Position {
				out[n] = t.snapshot // one copy for all who are sent it
				t.snapshot.at = now
			} else if i.Position.Compare(t.snapshot.Position) > 0 || t.snapshot.size == 0 {
				t.snapshot = i
			}
		}
		if i.Position.Compare(t.head) > 0 {
			t.head = i.Position
		}
		if i.Kind == ruleset.Delta && (len(t.recent) == 0 || follows(t.recent[len(t.recent)-1].Position, i)) {
			t.remember(i)
		}
	}
	return out, nil
}
