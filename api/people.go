package api

import (
	"net/netip"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/store"
)

// A Device is one device, for people.
type Device struct {
	tocsin.Device
	Connected   bool      `json:"connected"`
	Seen        time.Time `json:"seen,omitzero"` // when it last said anything
	Version     string    `json:"version,omitempty"`
	Note        string    `json:"note,omitempty"`
	Offset      float64   `json:"clock_ahead_seconds,omitempty"`
	Lists       []InForce `json:"lists,omitempty"`
	Certificate time.Time `json:"certificate_until,omitzero"`
	Clues       uint64    `json:"clues,omitempty"` // kept of what it noticed about itself
}

// An InForce is how far a device has enforced a list.
type InForce struct {
	store.ListState
	Behind uint64 `json:"behind"` // serials that the hub has published since
}

// A DevicePage is part of all devices, by ID.
type DevicePage struct {
	Devices []Device `json:"devices"`
	Next    string   `json:"next,omitempty"` // cursor of the next page; "" is the end
}

// A DeviceChange changes what is set. The owner never changes: enrol anew.
type DeviceChange struct {
	Name    *string            `json:"name,omitempty"`
	Groups  *[]string          `json:"groups,omitempty"`
	Labels  *map[string]string `json:"labels,omitempty"`  // replaces all of them
	Suspect *bool              `json:"suspect,omitempty"` // its word binds nobody
}

// A TokenWish says what the enrolment token is for.
type TokenWish struct {
	Owner    tocsin.OwnerID `json:"owner"`
	Groups   []string       `json:"groups,omitempty"`
	Honeypot bool           `json:"honeypot,omitempty"`
	Seconds  int            `json:"for_seconds,omitempty"` // 0 is an hour
}

// A Token lets one device enrol, once. It is shown once.
type Token struct {
	Token string    `json:"token"`
	Until time.Time `json:"until"`
}

// A Rule is a rule in force, for people.
type Rule struct {
	Prefix netip.Prefix   `json:"prefix"`
	Action string         `json:"action"` // block, pass
	Owner  tocsin.OwnerID `json:"owner,omitempty"`
	Origin string         `json:"origin"` // device, fleet, operator
	Since  time.Time      `json:"since"`
	Until  time.Time      `json:"until"`
	Reason tocsin.Reason  `json:"reason,omitempty"`
}

// A RulePage is part of the rules in force, by prefix.
type RulePage struct {
	Rules []Rule `json:"rules"`
	Next  string `json:"next,omitempty"` // cursor of the next page; "" is the end
}

// An Explanation says why an address is blocked, or is not.
type Explanation struct {
	Address netip.Addr     `json:"address"`
	Owner   tocsin.OwnerID `json:"owner,omitempty"`
	Rules   []Rule         `json:"rules"` // in force about it: the owner's, then everybody's
	Lines   []string       `json:"lines"` // for people: devices by pseudonym, networks, windows, evidence, end
}

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
	Verb    Verb           `json:"verb"`
	Of      Verb           `json:"of,omitempty"` // which order an End takes back: Block or Allow
	Prefix  netip.Prefix   `json:"prefix"`
	Owner   tocsin.OwnerID `json:"owner,omitempty"`       // whose devices; "" is every owner's
	Seconds int            `json:"for_seconds,omitempty"` // 0 is the verb's usual time
	Note    string         `json:"note,omitempty"`        // why, for whoever reads the rules later

	// Emergency has it at all devices at once, where it would go by rings. It needs
	// a note: who, why and until when are on record.
	Emergency bool `json:"emergency,omitempty"`

	By string `json:"-"` // who ordered: by the token or the kernel, never by the body
}

// A Done is what became of an [Order].
type Done struct {
	Prefix netip.Prefix `json:"prefix"`
	Until  time.Time    `json:"until,omitzero"`
	Serial uint64       `json:"serial"` // of the event in the hub's log
	Note   string       `json:"note,omitempty"`
}

