package api

import (
	"sync"
	"time"
)

// A limiter gives each key a bucket of tokens that fills at a steady rate. Work
// may cost more than what is left: the key then waits until its debt is paid, so
// that the cost need not be known beforehand. It forgets who has a full bucket.
type limiter[K comparable] struct {
	rate  float64 // tokens a second
	burst float64 // tokens in a full bucket
	most  int     // keys remembered

	mu      sync.Mutex // guards what is below
	buckets map[K]bucket
}

type bucket struct {
	tokens float64
	at     time.Time // when they were counted
}

func newLimiter[K comparable](rate, burst float64, most int) *limiter[K] {
	return &limiter[K]{rate: rate, burst: burst, most: most, buckets: map[K]bucket{}}
}

// wait returns how long k must wait before it may begin; 0 is not at all.
func (l *limiter[K]) wait(k K, now time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	missing := 1 - l.left(k, now)
	if missing <= 0 {
		return 0
	}
	return time.Duration(missing / l.rate * float64(time.Second))
}

// take charges k for work of n tokens.
func (l *limiter[K]) take(k K, n float64, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	tokens := l.left(k, now) - n
	if _, known := l.buckets[k]; !known && len(l.buckets) >= l.most {
		l.makeRoom(now)
	}
	l.buckets[k] = bucket{tokens, now}
}

// left returns the tokens of k; a clock that was set back fills nothing.
func (l *limiter[K]) left(k K, now time.Time) float64 {
	b, ok := l.buckets[k]
	if !ok {
		return l.burst
	}
	return min(l.burst, b.tokens+l.rate*max(0, now.Sub(b.at).Seconds()))
}

// makeRoom forgets full buckets, or else any: whoever comes from so many
// addresses is held by the limits that count all of them.
func (l *limiter[K]) makeRoom(now time.Time) {
	for k := range l.buckets {
		if l.left(k, now) >= l.burst {
			delete(l.buckets, k)
		}
	}
	for k := range l.buckets {
		if len(l.buckets) < l.most {
			return
		}
		delete(l.buckets, k)
	}
}

// A turnstile lets each key in a few times at once.
type turnstile[K comparable] struct {
	most int

	mu     sync.Mutex // guards what is below
	inside map[K]int
}

func newTurnstile[K comparable](most int) *turnstile[K] {
	return &turnstile[K]{most: most, inside: map[K]int{}}
}

// enter reports whether k may; leave must follow.
func (t *turnstile[K]) enter(k K) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.inside[k] >= t.most {
		return false
	}
	t.inside[k]++
	return true
}

func (t *turnstile[K]) leave(k K) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.inside[k]--; t.inside[k] == 0 {
		delete(t.inside, k)
	}
}
