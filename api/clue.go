package api

import (
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"time"

	"github.com/tocsin-io/tocsin"
)

// A Clue is the JSON form of a [tocsin.Clue], on the wire and in the output of the
// command line: scripts depend on these names.
type Clue struct {
	Device  tocsin.DeviceID `json:"device"`
	Boot    uint64          `json:"boot"`
	Counter uint64          `json:"counter"`
	At      time.Time       `json:"at"`
	Fact    string          `json:"fact"`
	Subject string          `json:"subject,omitempty"`
	Source  netip.Prefix    `json:"source,omitzero"`
	To      netip.AddrPort  `json:"to,omitzero"`
	Digest  string          `json:"digest"` // SHA-256 in hexadecimal digits
}

// ClueOf returns c in its JSON form.
func ClueOf(c tocsin.Clue) Clue {
	return Clue{
		Device: c.ID.Device, Boot: c.ID.Boot, Counter: c.ID.Counter, At: c.At, Fact: c.Fact.String(), Subject: c.Subject,
		Source: c.Source, To: c.To, Digest: hex.EncodeToString(c.Digest[:]),
	}
}

// errNewFact says that a fact is none that this version knows.
var errNewFact = errors.New("a fact of a newer version")

// Clue returns the clue that c is the JSON form of, or what no device would say.
func (c Clue) Clue() (tocsin.Clue, error) {
	t := tocsin.Clue{
		ID: tocsin.ID{Device: c.Device, Boot: c.Boot, Counter: c.Counter}, Device: c.Device, At: c.At,
		Subject: c.Subject, Source: c.Source, To: c.To,
	}
	digest, err := hex.DecodeString(c.Digest)
	switch {
	case c.Boot > math.MaxInt64 || c.Counter > math.MaxInt64:
		return tocsin.Clue{}, errors.New("boot and counter: want at most 2^63-1")
	case !storable(c.At):
		return tocsin.Clue{}, errors.New("at: want a year from 1970 to 2199")
	case !word(c.Subject, tocsin.MaxSubject):
		return tocsin.Clue{}, fmt.Errorf("subject %q: want at most %d printable bytes", cut(c.Subject), tocsin.MaxSubject)
	case c.Source.IsValid() && c.Source != tocsin.SourcePrefix(c.Source.Addr()):
		return tocsin.Clue{}, fmt.Errorf("source %s: want an IPv4 address as /32 or an IPv6 network as /64, or none", c.Source)
	case c.To != netip.AddrPort{} && !plain(c.To.Addr()):
		return tocsin.Clue{}, fmt.Errorf("to %s: want an address that is not mapped and has no zone, or none", c.To)
	case err != nil || len(digest) != len(t.Digest):
		return tocsin.Clue{}, errors.New("digest: want a SHA-256 in 64 hexadecimal digits")
	case c.Fact == "" || !word(c.Fact, tocsin.MaxAccount):
		return tocsin.Clue{}, fmt.Errorf("fact %q: want what it is, at most %d printable bytes", cut(c.Fact), tocsin.MaxAccount)
	}
	copy(t.Digest[:], digest)
	for f := tocsin.Fact(1); f.String() != tocsin.Fact(0).String(); f++ {
		if f.String() == c.Fact {
			t.Fact = f
			return t, nil
		}
	}
	return tocsin.Clue{}, errNewFact
}

// plain reports whether a is the address of a machine, in its one form.
func plain(a netip.Addr) bool {
	return a.IsValid() && !a.Is4In6() && a.Zone() == "" && !a.IsUnspecified() && !a.IsMulticast()
}

// checkContact holds what a device says of its connections to what it can say.
func checkContact(c tocsin.Contact) error {
	switch {
	case !plain(c.To.Addr()):
		return fmt.Errorf("to %s: want the address and port of one machine, not mapped and without a zone", c.To)
	case c.Last.Before(c.First) || !storable(c.First) || !storable(c.Last):
		return errors.New("first and last: want both, in this order, in years from 1970 to 2199")
	case c.Count == 0 || c.Failed > c.Count:
		return errors.New("count and failed: want at least one connection, and not more failed ones")
	case c.Longest < 0:
		return errors.New("longest_ns: want at least 0")
	case len(c.Starts) > tocsin.MaxStarts || len(c.Starts) > int(c.Count):
		return fmt.Errorf("%d starts: want at most %d, and not more than connections", len(c.Starts), tocsin.MaxStarts)
	}
	before := c.First
	for _, s := range c.Starts {
		if s.At.Before(before) || s.At.After(c.Last) {
			return errors.New("starts: want them from first to last, in order")
		}
		before = s.At
	}
	return nil
}

// checkCoverage holds what a device says that it read to what it can say.
func checkCoverage(list []tocsin.Coverage, sent time.Time) error {
	if len(list) > len(tocsin.Streams) {
		return badRequest("coverage: want at most %d streams", len(tocsin.Streams))
	}
	for i, c := range list {
		wrong := func(text string) error { return &Error{Status: 400, Text: "coverage: " + text, Index: &i} }
		switch {
		case c.Stream == "" || !word(string(c.Stream), maxStream):
			return wrong("want the name of a stream")
		case !storable(c.From) || !storable(c.Until) || c.Until.Before(c.From) || c.Until.Sub(sent) > maxAhead:
			return wrong("want from and until, in this order, and not of the future")
		case len(c.Gaps) > tocsin.MaxGaps:
			return wrong(fmt.Sprintf("want at most %d gaps", tocsin.MaxGaps))
		}
		for _, g := range c.Gaps {
			if !storable(g.From) || !storable(g.To) || g.To.Before(g.From) || !word(string(g.Reason), maxText) {
				return wrong(fmt.Sprintf("want gaps with from and to, in this order, and a reason of at most %d printable bytes", maxText))
			}
		}
	}
	return nil
}

// maxStream bounds the name of a stream, in bytes.
const maxStream = 16
