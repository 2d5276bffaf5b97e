package console

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/compromise"
	"github.com/tocsin-io/tocsin/controller"
	"github.com/tocsin-io/tocsin/takedown"
)

// A DeviceNews tells that a device is in another state.
type DeviceNews struct {
	ID    tocsin.DeviceID `json:"id"`
	Name  string          `json:"name"`
	State string          `json:"state"`
}

// A CaseNews tells that a case is in another state.
type CaseNews struct {
	ID     takedown.ID    `json:"id"`
	State  takedown.State `json:"state"`
	Source string         `json:"source"`
	Kind   takedown.Kind  `json:"kind"`
}

// A ControllerNews tells that a candidate is ranked otherwise.
type ControllerNews struct {
	Address string                 `json:"address"`
	Port    uint16                 `json:"port"`
	Class   tocsin.ControllerClass `json:"class"`
	Q       float64                `json:"q"`
	Score   float64                `json:"score"`
	Rank    int                    `json:"rank"`
}

// A CompromiseNews tells how many devices are in which state.
type CompromiseNews struct {
	Counts map[compromise.State]int `json:"counts"`
}

// A TableNews tells that rows of a table changed.
type TableNews struct {
	Name string `json:"name"`
}

// mostNews is of how many changes of one kind a second consoles hear; beyond, the name
// of the table says enough.
const mostNews = 20

// compare tells consoles what is another one than a second ago.
func (p *Part) compare(ctx context.Context, s seen) error {
	tables := p.telling.tables()
	tell := func(kind string) func(any) {
		n := 0
		return func(data any) {
			if n++; n <= mostNews {
				p.deps.Live.Publish(kind, data)
			}
		}
	}
	note := func(changed bool, names ...string) {
		if changed {
			tables = append(tables, names...)
		}
	}
	now, err := p.now(ctx)
	if err == nil {
		if s.changes("now", []news{{"", sumOf(now), now}}, func(any) {}) {
			p.deps.Live.Publish("now", now)
		}
	}
	devices, e := p.allDevices(ctx)
	err = errors.Join(err, e)
	list := make([]news, len(devices))
	for i := range devices {
		d := &devices[i]
		list[i] = news{string(d.ID), d.State + " " + d.Name + " " + d.Compromise, DeviceNews{d.ID, d.Name, d.State}}
	}
	note(s.changes("device", list, tell("device")), "devices")
	campaigns, e := p.allCampaigns(ctx)
	err = errors.Join(err, e)
	list = make([]news, len(campaigns))
	for i, line := range campaigns {
		list[i] = news{string(line.ID), asJSON(line), line}
	}
	note(s.changes("campaign", list, tell("campaign")), "campaigns", "members", "targets")
	if p.incident != nil {
		err = errors.Join(err, p.compareIncident(ctx, s, tell, note))
	}
	slices.Sort(tables)
	for _, name := range slices.Compact(tables) {
		p.deps.Live.Publish("table", TableNews{name})
	}
	return err
}

func sumOf(n api.Now) string {
	n.At = time.Time{} // the clock alone is no news
	return asJSON(n)
}

func (p *Part) compareIncident(ctx context.Context, s seen, tell func(string) func(any), note func(bool, ...string)) error {
	var list []news
	cases, err := p.allCases(ctx)
	for _, c := range cases {
		n := CaseNews{c.ID, c.State, c.Source.String(), c.Kind}
		list = append(list, news{string(c.ID), asJSON(n), n})
	}
	note(s.changes("case", list, tell("case")), "cases")
	ranking, e := p.rankingNow(ctx)
	list = nil
	for i, c := range ranking.Candidates {
		n := ControllerNews{c.Address.String(), c.Port, c.Class, c.Q, c.Score, i + 1}
		list = append(list, news{nameOfCandidate(c), asJSON(n), n})
	}
	note(s.changes("controller", list, tell("controller")), "controllers")
	judged, e2 := p.compromiseNow(ctx)
	n := CompromiseNews{judged.Summary.States}
	note(s.changes("compromise", []news{{"", asJSON(n), n}}, tell("compromise")), "compromise")
	return errors.Join(err, e, e2)
}

func nameOfCandidate(c controller.Candidate) string {
	return asJSON([]any{c.Address, c.Port, c.Protocol})
}
