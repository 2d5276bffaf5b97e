package keys_test

import (
	"crypto/tls"
	"testing"
	"time"

	"github.com/tocsin-io/tocsin/keys"
)

func TestClock(t *testing.T) {
	built := start
	wall := time.Unix(0, 0)
	c := keys.NewClock(func() time.Time { return wall }, built, time.Time{})
	want := func(what string, at time.Time) {
		t.Helper()
		if got := c.Now(); !got.Equal(at) {
			t.Errorf("%s: got %s, want %s", what, got, at)
		}
	}
	want("1970", built)
	c.Learn(start.Add(day))
	want("learned", start.Add(day))
	wall = wall.Add(time.Hour)
	want("and the time that passed since", start.Add(day+time.Hour))
	c.Heard(start.Add(10 * day))
	c.Heard(start.Add(5 * day))
	want("never back", start.Add(10*day))
	wall = start.Add(20 * day)
	c = keys.NewClock(func() time.Time { return wall }, built, c.Floor())
	want("the wall clock was set right", wall)

	wall = time.Date(2038, 1, 19, 3, 14, 8, 0, time.UTC)
	c = keys.NewClock(func() time.Time { return wall }, built, c.Floor())
	want("2038", wall)
	wall = start.Add(30 * day)
	c = keys.NewClock(func() time.Time { return wall }, built, c.Floor())
	want("2038 leaves no trace", wall)
	c.Learn(start.Add(9999 * day))
	want("a plausible clock learns nothing", wall)
	wall = time.Unix(0, 0)
	c = keys.NewClock(func() time.Time { return wall }, built, c.Floor())
	want("1970 again: what was heard counts", start.Add(10*day))
}

// TestNobodySignsTheClockAway has a thief of the online key sign what is always
// just not too far ahead.
func TestNobodySignsTheClockAway(t *testing.T) {
	c := keys.NewClock(func() time.Time { return start.Add(day) }, start, time.Time{})
	for range 1000 {
		c.Heard(c.Now().Add(9 * time.Minute))
	}
	if got := c.Now().Sub(start.Add(day)); got > 20*time.Minute {
		t.Errorf("the clock is %v ahead", got)
	}
}

func TestClocksOfDevices(t *testing.T) {
	h := newHub(t)
	i := h.enrol(t, "nas-1")
	h.set(start.Add(20*day), "")
	h.listen(t)
	// Without a battery, with a build older than the hub's certificate.
	clock := keys.NewClock(func() time.Time { return time.Unix(0, 0) }, start.Add(-90*day), time.Time{})
	config, err := i.TLS(clock)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.connect(t, config); err != nil {
		t.Errorf("1970: %v", err)
	}
	if got, least := clock.Now(), h.now().Add(-2*time.Hour); got.Before(least) {
		t.Errorf("1970: the clock learned %s, want at least %s", got, least)
	}
	config, err = i.TLS(clockAt(time.Date(2038, 1, 19, 3, 14, 8, 0, time.UTC)))
	if err != nil {
		t.Fatal(err)
	}
	if c, err := tls.Dial("tcp", h.addr, config); err == nil {
		c.Close()
		t.Error("2038: connected with a certificate that is over by its clock")
	} else if want := "set the clock"; !contains(err, want) {
		t.Errorf("2038: got %q, want %q", err, want)
	}
	if keys.Built().Year() < 2026 {
		t.Error("built before the language it is written in")
	}
}
