package takedown

import (
	"runtime"
	"testing"
	"time"
)

// TestReplayOfALongHistory: whoever got a letter may answer without end, and each
// look at the case reads all of it.
func TestReplayOfALongHistory(t *testing.T) {
	c := sent(t, BruteForce)
	last := c.History[len(c.History)-1].At
	for {
		next, err := c.Apply(Entry{At: last.Add(time.Hour), By: System, Act: Note, Why: "automatic: ticket"})
		if err != nil {
			break
		}
		c = next
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	again, err := Replay(c.History)
	runtime.ReadMemStats(&after)
	if err != nil || len(again.History) != len(c.History) {
		t.Fatalf("%d entries of %d, %v", len(again.History), len(c.History), err)
	}
	if got := after.TotalAlloc - before.TotalAlloc; got > 16<<20 {
		t.Errorf("%d entries took %d MiB", len(c.History), got>>20)
	}
}
