package hub_test

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// A shifted clock is ahead of the true one by so much.
type shifted struct{ by atomic.Int64 }

func (s *shifted) now() time.Time { return time.Now().Add(time.Duration(s.by.Load())) }

// TestOffForNinetyDays has a device come back whose certificate, keys and lists
// are all out of date.
func TestOffForNinetyDays(t *testing.T) {
	var clock shifted
	w := newWorld(t, func(w *world) { w.now = clock.now })
	a, b := w.enrol("home"), w.enrol("home")
	a.by(clock.now)
	b.by(clock.now)
	a.attacked("198.51.100.7/32")
	w.eventually("the first block", func() bool { return b.blocks("198.51.100.7/32") })
	b.stop()
	for range 9 { // the hub goes on, and renews its keys
		a.stop()
		w.halt()
		clock.by.Add(int64(10 * 24 * time.Hour))
		w.start()
		a.connect()
		w.eventually("the one that is on goes on", func() bool { return a.up.Status().Via == "push" })
	}
	b.connect()
	w.eventually("the one that was off follows again", func() bool { return b.up.Status().Via == "push" })
	if until := b.up.Status().Certificate; !until.After(clock.now()) {
		t.Errorf("its certificate ran out at %v", until)
	}
	b.attacked("198.51.100.8/32")
	a.attacked("198.51.100.9/32")
	w.eventually("both are heard, and hear", func() bool { return a.blocks("198.51.100.8/32") && b.blocks("198.51.100.9/32") })
	if b.blocks("198.51.100.7/32") {
		t.Error("a block of ninety days ago is in force")
	}
}

// TestAClockOf1970 has a device without a battery: it knows the time by what the
// hub signs.
func TestAClockOf1970(t *testing.T) {
	w := newWorld(t)
	good, d := w.enrol("home"), w.enrol("home")
	d.stop()
	var clock shifted
	clock.by.Store(int64(time.Until(time.Unix(1000, 0))))
	d.by(clock.now)
	d.connect()
	d.attacked("198.51.100.7/32")
	good.attacked("198.51.100.8/32")
	w.eventually("it is heard, and hears", func() bool { return good.blocks("198.51.100.7/32") && d.blocks("198.51.100.8/32") })
	good.mu.Lock()
	defer good.mu.Unlock()
	for _, r := range good.rules {
		if left := time.Until(r.Until); left < 0 || left > 25*time.Hour {
			t.Errorf("%v ends in %v", r.Prefix, left)
		}
	}
}

// TestAClockOf2038 has a device that believes every certificate to be out of
// date: it says so, and goes on once the clock is set.
func TestAClockOf2038(t *testing.T) {
	w := newWorld(t)
	good, d := w.enrol("home"), w.enrol("home")
	d.stop()
	var clock shifted
	clock.by.Store(int64(time.Until(time.Date(2038, 1, 19, 3, 14, 8, 0, time.UTC))))
	d.by(clock.now)
	d.connect()
	d.attacked("198.51.100.7/32")
	w.eventually("it says why it hears nothing", func() bool {
		return strings.Contains(strings.Join(d.up.Status().Warnings, " "), "set the clock")
	})
	clock.by.Store(0)
	d.attacked("198.51.100.8/32")
	w.eventually("it is heard again", func() bool { return good.blocks("198.51.100.8/32") })
	if good.blocks("198.51.100.7/32") {
		t.Error("what was seen in the future counts")
	}
}
