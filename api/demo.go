package api

import (
	"net/http"
	"time"
)

// A Demo is a show of an invented incident, and how people steer it.
type Demo interface {
	// Clock tells how its clock goes.
	Clock() DemoClock
	// Page tells what the story came to so far.
	Page() DemoPage
	// Steer pauses it, has it go on, or begin anew.
	Steer(DemoChange) error
}

// A DemoClock is how the clock of a demo goes.
type DemoClock struct {
	Speed  float64   `json:"speed"` // how many times as fast
	Paused bool      `json:"paused"`
	Now    time.Time `json:"now"` // as it shows
	Seed   uint64    `json:"seed"`
}

// A DemoStory is one caption: what the story came to.
type DemoStory struct {
	N        int            `json:"n"`
	Stage    string         `json:"stage"`
	At       time.Time      `json:"at"`      // by the demo's clock
	Clock    string         `json:"clock"`   // the same, for people
	Elapsed  float64        `json:"elapsed"` // seconds of the wall clock since the story began
	EN       string         `json:"en"`
	FR       string         `json:"fr"`
	Measured map[string]any `json:"measured,omitempty"`
}

// A DemoSummary is what came of a story.
type DemoSummary struct {
	Seed       uint64       `json:"seed"`
	Devices    int          `json:"devices"`
	Guards     int          `json:"guards"`           // devices with telemetry
	Kernels    int          `json:"kernel_firewalls"` // of those, that enforce by the kernel
	Firewall   string       `json:"firewall"`
	Speed      float64      `json:"speed"`
	Elapsed    float64      `json:"elapsed"` // seconds of the wall clock, the preparations included
	Reached    []string     `json:"stages_reached"`
	Missing    []string     `json:"stages_missing"`
	OK         bool         `json:"ok"` // every stage was reached
	Rows       []DemoRow    `json:"rows"`
	Compared   DemoCompared `json:"compared"`
	NotShown   []string     `json:"not_shown"` // what no demo can tell
	NotShownFR []string     `json:"not_shown_fr"`
}

// A DemoRow sets one clock beside that of 2023, in English and in French.
type DemoRow struct {
	DemoClocks
	FR DemoClocks `json:"fr"`
}

// DemoClocks are the words of a row.
type DemoClocks struct {
	What   string `json:"what"`
	In2023 string `json:"in_2023"`
	Here   string `json:"here"`
	How    string `json:"how"` // measured here, or simulated time
}

// DemoCompared sets what was found beside what is true of the invented incident,
// which nobody but the summary reads.
type DemoCompared struct {
	Controller      string `json:"controller,omitempty"` // as found
	ControllerRight bool   `json:"controller_right"`
	Entered         int    `json:"entered"`      // devices that truly were
	EnteredSeen     int    `json:"entered_seen"` // of those, whose guard was there to see it
	Confirmed       int    `json:"confirmed"`    // of those entered, found
	Wrongly         int    `json:"wrongly"`      // confirmed, and not entered
}

// A DemoPage is all that a page shows of a demo.
type DemoPage struct {
	DemoClock
	Stages  []DemoStory  `json:"stages"`
	Summary *DemoSummary `json:"summary"` // null until the story is over
}

// A DemoChange steers a demo.
type DemoChange struct {
	Paused *bool   `json:"paused,omitempty"`
	Seed   *uint64 `json:"seed,omitempty"` // begin anew, with another incident
}

func (a *API) demo(*call) (any, error) {
	if a.Demo == nil {
		return nil, Refuse(http.StatusNotFound, "this hub is no demo")
	}
	return a.Demo.Page(), nil
}

func (a *API) steerDemo(c *call) (any, error) {
	if a.Demo == nil {
		return nil, Refuse(http.StatusNotFound, "this hub is no demo")
	}
	var change DemoChange
	if err := fromPerson(c.w, c.r, &change); err != nil {
		return nil, err
	}
	c.did = "steer the demo"
	if change.Paused == nil && change.Seed == nil {
		return nil, badRequest("say whether it is paused, or the seed of another incident")
	}
	if err := a.Demo.Steer(change); err != nil {
		return nil, err
	}
	return a.Demo.Clock(), nil
}