// An Event is one entry of the hub's log: exactly one of the pointers is set.
type Event struct {
	Serial   uint64        `json:"serial"`
	At       time.Time     `json:"at"`
	Received *Received     `json:"received,omitempty"`
	Order    *Ordered      `json:"order,omitempty"`
	Loss     *LossReceived `json:"loss,omitempty"`
}

// A Received is a sighting as the hub stamped it.
type Received struct {
	Sighting Sighting       `json:"sighting"`
	Owner    tocsin.OwnerID `json:"owner"`
	From     netip.Addr     `json:"from"`
	Network  uint32         `json:"network,omitempty"` // autonomous system of From
	Channel  string         `json:"channel"`
	Suspect  bool           `json:"suspect,omitempty"`
	Offset   float64        `json:"clock_ahead_seconds,omitempty"`
}

// Ordered is an order of a person as logged.
type Ordered struct {
	Verb   Verb           `json:"verb"`
	Of     Verb           `json:"of,omitempty"`
	Owner  tocsin.OwnerID `json:"owner,omitempty"`
	Prefix netip.Prefix   `json:"prefix"`
	Until  time.Time      `json:"until,omitzero"`
	Reason tocsin.Reason  `json:"reason,omitempty"`
	By     string         `json:"by"`
}

// A LossReceived is a device's word that a rule cut off somebody who belongs
// there.
type LossReceived struct {
	Device tocsin.DeviceID `json:"device"`
	Owner  tocsin.OwnerID  `json:"owner"`
	Prefix netip.Prefix    `json:"prefix"`
}

// An EventPage is part of the events about a source, newest first.
type EventPage struct {
	Events []Event `json:"events"`
	Next   string  `json:"next,omitempty"` // cursor of the next page; "" is the end
}

// An AccessWish says what the API token is for.
type AccessWish struct {
	Name    string     `json:"name"`
	Role    store.Role `json:"role"`
	Seconds int        `json:"for_seconds,omitempty"` // 0 is for ever
}

// An Access is an API token, without its secret.
type Access struct {
	Name  string     `json:"name"`
	Role  store.Role `json:"role"`
	Made  time.Time  `json:"made"`
	Until time.Time  `json:"until,omitzero"`
	Used  time.Time  `json:"used,omitzero"`
}

// An AccessMade is a new API token. It is shown once.
type AccessMade struct {
	Access
	Token string `json:"token"`
}

// Codes are new one-time passes. They are shown once.
type Codes struct {
	Owner tocsin.OwnerID `json:"owner"`
	Codes []string       `json:"codes"`
}

// A Pass is a one-time pass, without its code.
type Pass struct {
	Number int          `json:"number"` // as in the list that was shown, from 1
	Made   time.Time    `json:"made"`
	Used   time.Time    `json:"used,omitzero"`
	For    netip.Prefix `json:"for,omitzero"` // who used it
}

// A Redeemed is what a one-time pass did.
type Redeemed struct {
	Prefix netip.Prefix `json:"prefix"`
	Until  time.Time    `json:"until"`
	Lifted bool         `json:"lifted"` // there was a block
}

// Status is how the hub is.
type Status struct {
	Version    string       `json:"version"`
	Since      time.Time    `json:"since"`
	Devices    int          `json:"devices"`
	Connected  int          `json:"connected"`
	Lagging    int          `json:"lagging"` // devices that have not enforced what is published
	Owners     int          `json:"owners"`
	Events     uint64       `json:"events"`
	Serial     uint64       `json:"serial"` // of the newest event
	Bytes      int64        `json:"database_bytes"`
	Lists      []ListHead   `json:"lists"`
	Networks   NetworkTable `json:"networks"`
	Unreplayed uint64       `json:"lost_after_restore,omitempty"` // acknowledged after the backup, and not had again
	Warnings   []string     `json:"warnings,omitempty"`
}

// A ListHead is the newest serial of a list.
type ListHead struct {
	store.ListState
	Rules int `json:"rules"`
}

// A NetworkTable says how old and how good the table of autonomous systems is.
type NetworkTable struct {
	Date    time.Time `json:"date"`
	Source  string    `json:"source"`
	Quality string    `json:"quality"`
	Ranges  int       `json:"ranges"`
}
