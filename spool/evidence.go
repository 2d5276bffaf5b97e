package spool

import (
	"time"

	"github.com/tocsin-io/tocsin"
)

// ClueLimits keeps clues longest: they are few, and what a hub was not told of a
// device in other hands nobody can find out later.
func ClueLimits() Limits { return Limits{Keep: 30 * 24 * time.Hour, Bytes: 4 << 20, Recent: 500} }

// OpenClues opens a spool of clues; see [Open]. Each is on the disk before the
// next is taken.
func OpenClues(dir string, limits Limits, now time.Time) (*Spool[tocsin.Clue], string, error) {
	return open(dir, limits, ClueLimits(), now, kind[tocsin.Clue]{
		called: "clues", sync: true,
		id:  func(c *tocsin.Clue) tocsin.ID { return c.ID },
		end: func(c *tocsin.Clue) time.Time { return c.At },
	})
}

// A Contact is a contact with the number that this device gave it: the hub knows
// contacts by their key, not by number.
type Contact struct {
	ID      tocsin.ID      `json:"id"`
	Contact tocsin.Contact `json:"contact"`
}

// ContactLimits keeps contacts for a day: the oldest go first, and are counted.
func ContactLimits() Limits { return Limits{Keep: 24 * time.Hour, Bytes: 8 << 20, Recent: 500} }

// OpenContacts opens a spool of contacts; see [Open].
func OpenContacts(dir string, limits Limits, now time.Time) (*Spool[Contact], string, error) {
	return open(dir, limits, ContactLimits(), now, kind[Contact]{
		called: "contacts",
		id:     func(c *Contact) tocsin.ID { return c.ID },
		end:    func(c *Contact) time.Time { return c.Contact.Last },
	})
}
