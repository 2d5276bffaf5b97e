package demo

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/blocklist"
	"github.com/tocsin-io/tocsin/controller"
	"github.com/tocsin-io/tocsin/fleet"
	"github.com/tocsin-io/tocsin/internal/clock"
)

var six = time.Date(2023, 10, 14, 18, 0, 0, 0, time.UTC)

// A scene is a plot, and what is told to it.
type scene struct {
	*plot
	t    *testing.T
	next int // source
}

func newScene(t *testing.T) *scene {
	clk := clock.New(clock.State{Shows: six, Speed: 1, Paused: true})
	s := &scene{plot: newPlot(clk, func(api.DemoStory) {}), t: t}
	s.from = six
	s.names["d-1"], s.names["d-2"] = "nas-0001", "nas-0002"
	return s
}

// at has the clock show so many minutes after six.
func (s *scene) at(minutes float64) time.Time {
	t := six.Add(time.Duration(minutes * float64(time.Minute)))
	s.clk.Set(clock.State{Shows: t, Speed: 1, Paused: true})
	return t
}

// sources has new sources guess at a time.
func (s *scene) sources(n int, minutes float64) (last netip.Prefix) {
	for range n {
		s.next++
		last = netip.MustParsePrefix(fmt.Sprintf("198.18.%d.%d/32", s.next/250, 1+s.next%250))
		s.guess(last, "d-1", minutes)
	}
	return last
}

func (s *scene) guess(source netip.Prefix, id tocsin.DeviceID, minutes float64, facts ...tocsin.Fact) {
	at := s.at(minutes)
	r := tocsin.Received{At: at, Sighting: tocsin.Sighting{ID: tocsin.ID{Device: id}, Source: source, First: at, Last: at, Failures: 3}}
	for _, f := range facts {
		r.Facts = r.Facts.With(f)
	}
	s.heard(tocsin.Event{At: at, Received: &r}, nil)
}

func (s *scene) want(stages ...Stage) {
	s.t.Helper()
	var have []Stage
	for _, one := range s.told() {
		have = append(have, Stage(one.Stage))
	}
	if !slices.Equal(have, stages) {
		s.t.Errorf("it came to %v, want %v", have, stages)
	}
}

// usual is what happens on any evening, until 18:42.
func (s *scene) usual() {
	s.sources(60, 0) // who guesses all the time is new once
	for m := 1.0; m < 42; m++ {
		s.sources(2, m)
	}
}

func TestAttackIsASurge(t *testing.T) {
	s := newScene(t)
	s.usual()
	s.sources(11, 42)
	s.want()
	s.sources(1, 42.3)
	s.want(Attack)
	if one := s.told()[0]; one.Clock != "18:42:00" {
		t.Errorf("it begins with %+v", one)
	}
	s.sources(40, 43)
	s.want(Attack)
}

func TestFirstBlockIsHeldByAFirewall(t *testing.T) {
	s := newScene(t)
	s.usual()
	early := netip.MustParsePrefix("198.18.0.2/32") // seen long before
	bot := s.sources(20, 42)
	s.guess(bot, "d-2", 43, tocsin.BlockedHere)
	s.want(Attack) // the word of the device alone is no block
	s.holds("d-2", early, time.Now())
	s.guess(early, "d-2", 43, tocsin.BlockedHere)
	s.want(Attack)
	s.holds("d-2", bot, time.Now())
	s.guess(bot, "d-2", 44, tocsin.BlockedHere)
	s.want(Attack, FirstBlock)
}

