package tocsin

import (
	"net/netip"
	"time"
)

// An ID names one sighting for ever: a repeat is recognised however late.
type ID struct {
	Device  DeviceID
	Boot    uint64 // grows each time the guard starts
	Counter uint64 // grows with each sighting of one Boot
}

// An AccountTag stands for an account name: the name itself where it is on the
// public list of defaults, otherwise a keyed hash that only devices of the same
// owner can compare.
type AccountTag string

// Tried is what became of one account within a [Sighting]. A success excuses
// only failures of the same account, so the hub must know them apart.
type Tried struct {
	Tag       AccountTag
	Failures  uint32
	Successes uint32
	Unknown   bool // the service said that it has no such account
}

// A Sighting is what a device tells the hub: one source's attempts on one
// service within a window.
type Sighting struct {
	ID          ID
	Source      netip.Prefix
	Port        uint16 // one source port, for abuse reports; 0 is unknown
	Service     Service
	First, Last time.Time
	Failures    uint32
	Successes   uint32
	Probes      uint32
	Dropped     uint32     // packets that the kernel dropped, by sample: a lower bound
	Accounts    []Tried    // in the order first tried, bounded: the counts above may hold more
	Provenance  Provenance // the weakest of the attempts
	Facts       FactSet
}
