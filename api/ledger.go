package api

import (
	"net/http"
	"net/netip"
	"time"

	"github.com/tocsin-io/tocsin/ledger"
)

// A Deed is one entry of the log of what operators did.
type Deed struct {
	Serial  uint64     `json:"serial"`
	At      time.Time  `json:"at"`
	By      string     `json:"by"`
	How     string     `json:"how"` // console, token, socket, hub
	From    netip.Addr `json:"from,omitzero"`
	Did     string     `json:"did"`
	Path    string     `json:"path"`
	Outcome string     `json:"outcome"` // "done", or "refused: " and why
	Hash    string     `json:"hash"`
}

// DeedOf returns an entry as it travels.
func DeedOf(e ledger.Entry) Deed {
	return Deed{e.Serial, e.At, e.By, e.How, e.From, e.Did, e.Path, e.Outcome, e.Hash.String()}
}

// A LogCheck says whether the log of what operators did is as it was written.
type LogCheck struct {
	Entries  uint64 `json:"entries"`             // that hold, from the first on
	Good     bool   `json:"good"`                // all do
	BrokenAt uint64 `json:"broken_at,omitempty"` // serial of the first that does not
	Why      string `json:"why,omitempty"`       // it is not good
	Head     string `json:"head"`                // hash of the last that holds: note it somewhere else
	NotedAt  uint64 `json:"noted_at,omitempty"`  // serial of the entry whose hash was asked for
}

// CheckOf returns what a verification found, for people; noted is the head that
// they asked for.
func CheckOf(r ledger.Report, noted ledger.Hash) LogCheck {
	c := LogCheck{Entries: r.Entries, Good: r.Good(), BrokenAt: r.Broken, Why: r.Why, Head: r.Head.String(), NotedAt: r.Noted}
	if c.Good && noted != (ledger.Hash{}) && r.Noted == 0 {
		c.Good, c.Why = false, "the head that was noted is not in the log: its end was cut off, or it was made anew"
	}
	return c
}

func (a *API) verifyLog(c *call) (any, error) {
	if a.Ledger == nil {
		return nil, Refuse(http.StatusNotFound, "this hub keeps no log of what operators did")
	}
	var noted ledger.Hash
	if text := c.r.FormValue("head"); text != "" {
		var err error
		if noted, err = ledger.ParseHash(text); err != nil {
			return nil, badRequest("head: %v", err)
		}
	}
	r, err := ledger.Verify(a.Ledger.Entries(c.r.Context(), 0), noted)
	return result(CheckOf(r, noted), err)
}
