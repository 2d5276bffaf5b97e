package replay_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/replay"
	"github.com/tocsin-io/tocsin/replay/tracemix"
)

// try is one failed attempt at a device of an owner, named as owner/device.
func try(after time.Duration, where, source, account string) replay.Attempt {
	owner, device, _ := strings.Cut(where, "/")
	return replay.Attempt{Owner: tocsin.OwnerID(owner), Attempt: tocsin.Attempt{
		At: tracemix.Start.Add(after), Device: tocsin.DeviceID(device), Service: "ssh", Outcome: tocsin.Failure, Account: account,
		Source: netip.AddrPortFrom(netip.MustParseAddr(source), 40000),
	}}
}

// burst is five guesses, which one device blocks by itself.
func burst(after time.Duration, where, source string) (list []replay.Attempt) {
	for i := range 5 {
		list = append(list, try(after+time.Duration(i)*time.Second, where, source, "root"))
	}
	return list
}

func TestWhoIsStopped(t *testing.T) {
	const evil = "198.51.100.7"
	for _, tt := range []struct {
		name  string
		trace [][]replay.Attempt
		want  int // stopped
	}{
		{"nothing", nil, 0},
		{"a device by itself", [][]replay.Attempt{burst(0, "o/a", evil), {try(time.Minute, "o/a", evil, "root")}}, 1},
		{"the owner's other device", [][]replay.Attempt{burst(0, "o/a", evil), {try(time.Minute, "o/b", evil, "root")}}, 1},
		{"before the rule is there", [][]replay.Attempt{burst(0, "o/a", evil), {try(4100*time.Millisecond, "o/b", evil, "root")}}, 0},
		{"a device that comes later", [][]replay.Attempt{burst(0, "o/a", evil), {try(time.Minute, "o/new", evil, "root"), try(2*time.Minute, "o/new", evil, "root")}}, 2},
		{"another owner's device", [][]replay.Attempt{burst(0, "o/a", evil), {try(time.Minute, "p/a", evil, "root")}}, 0},
		{"everybody's, by three owners", [][]replay.Attempt{
			burst(0, "o/a", evil), burst(time.Minute, "p/a", evil), burst(2*time.Minute, "q/a", evil), {try(3*time.Minute, "r/a", evil, "root")},
		}, 1},
		{"the neighbour of a /64", [][]replay.Attempt{burst(0, "o/a", "2001:db8::1"), {try(time.Minute, "o/b", "2001:db8::2", "root")}}, 1},
		{"a private source", [][]replay.Attempt{burst(0, "o/a", "192.168.7.1"), {try(time.Minute, "o/a", "192.168.7.1", "root")}}, 0},
		{"the allowlist", [][]replay.Attempt{burst(0, "o/a", "203.0.113.9"), {try(time.Minute, "o/b", "203.0.113.9", "root")}}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := config()
			c.Fleet.Allow = []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}
			if got := play(t, c, tracemix.Merge(tt.trace...)).Stopped; got != tt.want {
				t.Errorf("%d stopped, want %d", got, tt.want)
			}
		})
	}
}

func TestSimpleRules(t *testing.T) {
	const day = 24 * time.Hour
	sum := play(t, config(), []replay.Attempt{
		try(0, "o/a", "198.51.100.1", "x"), try(6*day, "o/a", "198.51.100.1", "x"), try(20*day, "o/a", "198.51.100.1", "x"),
		try(21*day, "o/a", "198.51.100.2", "x"), try(30*day, "o/a", "198.51.100.2", "x"),
	})
	if sum.Attempts != 5 || sum.Sources != 2 || sum.Ceiling != 0.6 || sum.Permanent != 0.2 {
		t.Errorf("got %+v", sum)
	}
}

func TestTheSameTraceGivesTheSameSummary(t *testing.T) {
	people := tracemix.People(tracemix.Start, weeks, 10, 1)
	for i := range people {
		people[i].Owner = tocsin.OwnerID(fmt.Sprint("owner", i%3))
	}
	trace := tracemix.Merge(tracemix.Attackers(300, true, 1), people)
	first := play(t, config(), trace)
	if diff := cmp.Diff(first, play(t, config(), trace)); diff != "" {
		t.Errorf("(-first +second):\n%s", diff)
	}
	if first.Owners != 4 || first.Stopped == 0 {
		t.Errorf("got %+v", first)
	}
}

func TestBounds(t *testing.T) {
	for _, n := range []int{-1, replay.MaxDevices + 1} {
		if _, err := replay.New(replay.Config{Devices: n}); err == nil {
			t.Errorf("%d devices are played", n)
		}
	}
	p, err := replay.New(config())
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Play(try(time.Hour, "o/a", "198.51.100.1", "x")); err != nil {
		t.Fatal(err)
	}
	if err := p.Play(try(0, "o/a", "198.51.100.1", "x")); err == nil || !strings.Contains(err.Error(), "sort the trace") {
		t.Errorf("the past is played: %v", err)
	}
}