func TestEverywhereIsEveryConnectedDevice(t *testing.T) {
	s := newScene(t)
	s.usual()
	bot := s.sources(20, 42)
	decide := func(f fleet.Effect) {
		f.Decision = tocsin.Decision{Prefix: bot, Action: tocsin.Block}
		s.heard(tocsin.Event{At: s.at(44)}, []fleet.Effect{f})
	}
	connected := []tocsin.DeviceID{"d-1", "d-2"}
	none := func(why string) {
		t.Helper()
		if w, _ := s.everywhere(connected); w != nil {
			t.Errorf("%s, and it counts as everywhere", why)
		}
	}
	s.holds("d-1", bot, time.Now())
	s.holds("d-2", bot, time.Now())
	decide(fleet.Effect{Owner: "ada", Verdict: blocklist.Enforced})
	none("it is one owner's")
	decide(fleet.Effect{Owner: fleet.Everybody, Verdict: blocklist.Enforced, Withdrawn: true})
	none("it was withdrawn")
	decide(fleet.Effect{Owner: fleet.Everybody, Verdict: blocklist.Enforced})
	connected = append(connected, "d-3")
	none("one device lacks it")
	later := time.Now().Add(time.Second)
	s.holds("d-3", bot, later)
	w, last := s.everywhere(connected)
	if w == nil || !last.Equal(later) {
		t.Fatalf("%+v at %v, want %v", w, last, later)
	}
	s.inForce(w, last, 3, 1)
	s.inForce(w, last, 3, 1) // told once
	s.want(Attack, Everywhere)
}

func TestControllerHasToStayFirst(t *testing.T) {
	s := newScene(t)
	s.usual()
	s.sources(20, 42)
	rank := func(minutes float64, a string, class tocsin.ControllerClass, labelled int) bool {
		s.at(minutes)
		_, counts := s.ranking(api.Ranking{Observed: 100, Candidates: []controller.Candidate{
			{Controller: tocsin.Controller{Address: netip.MustParseAddr(a), Port: 4443, Class: class, Labelled: labelled, Devices: labelled}},
		}}, false)
		return counts
	}
	for _, step := range []struct {
		minutes  float64
		a        string
		class    tocsin.ControllerClass
		labelled int
		counts   bool
	}{
		{50, "203.0.113.9", tocsin.Commands, 3, false}, {52, "203.0.113.9", tocsin.Commands, 3, false},
		{52.5, "203.0.113.8", tocsin.Commands, 3, false}, {54, "203.0.113.9", tocsin.Commands, 3, false},
		{58, "203.0.113.9", tocsin.Target, 3, false}, {59, "203.0.113.9", tocsin.Commands, 2, false},
		{60, "203.0.113.9", tocsin.Commands, 3, false}, {63, "203.0.113.9", tocsin.Commands, 3, true},
	} {
		if got := rank(step.minutes, step.a, step.class, step.labelled); got != step.counts {
			t.Errorf("%+v: it counts: %v", step, got)
		}
	}
	s.want(Attack, Ranked)
}

func TestRowsSayDraftedAndNeverShutDown(t *testing.T) {
	var stories []api.DemoStory
	for _, s := range Stages {
		stories = append(stories, api.DemoStory{Stage: string(s), Measured: map[string]any{"after_seconds": 5400.0}})
	}
	list := rows(stories)
	if len(list) != len(Stages) {
		t.Errorf("%d rows: %+v", len(list), list)
	}
	drafted := false
	for _, r := range list {
		if strings.Contains(r.Here, "shut") || r.How != measured && r.How != simulated || r.FR.What == "" || r.FR.In2023 == "" || r.FR.Here == "" || r.FR.How == "" {
			t.Errorf("%+v", r)
		}
		drafted = drafted || strings.Contains(r.Here, "drafted in 90 min")
	}
	if !drafted || len(rows(nil)) != 0 {
		t.Errorf("%+v", list)
	}
	if len(notShownFR) != len(notShown) {
		t.Errorf("what no demo can tell is %d sentences in English, %d in French", len(notShown), len(notShownFR))
	}
}

func TestConfigIsChecked(t *testing.T) {
	for _, c := range []Config{{Devices: 3}, {Devices: 1000}, {Speed: -1}, {Speed: 1e6}, {Firewall: "ipchains"}} {
		if _, err := c.Check(); err == nil {
			t.Errorf("%+v passes", c)
		}
	}
	c, err := Config{}.Check()
	if err != nil || c.Devices != 60 || c.Speed != 100 || c.Firewall != Auto || len(c.Password) < 15 {
		t.Errorf("%+v, %v", c, err)
	}
}
