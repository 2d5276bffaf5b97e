// Package operator is how a person on the machine talks to the guard: a Unix
// socket, one JSON request a connection, JSON lines back. The kernel tells the
// guard who asks; nothing here can be reached from a network.
//
// It carries orders and answers. What an order does is up to the [Handler].
package operator

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"github.com/tocsin-io/tocsin"
)

// A Verb is what a person orders.
type Verb string

// The verbs travel: never rename.
const (
	Block   Verb = "block"   // drop the prefix
	Unblock Verb = "unblock" // lift every block, let it pass for a while and forgive
	Allow   Verb = "allow"   // never block it
	End     Verb = "end"     // take an order back
)

// An Order is a Verb about a prefix, for a time.
type Order struct {
	Verb   Verb          `json:"verb"`
	Of     Verb          `json:"of,omitempty"` // which order an End takes back: Block or Allow
	Prefix netip.Prefix  `json:"prefix"`
	For    time.Duration `json:"for_ns,omitempty"` // 0 is the verb's usual time
	Note   string        `json:"note,omitempty"`   // why, for whoever reads the rules later
	By     string        `json:"-"`                // who ordered: told by the kernel, never by the peer
}

// A Done is what became of an Order.
type Done struct {
	Prefix netip.Prefix `json:"prefix"`
	Until  time.Time    `json:"until"`
	Lifted int          `json:"lifted,omitempty"` // blocks that an unblock ended
	Note   string       `json:"note,omitempty"`   // what the person should know besides
}

// A Rule is one rule in force, for people.
type Rule struct {
	Prefix  netip.Prefix  `json:"prefix"`
	Action  string        `json:"action"` // block, pass
	Origins []string      `json:"origins"`
	Since   time.Time     `json:"since"`
	Until   time.Time     `json:"until"`
	Reason  tocsin.Reason `json:"reason,omitempty"`
	Hits    uint32        `json:"hits"` // packets dropped, by sample: a lower bound
	LastHit *time.Time    `json:"last_hit,omitempty"`
}

// Status is how the guard is.
type Status struct {
	Version     string         `json:"version"`
	Since       time.Time      `json:"since"`
	Backend     string         `json:"backend"`
	DryRun      bool           `json:"dry_run,omitempty"`
	User        string         `json:"user"`
	Power       []string       `json:"power"`
	Logs        []LogStatus    `json:"logs"`
	Services    []ServiceCount `json:"services"`
	Blocks      int            `json:"blocks"`
	Passes      int            `json:"passes"`
	Sources     int            `json:"sources_remembered"`
	MemoryBytes int            `json:"detector_bytes"`
	Decisions   uint64         `json:"decisions"`
	Drifts      uint64         `json:"drifts_mended"`
	Protected   []netip.Prefix `json:"protected"`
	Clues       uint64         `json:"clues,omitempty"`    // things noticed about this device, since the start
	Contacts    uint64         `json:"contacts,omitempty"` // windows of outgoing connections, since the start
	Hub         *HubStatus     `json:"hub,omitempty"`
	Warnings    []string       `json:"warnings,omitempty"`
}

// HubStatus is how the guard's line to its hub is.
type HubStatus struct {
	UnsentClues  int    `json:"unsent_clues,omitempty"`
	LostClues    uint64 `json:"lost_clues,omitempty"`    // there was no room
	LostContacts uint64 `json:"lost_contacts,omitempty"` // the same

	Address     string          `json:"address"`
	Device      tocsin.DeviceID `json:"device"`
	Owner       tocsin.OwnerID  `json:"owner"`
	Via         string          `json:"via,omitempty"` // push, poll, mirror; "" is out of reach
	Certificate time.Time       `json:"certificate_until"`
	Unsent      int             `json:"unsent"`           // sightings that wait for the hub
	Lost        uint64          `json:"lost,omitempty"`   // sightings that there was no room for
	Frozen      []string        `json:"frozen,omitempty"` // lists of which nothing was heard for ten minutes
	Warnings    []string        `json:"warnings,omitempty"`
}

// LogStatus is how one log is read.
type LogStatus struct {
	Name       string    `json:"name"`
	Provenance string    `json:"provenance"`
	Lines      uint64    `json:"lines"`
	Attempts   uint64    `json:"attempts"`
	Last       time.Time `json:"last,omitzero"`
}

// ServiceCount is what was seen of one service since the guard started.
type ServiceCount struct {
	Service   tocsin.Service `json:"service"`
	Failures  uint64         `json:"failures"`
	Successes uint64         `json:"successes"`
	Probes    uint64         `json:"probes"`
}

// A Handler answers what comes in over the socket. Its errors are shown to the
// person as they are.
type Handler interface {
	// Order carries out o and returns once it is in force and durable.
	Order(ctx context.Context, o Order) (Done, error)
	// Rules calls yield for each rule in force, passes first, newest first.
	Rules(ctx context.Context, yield func(Rule) error) error
	// Sightings calls yield for each sighting gathered so far.
	Sightings(ctx context.Context, yield func(tocsin.Sighting) error) error
	// Status tells how the guard is.
	Status(ctx context.Context) (Status, error)
}

// Why the guard cannot be reached; the text says what to do.
var (
	ErrNoGuard = errors.New("no guard answers: start it (systemctl start tocsin-guard, or tocsin guard), or name its socket with --socket")
	ErrRefused = errors.New("you may not give the guard orders: run this as root or as a member of the socket's group")
)

// request is what travels to the guard; exactly one field is set.
type request struct {
	Order     *Order    `json:"order,omitempty"`
	Rules     *struct{} `json:"rules,omitempty"`
	Sightings *struct{} `json:"sightings,omitempty"`
	Status    *struct{} `json:"status,omitempty"`
}

// answer is one line that travels back; End marks the last one.
type answer struct {
	Done     *Done            `json:"done,omitempty"`
	Rule     *Rule            `json:"rule,omitempty"`
	Sighting *tocsin.Sighting `json:"sighting,omitempty"`
	Status   *Status          `json:"status,omitempty"`
	Error    string           `json:"error,omitempty"`
	End      bool             `json:"end,omitempty"`
}
