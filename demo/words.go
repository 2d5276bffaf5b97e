package demo

import (
	"fmt"
	"time"

	"github.com/tocsin-io/tocsin/api"
)

// How a figure came about.
const (
	measured  = "measured here"
	simulated = "simulated time"
)

// notShown is what no demo can tell, whatever comes of it.
var notShown = []string{
	"The attack is a recording: an address that is blocked goes on in the logs, so nothing shows how much a block prevents.",
	"The incident is invented after what was published about 2023; which devices, addresses and names were concerned then is not known.",
	"All devices run on this machine: no internet between, no slow links, no sleeping disks.",
	"No letter leaves, so no provider answers: how long one takes to shut a server down is not part of it.",
}

// A told story is its captions by stage.
type byStage map[Stage]api.DemoStory

func (b byStage) number(s Stage, key string) float64 {
	v, _ := b[s].Measured[key].(float64)
	return v
}

// after writes how long after the attack began something came, by the demo's clock.
func (b byStage) after(s Stage, key string) string {
	return short(time.Duration(b.number(s, key) * float64(time.Second)))
}

// rows sets the clocks of a story beside those of 2023.
func rows(stories []api.DemoStory) []api.DemoRow {
	list := []api.DemoRow{}
	by := byStage{}
	for _, s := range stories {
		by[Stage(s.Stage)] = s
	}
	row := func(of Stage, what, in2023, here, how string) {
		if _, reached := by[of]; reached {
			list = append(list, api.DemoRow{What: what, In2023: in2023, Here: here, How: how})
		}
	}
	m := func(s Stage, key string) any { return by[s].Measured[key] }
	row(FirstBlock, "block, at the first device", "not said", by.after(FirstBlock, "after_seconds")+" after the attack began", simulated)
	row(Everywhere, "block, at every device", "within 7 h", by.after(Everywhere, "since_attack_seconds")+" after the attack began", simulated)
	row(Everywhere, "  from decision to all devices", "not said", fmt.Sprintf("%s; %v devices, %v by the kernel",
		by.after(Everywhere, "seconds"), m(Everywhere, "devices"), m(Everywhere, "kernels")), measured)
	row(Opened, "who acts together", "not said", by.after(Opened, "after_seconds")+" after the attack began", simulated)
	row(Ranked, "control server, found", "within 48 h", by.after(Ranked, "after_seconds")+" after the attack began", simulated)
	row(Drafted, "control server, its provider", "shut down within 48 h", "mail drafted in "+by.after(Drafted, "after_seconds"), simulated)
	row(Compromised, "devices entered", "not said", fmt.Sprintf("%v of %v (%.0f to %.0f %%), %v unknown", m(Compromised, "confirmed"),
		m(Compromised, "covered"), 100*by.number(Compromised, "low"), 100*by.number(Compromised, "high"), m(Compromised, "unknown")), simulated)
	return list
}
