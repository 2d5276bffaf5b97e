// Package api is how devices, people and programs talk to a hub: HTTP and JSON,
// described by the OpenAPI document that it serves at /openapi.json. It promises
// that whoever asks is known before anything is read of the body, that every body
// is bounded, and that a device is never told anything but frames, certificates
// and numbers: no command, path or configuration.
//
// It decides and stores nothing: what a request does is up to the small
// interfaces in parts.go, which a hub implements. A [Client] speaks for guards
// and for the command line. Frames travel by package feed, not by this one.
package api

import (
	"net/netip"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/store"
)

// What a hub takes at most, so that clients know how to cut.
const (
	MaxBatch     = 1000    // sightings, clues or contacts in one batch
	MaxBody      = 1 << 20 // bytes of a request, as sent
	MaxExpanded  = 4 << 20 // bytes of a request that was sent as gzip
	MaxLosses    = 100     // prefixes in one report of losses
	MaxPage      = 1000    // items in one page
	DefaultPage  = 100     // items in one page unless asked otherwise
	PassCodes    = 10      // one-time passes made at once
	maxNetworks  = 128 << 20
	maxOwnerKeys = 1000 // sealed answers in one request
)

// An Enrolment is what a new device sends: the secret of its token, and keys made
// on the device, of which only the public halves travel.
type Enrolment struct {
	Secret     string `json:"secret"`             // from the token
	CSR        string `json:"csr"`                // PKCS #10, in PEM
	SealingKey []byte `json:"sealing_key"`        // X25519 public key: the owner's key is sealed to it
	Name       string `json:"name,omitempty"`     // host name, for people
	Model      string `json:"model,omitempty"`    // becomes the label "model"
	Firmware   string `json:"firmware,omitempty"` // becomes the label "firmware"
	Version    string `json:"version,omitempty"`  // of the guard
	Invented   bool   `json:"invented,omitempty"` // its clock is a demo's
}

// An Enrolled is what a device is told once: who it is, and what to trust.
type Enrolled struct {
	Device       tocsin.DeviceID `json:"device"`
	Owner        tocsin.OwnerID  `json:"owner"`
	Certificates string          `json:"certificates"` // PEM: the device's own first
	CA           string          `json:"ca"`           // PEM
	Root         []byte          `json:"root"`         // TUF root metadata, to pin
	Lists        []string        `json:"lists"`        // names of the lists to follow, such as "fleet/1h"
	Honeypot     bool            `json:"honeypot,omitempty"`
}

// A Renewal asks for the next certificate; the connection proves the key.
type Renewal struct {
	CSR string `json:"csr"` // PKCS #10, in PEM, of the same key
}

// A Renewed is the next certificate.
type Renewed struct {
	Certificates string `json:"certificates"` // PEM: the device's own first
	CA           string `json:"ca"`           // PEM
}

// A Batch is sightings in the order of their numbers, oldest first.
type Batch struct {
	Sent      time.Time  `json:"sent"`      // the device's clock at sending: the hub works out how wrong it is
	Sightings []Sighting `json:"sightings"` // none asks what the hub has

	// What the hub said that it has, when it last did. One that has less, as after
	// a restore, takes nothing, so that what is missing can be sent first. Zero is
	// not known.
	AfterBoot    uint64 `json:"after_boot,omitempty"`
	AfterCounter uint64 `json:"after_counter,omitempty"`
}

// A Taken answers a [Batch] after the commit: what was accepted or repeated can
// not be lost any more.
type Taken struct {
	Accepted int `json:"accepted"`
	Repeated int `json:"repeated"` // committed before

	// The newest that the hub has of this device: whatever is above may be sent.
	// A hub that was restored from a backup has less than it once did.
	HaveBoot    uint64 `json:"have_boot"`
	HaveCounter uint64 `json:"have_counter"`
}

// Losses is a device's word that rules of the fleet cut off people who belong
// there: one report a device a day counts.
type Losses struct {
	Sent     time.Time      `json:"sent"`
	Prefixes []netip.Prefix `json:"prefixes"` // of rules in force, at most [MaxLosses]
}

// A State is what a device says of itself.
type State struct {
	Sent    time.Time         `json:"sent"`
	Version string            `json:"version,omitempty"`
	Lists   []store.ListState `json:"lists"`          // in force in its kernel
	Note    string            `json:"note,omitempty"` // what it wants a person to know

	Coverage []tocsin.Coverage `json:"coverage,omitempty"` // what it read of its own telemetry, one a stream
}

// An OwnerKey is what the hub can tell a device of its owner's key: never the key
// itself, only what other devices of the owner sealed.
type OwnerKey struct {
	Fingerprint string    `json:"fingerprint,omitempty"` // of the key that the owner's first device made; "" is none yet
	Sealed      []byte    `json:"sealed,omitempty"`      // the key, sealed to this device
	Waiting     []Waiting `json:"waiting,omitempty"`     // devices that want it, told to those that have it
}

// Waiting is a device that wants its owner's key.
type Waiting struct {
	Device     tocsin.DeviceID `json:"device"`
	SealingKey []byte          `json:"sealing_key"`
}

// An OwnerKeyOffer claims the fingerprint of the owner's key, once, and hands in
// what was sealed to other devices.
type OwnerKeyOffer struct {
	Fingerprint string      `json:"fingerprint"`
	Sealed      []SealedKey `json:"sealed,omitempty"`
}

// A SealedKey is the owner's key, sealed to one device.
type SealedKey struct {
	Device tocsin.DeviceID `json:"device"`
	Sealed []byte          `json:"sealed"`
}
