package api

import (
	"context"
	"net/netip"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/controller"
	"github.com/tocsin-io/tocsin/overview"
)

// A Console answers what only people who look at pages ask. Errors are shown as those
// of the other parts.
type Console interface {
	Policies
	// Tables returns the tables that it has, by name.
	Tables() map[string]Table
	// Overview returns what is going on now, and what did within a span up to now.
	Overview(ctx context.Context, span time.Duration) (Overview, error)
	// About returns everything that is known about an address.
	About(ctx context.Context, a netip.Addr) (About, error)
	// CampaignGraph returns who guessed where, in at most so many nodes, or
	// [store.ErrNotFound].
	CampaignGraph(ctx context.Context, id tocsin.CampaignID, most int) (CampaignGraph, error)
	// CampaignTimeline returns a campaign over time, or [store.ErrNotFound].
	CampaignTimeline(ctx context.Context, id tocsin.CampaignID) (CampaignTimeline, error)
	// CampaignNetworks returns where a campaign's sources are, most first, or
	// [store.ErrNotFound].
	CampaignNetworks(ctx context.Context, id tocsin.CampaignID) ([]CampaignNetwork, error)
	// Notifications returns who is told of what happens, without secrets.
	Notifications(ctx context.Context) ([]Notified, error)
}

// An Overview is what people see first.
type Overview struct {
	At        time.Time       `json:"at"`
	Now       Now             `json:"now"`
	Series    overview.Series `json:"series"`
	Reaction  Reaction        `json:"reaction"`
	Campaign  *CampaignLine   `json:"campaign"`  // the newest; null is none
	Attention []Attention     `json:"attention"` // what wants a person, the most urgent first
}

// Now is how things stand.
type Now struct {
	At            time.Time `json:"at"`
	Attempts      uint64    `json:"attempts"` // in 24 h
	Sources       int       `json:"sources"`  // in 24 h
	Blocks        int       `json:"blocks"`   // in force
	Devices       int       `json:"devices"`
	Connected     int       `json:"connected"`
	Lagging       int       `json:"lagging"`  // connected, and without rules that were published some time ago
	Silent        int       `json:"silent"`   // were heard of, and are not connected
	Coverage      float64   `json:"coverage"` // share of the devices with all rules in force
	Suspected     int       `json:"suspected"`
	Confirmed     int       `json:"confirmed"`
	Unknown       int       `json:"unknown"`
	CampaignsOpen int       `json:"campaigns_open"`
	CasesOpen     int       `json:"cases_open"`

	LastMinute overview.Sum `json:"last_minute"`
}

// A Reaction is how long it takes from the first sighting of a source until every
// connected device drops it, in the last week.
type Reaction struct {
	Last       *float64     `json:"last"` // seconds; null is none yet
	P50        *float64     `json:"p50"`
	P95        *float64     `json:"p95"`
	N          int          `json:"n"`
	Prefix     netip.Prefix `json:"prefix,omitzero"` // of the last one
	First      time.Time    `json:"first_sighting,omitzero"`
	Everywhere time.Time    `json:"everywhere,omitzero"`

	// Of that, from the decision on, in seconds: how fast the fleet is told.
	SpreadP50 *float64 `json:"spread_p50"`
	SpreadP95 *float64 `json:"spread_p95"`
}

// An Attention is something that wants a person.
type Attention struct {
	Kind   string `json:"kind"` // silent, lagging, confirmed, suspected, case, keys, warning
	TextEN string `json:"text_en"`
	TextFR string `json:"text_fr"`
	ID     string `json:"id,omitempty"`
	Href   string `json:"href"` // of the page that shows it
}

// An About is everything that is known about an address.
type About struct {
	Address      netip.Addr            `json:"address"`
	Prefix       netip.Prefix          `json:"prefix"` // what counts as one source
	Network      Network               `json:"network"`
	Country      string                `json:"country"`      // "" is not known
	Explanations []Explanation         `json:"explanations"` // for everybody first, then for each owner that has to do with it
	Seen         *Seen                 `json:"seen"`         // in the last week; null is never
	LastHit      *time.Time            `json:"last_hit"`     // when a device last dropped packets of it
	Campaigns    []Membership          `json:"campaigns"`
	Controller   *controller.Candidate `json:"controller"`
	Cases        []CaseLine            `json:"cases"`
	Events       []Event               `json:"events"` // the newest
	Blocked      bool                  `json:"blocked"`
	Until        *time.Time            `json:"until"`
}

// A Network is an autonomous system.
type Network struct {
	Number uint32 `json:"number"` // 0 is not known
	Name   string `json:"name"`
}

// Seen is what devices told of a source.
type Seen struct {
	First     time.Time           `json:"first"`
	Last      time.Time           `json:"last"`
	Attempts  uint64              `json:"attempts"`
	Failures  uint64              `json:"failures"`
	Successes uint32              `json:"successes"`
	Probes    uint64              `json:"probes"`
	Dropped   uint64              `json:"dropped"`
	Devices   int                 `json:"devices"`
	Owners    []tocsin.OwnerID    `json:"owners"`
	Services  []tocsin.Service    `json:"services"`
	Accounts  []tocsin.AccountTag `json:"accounts"`
}

// A Membership is a campaign that a source has to do with.
type Membership struct {
	ID         tocsin.CampaignID `json:"id"`
	Why        []tocsin.Reason   `json:"why"`
	Attributed bool              `json:"attributed"` // false: it was only active at the same time
}

// A CampaignGraph is who guessed where.
type CampaignGraph struct {
	Nodes   []Node  `json:"nodes"`
	Edges   []Edge  `json:"edges"`
	LeftOut LeftOut `json:"left_out"`
}

// LeftOut counts what a graph does not show.
type LeftOut struct {
	Sources int `json:"sources"`
	Targets int `json:"targets"`
}

// A Node is one of a graph.
type Node struct {
	ID     string  `json:"id"`
	Kind   string  `json:"kind"` // source, target, controller, network
	Label  string  `json:"label"`
	Weight float64 `json:"weight"`
	State  string  `json:"state"` // of a source: blocked or ""; of a target: its compromise
}

// An Edge joins two nodes.
type Edge struct {
	From   string  `json:"from"`
	To     string  `json:"to"`
	Kind   string  `json:"kind"` // guessed, contacted, belongs
	Weight float64 `json:"weight"`
}

// A CampaignTimeline is a campaign over time, as far back as its sources' minutes are
// remembered.
type CampaignTimeline struct {
	overview.Course
	Marks []TimelineMark `json:"marks"` // by time
}

// A TimelineMark is something that happened.
type TimelineMark struct {
	At     time.Time `json:"at"`
	Kind   string    `json:"kind"` // opened, ended, first-block, fleet-block, case, joined, split, note
	TextEN string    `json:"text_en"`
	TextFR string    `json:"text_fr"`
}

// A CampaignNetwork is one where sources of a campaign are.
type CampaignNetwork struct {
	Network
	Country  string `json:"country"`
	Sources  int    `json:"sources"`
	Attempts uint64 `json:"attempts"`
}

// A Notified is somebody who is told of what happens.
type Notified struct {
	Name   string   `json:"name"`
	Kind   string   `json:"kind"`   // mail, webhook
	Events []string `json:"events"` // empty is all
	To     string   `json:"to"`     // masked: enough to tell one from another
}
