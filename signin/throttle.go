package signin

import (
	"crypto/rand"
	"encoding/binary"
	"hash/maphash"
	"net/netip"
	"sync"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/detect"
	"github.com/tocsin-io/tocsin/internal/window"
)

// Service is what attempts to sign in are called to the detector.
const Service tocsin.Service = "console"

const (
	// maxSources bounds what is remembered of who guesses: callers choose the
	// addresses.
	maxSources = 1 << 14
	// maxTrying is how many passwords of one source are looked at at the same time:
	// whoever sends a hundred at once must not have a hundred tries.
	maxTrying = 2
	// localWait is the longest that this machine waits: all of its users have one
	// address, and so have those who come by a tunnel or a proxy.
	localWait = 30 * time.Second

	// An account on which strangers fail more often than so many at once, and so
	// many an hour, is attacked: a stranger then waits after one wrong try. The
	// first try is everybody's, from wherever: its owner's, too.
	accountTries = 30
	attackedWait = 10 * time.Minute
	counters     = 1 << 10 // counters that names share
)

// policy is the detector's, but for shorter blocks: who is held up here may be
// the owner, and a password that is fit is not guessed in a few tries an hour.
func policy() detect.Policy {
	p := detect.Default()
	p.First, p.Longest, p.Shared = time.Minute, time.Hour, 10*time.Minute
	p.Excused = 0 // a browser of one's own is known by its mark
	p.Sources, p.Successes, p.Accounts = maxSources, 4096, 256
	var seed [16]byte
	_, _ = rand.Read(seed[:]) // never fails
	p.Seed = window.Seed{K0: binary.LittleEndian.Uint64(seed[:]), K1: binary.LittleEndian.Uint64(seed[8:])}
	return p
}

// A throttle says who must wait before the next try: sources that guess, by
// package detect. Nobody waits for what others did from elsewhere.
type throttle struct {
	seed maphash.Seed

	mu       sync.Mutex // guards the fields below
	detector *detect.Detector
	until    map[netip.Prefix]time.Time // blocks in force
	trying   map[netip.Prefix]int
	failed   [counters]failures // by the hash of a name: nobody can push one out
}

// failures are how many wrong tries still count against an account.
type failures struct {
	n  float64
	at time.Time
}

func newThrottle() *throttle {
	return &throttle{seed: maphash.MakeSeed(), detector: detect.New(policy()), until: map[netip.Prefix]time.Time{}, trying: map[netip.Prefix]int{}}
}

// begin returns how long a source must wait, or lets it try: end must follow.
func (t *throttle) begin(from netip.Addr, now time.Time) *WaitError {
	t.mu.Lock()
	defer t.mu.Unlock()
	source := tocsin.SourcePrefix(from)
	if left := t.until[source].Sub(now); left > 0 {
		return &WaitError{For: left, Why: "too many wrong tries from there"}
	}
	if t.trying[source] >= maxTrying {
		return &WaitError{For: time.Second, Why: "another try from there is under way"}
	}
	t.trying[source]++
	return nil
}

// end tells what became of a try.
func (t *throttle) end(from netip.Addr, name string, o tocsin.Outcome, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	source := tocsin.SourcePrefix(from)
	if t.trying[source]--; t.trying[source] <= 0 {
		delete(t.trying, source)
	}
	if o == 0 || !source.IsValid() {
		return
	}
	// Whether there is such a user is not told: limits must not give it away.
	r := t.detector.Observe(tocsin.Attempt{
		At: now, Service: Service, Outcome: o, Source: netip.AddrPortFrom(from, 0), Account: name[:min(len(name), tocsin.MaxAccount)],
		Provenance: tocsin.Attested,
	}, nil)
	until := r.Decision.Until
	if o == tocsin.Failure && t.attacked(name, now) && !r.Decided {
		until = now.Add(attackedWait)
	} else if !r.Decided {
		return
	}
	if latest := now.Add(localWait); from.IsLoopback() && until.After(latest) {
		until = latest
	}
	t.detector.Lapse(source, until)
	t.makeRoom(now)
	t.until[source] = until
}

// attacked counts a wrong try of a stranger, and reports whether the account has
// had too many.
func (t *throttle) attacked(name string, now time.Time) bool {
	f := &t.failed[maphash.String(t.seed, name)%counters]
	gone := max(0, now.Sub(f.at).Hours()) * accountTries
	*f = failures{max(0, f.n-gone) + 1, now}
	return f.n > accountTries
}

// makeRoom forgets blocks that ended, or else any: whoever comes from so many
// addresses waits for a turn of the hasher.
func (t *throttle) makeRoom(now time.Time) {
	if len(t.until) < maxSources {
		return
	}
	for s, end := range t.until {
		if !end.After(now) {
			delete(t.until, s)
		}
	}
	for s := range t.until {
		if len(t.until) < maxSources {
			return
		}
		delete(t.until, s)
	}
}
