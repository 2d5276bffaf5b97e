package tocsin

import (
	"net/netip"
	"time"
)

// An OwnerID names whoever owns devices: a household, a company. A device's word
// binds the devices of its own owner. It is opaque, and it never comes from the
// device: the hub knows it from the enrolment.
type OwnerID string

// A Device is one machine enrolled with a hub.
type Device struct {
	ID       DeviceID          `json:"id"`
	Owner    OwnerID           `json:"owner"`
	Name     string            `json:"name,omitempty"` // for people: the host name
	Groups   []string          `json:"groups,omitempty"`
	Labels   map[string]string `json:"labels,omitempty"` // model, firmware, and what the operator adds
	Honeypot bool              `json:"honeypot,omitempty"`
	Suspect  bool              `json:"suspect,omitempty"` // maybe compromised: its word binds nobody
	Enrolled time.Time         `json:"enrolled"`
	Revoked  time.Time         `json:"revoked,omitzero"` // zero is not revoked
}

// Channel says by which way a sighting reached the hub.
type Channel uint8

// The zero Channel is invalid. The values travel: never renumber.
const (
	_         Channel = iota
	Enrolled          // a guard, by its certificate
	Honeypot          // a guard on a honeypot that the hub's operator runs
	Agentless         // the hub's own detection on a device's syslog
	Imported          // a person, from a file
)

// String returns the word that the command line and the wire use.
func (c Channel) String() string {
	switch c {
	case Enrolled:
		return "enrolled"
	case Honeypot:
		return "honeypot"
	case Agentless:
		return "agentless"
	case Imported:
		return "imported"
	}
	return "invalid"
}

// A Received is a sighting as the hub stamped it: nothing below the sighting
// comes from the device. It holds all that quorum needs to know of the reporter,
// so that the same log gives the same rules, whatever is known of the device
// later.
type Received struct {
	Sighting
	At       time.Time     // of receipt, by the hub's clock
	Offset   time.Duration // how far the device's clock was ahead, as estimated at receipt
	From     netip.Addr    // the address that the hub saw
	Network  uint32        // autonomous system of From; 0 is unknown
	Channel  Channel
	Owner    OwnerID
	Enrolled time.Time // when the device was
	Suspect  bool      // the device may be compromised
}

// An Order is what a person had the hub decide: for all devices of an owner, or
// for every device.
type Order struct {
	Owner    OwnerID  `json:"owner,omitempty"` // "" is every owner
	Decision Decision `json:"decision"`
	Lift     bool     `json:"lift,omitempty"` // a pass that also lifts every block inside, and forgives
	End      bool     `json:"end,omitempty"`  // takes back an order about exactly this prefix and action
	By       string   `json:"by"`             // who ordered, for people
}

// A Loss is a device's word that a rule of the fleet cut off somebody who
// belongs there.
type Loss struct {
	Device   DeviceID     `json:"device"`
	Owner    OwnerID      `json:"owner"`
	Network  uint32       `json:"network"`
	From     netip.Addr   `json:"from"`
	Enrolled time.Time    `json:"enrolled"`
	Prefix   netip.Prefix `json:"prefix"`
}

// An Event is one entry of the hub's log: exactly one of the pointers is set.
// What the fleet decides follows from the log alone.
type Event struct {
	Serial   uint64    // grows by one; starts at 1
	At       time.Time // by the hub's clock; never goes backwards in the log
	Received *Received
	Order    *Order
	Loss     *Loss
}
