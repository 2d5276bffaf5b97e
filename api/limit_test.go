package api

import (
	"testing"
	"time"
)

func TestALimiterIsBounded(t *testing.T) {
	const most = 100
	l := newLimiter[int](1, 5, most)
	now := time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC)
	for i := range 10 * most { // an attacker chooses the keys
		l.take(i, 3, now)
		if len(l.buckets) > most {
			t.Fatalf("%d keys, want at most %d", len(l.buckets), most)
		}
	}
	l.take(7, 100, now)
	if got := l.wait(7, now.Add(-time.Hour)); got <= 0 {
		t.Error("a clock that was set back fills the bucket")
	}
	if got := l.wait(7, now.Add(time.Hour)); got != 0 {
		t.Errorf("got %v after an hour", got)
	}
}

func TestATurnstileForgetsWhoLeft(t *testing.T) {
	s := newTurnstile[string](2)
	for i, want := range []bool{true, true, false} {
		if got := s.enter("a"); got != want {
			t.Errorf("entry %d: got %v, want %v", i, got, want)
		}
	}
	if !s.enter("b") {
		t.Error("one holds up another")
	}
	for _, k := range []string{"a", "a", "b"} {
		s.leave(k)
	}
	if len(s.inside) != 0 {
		t.Errorf("got %v", s.inside)
	}
}
