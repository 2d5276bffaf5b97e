package tocsin

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// MaxStarts bounds the connections that one [Contact] tells of, one by one.
const MaxStarts = 64

// A Contact is what one device opened to one destination, summed up over a
// window: an outgoing flow, never its content.
type Contact struct {
	Device   DeviceID       `json:"device"`
	To       netip.AddrPort `json:"to"`       // unmapped
	Protocol uint8          `json:"protocol"` // number of the IP protocol: 6 is TCP, 17 is UDP
	First    time.Time      `json:"first"`    // start of the first connection
	Last     time.Time      `json:"last"`     // end of the last, or when it was last seen
	Count    uint32         `json:"count"`    // connections
	Failed   uint32         `json:"failed"`   // of those, refused or never answered
	Sent     uint64         `json:"sent"`     // bytes, by the device
	Received uint64         `json:"received"`
	Longest  time.Duration  `json:"longest_ns"`       // the longest connection
	Starts   []Start        `json:"starts,omitempty"` // in order of time, at most [MaxStarts]: the count may be higher
}

// A Start is one connection of a [Contact].
type Start struct {
	At   time.Time `json:"at"`
	Sent uint64    `json:"sent"` // bytes, by the device
}

// A Clue is something that a device noticed about itself, besides the attempts:
// a fact with its time, what it is about, and the hash of what was read.
type Clue struct {
	ID      ID             `json:"id"` // counted apart from sightings: a repeat is recognised for ever
	Device  DeviceID       `json:"device"`
	At      time.Time      `json:"at"` // when it happened, or when it was noticed first
	Fact    Fact           `json:"fact"`
	Subject string         `json:"subject,omitempty"` // a path, an account, a port: hostile, at most [MaxSubject] bytes
	Source  netip.Prefix   `json:"source,omitzero"`   // who was let in, of a log-in
	To      netip.AddrPort `json:"to,omitzero"`       // of what the device itself opened
	Digest  [32]byte       `json:"digest"`            // SHA-256 of the raw evidence, which stays on the device
}

// MaxSubject bounds the subject of a [Clue], in bytes.
const MaxSubject = 200

// A CampaignID names a campaign for ever. It is opaque.
type CampaignID string

// A Campaign is sources that act together, as far as the hub can tell.
type Campaign struct {
	ID         CampaignID     `json:"id"`
	Status     CampaignStatus `json:"status"`
	Opened     time.Time      `json:"opened"` // when it was noticed
	First      time.Time      `json:"first"`  // of its attempts
	Last       time.Time      `json:"last"`   // of its attempts, or of packets dropped
	Ended      time.Time      `json:"ended,omitzero"`
	Into       CampaignID     `json:"into,omitempty"` // what it was joined to, or split from
	Confidence float64        `json:"confidence"`     // 0 to 1: that its sources act together
	Size       Estimate       `json:"size"`           // sources, unseen ones included
	Attempts   uint64         `json:"attempts"`
	Dropped    uint64         `json:"dropped"` // packets, by sample: a lower bound
	Sources    []Member       `json:"sources"` // by prefix
	Targets    []DeviceID     `json:"targets"` // sorted
	Services   []Service      `json:"services"`
	Accounts   []AccountTag   `json:"accounts"`         // most tried first, bounded; public defaults in clear
	Shared     bool           `json:"shared,omitempty"` // maybe several that use the same machines
	Timeline   []Mark         `json:"timeline"`
}

// A Member is one source of a [Campaign], and why it counts as one.
type Member struct {
	Source     netip.Prefix `json:"source"`
	First      time.Time    `json:"first"`
	Last       time.Time    `json:"last"`
	Attempts   uint32       `json:"attempts"`
	Devices    uint32       `json:"devices"`    // how many it tried
	Confidence float64      `json:"confidence"` // 0 to 1
	Reasons    []Reason     `json:"reasons"`
}

// A Mark is one entry of a timeline.
type Mark struct {
	At   time.Time `json:"at"`
	Text Reason    `json:"text"`
}

// An Estimate is a number that was not counted, with its 95 % interval.
type Estimate struct {
	Value float64 `json:"value"`
	Low   float64 `json:"low"`
	High  float64 `json:"high"`
}

// CampaignStatus says how a campaign stands.
type CampaignStatus uint8

// The values are stored and travel: add at the end, never renumber.
const (
	_      CampaignStatus = iota
	Open                  // attempts go on
	Held                  // its sources still knock, and are dropped
	Ended                 // nothing was seen of it for long, drops included
	Joined                // became part of another
)

var campaignStatusWords = [...]string{Open: "open", Held: "held", Ended: "ended", Joined: "joined"}

// MarshalText encodes s as its word.
func (s CampaignStatus) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads the word of a status.
func (s *CampaignStatus) UnmarshalText(b []byte) error {
	i, err := wordIndex(campaignStatusWords[:], b)
	*s = CampaignStatus(i)
	return err
}

// String returns the word that the command line and the wire use.
func (s CampaignStatus) String() string {
	if int(s) < len(campaignStatusWords) && s > 0 {
		return campaignStatusWords[s]
	}
	return "invalid"
}

// A Controller is an address that devices contacted, ranked by how much it looks
// like what commands those that are compromised.
type Controller struct {
	Address    netip.Addr      `json:"address"`
	Port       uint16          `json:"port"`
	Protocol   uint8           `json:"protocol"`
	Class      ControllerClass `json:"class"`
	Q          float64         `json:"q"`        // Benjamini-Hochberg, over every destination observed
	Score      float64         `json:"score"`    // 0 to 1: ranks, decides nothing
	Admitted   bool            `json:"admitted"` // q is low enough for a case to be proposed
	Devices    int             `json:"devices"`  // that contacted it
	Labelled   int             `json:"labelled"` // of those, likely compromised
	Strata     int             `json:"strata"`   // of the labelled ones
	First      time.Time       `json:"first"`
	Last       time.Time       `json:"last"`
	Prevalence float64         `json:"p_prevalence"`
	Precedence float64         `json:"p_precedence"`
	Regularity float64         `json:"regularity"`
	Rarity     float64         `json:"rarity"`
	Gates      [3]float64      `json:"gates"` // of prevalence, precedence, regularity: 0 has no say, 1 the whole
	Ratio      Estimate        `json:"ratio"` // shown only
	Reasons    []Reason        `json:"reasons,omitempty"`
}

// ControllerClass says what an address seems to be to compromised devices.
type ControllerClass uint8

// The values are stored and travel: add at the end, never renumber.
const (
	_          ControllerClass = iota
	Commands                   // regular or long-lived, and before the first attack
	Payload                    // once, before the first attack, many bytes inbound
	Target                     // after it, many, mostly failed
	OtherClass                 // the rest
)

var controllerClassWords = [...]string{Commands: "controller", Payload: "payload", Target: "target", OtherClass: "other"}

// MarshalText encodes c as its word.
func (c ControllerClass) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText reads the word of a class.
func (c *ControllerClass) UnmarshalText(b []byte) error {
	i, err := wordIndex(controllerClassWords[:], b)
	*c = ControllerClass(i)
	return err
}

// String returns the word that the command line and the wire use.
func (c ControllerClass) String() string {
	if int(c) < len(controllerClassWords) && c > 0 {
		return controllerClassWords[c]
	}
	return "invalid"
}

// wordIndex returns where the word b stands in words; the zero word is none.
func wordIndex(words []string, b []byte) (int, error) {
	if i := slices.Index(words, string(b)); i > 0 {
		return i, nil
	}
	return 0, fmt.Errorf("%q is none of %s", b, strings.Join(words[1:], ", "))
}
