// Package apitest has an [api.Incident] of memory, for tests of the API and of
// the command line. Cases and texts are as packages takedown and bulletin make
// them; what happened is whatever a test puts in. It sends nothing and asks
// nobody.
package apitest

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/bulletin"
	"github.com/tocsin-io/tocsin/compromise"
	"github.com/tocsin-io/tocsin/store"
	"github.com/tocsin-io/tocsin/takedown"
)

// An Incident is what a test says that happened. Its fields may be changed while
// nobody asks.
type Incident struct {
	Now     func() time.Time
	People  int    // who may approve
	Contact string // to whom mails go; "" is nobody found
	Broken  error  // what every call returns, unless nil

	All     []api.CampaignPage // newest first
	Devices []api.Assessed     // by ID
	Period  compromise.Period
	Ranked  api.Ranking
	Texts   []bulletin.Text
	Bundle  []byte
	Tested  int      // tests of notifications asked for
	Asked   []string // what STIX and Print were asked for
	ByWhom  []string // who changed something, in order

	mu     sync.Mutex // guards all of it
	opened []takedown.Case
	drafts map[takedown.ID]api.CaseDraft
}

var _ api.Incident = (*Incident)(nil)

// New returns an incident in which nothing happened.
func New(now func() time.Time) *Incident {
	return &Incident{
		Now: now, People: 2, Contact: "abuse@provider.example", Bundle: []byte(`{"type":"bundle","id":"bundle--1","objects":[]}`),
		drafts: map[takedown.ID]api.CaseDraft{},
	}
}

func (i *Incident) lock() (unlock func()) { i.mu.Lock(); return i.mu.Unlock }

// Campaigns implements [api.Incident].
func (i *Incident) Campaigns(context.Context) (list []tocsin.Campaign, err error) {
	defer i.lock()()
	for _, p := range i.All {
		list = append(list, p.Campaign)
	}
	return list, i.Broken
}

// Campaign implements [api.Incident].
func (i *Incident) Campaign(_ context.Context, id tocsin.CampaignID) (api.CampaignPage, error) {
	defer i.lock()()
	for _, p := range i.All {
		if p.ID == id {
			return p, i.Broken
		}
	}
	return api.CampaignPage{}, cmp.Or(i.Broken, error(store.ErrNotFound))
}

// STIX implements [api.Incident].
func (i *Incident) STIX(_ context.Context, id tocsin.CampaignID, tlp string) ([]byte, error) {
	defer i.lock()()
	i.Asked = append(i.Asked, fmt.Sprintf("stix %q %q", id, tlp))
	return i.Bundle, i.Broken
}

// Ranking implements [api.Incident].
func (i *Incident) Ranking(context.Context) (api.Ranking, error) {
	defer i.lock()()
	return i.Ranked, i.Broken
}

// Compromise implements [api.Incident].
func (i *Incident) Compromise(context.Context) (api.Compromise, error) {
	defer i.lock()()
	return api.Compromise{At: i.Now(), Summary: i.sum(), Devices: slices.Clone(i.Devices)}, i.Broken
}

func (i *Incident) sum() compromise.Summary {
	all := make([]compromise.Assessment, 0, len(i.Devices))
	for _, d := range i.Devices {
		all = append(all, d.Assessment)
	}
	return compromise.Count(i.Period, all)
}

// Dismiss implements [api.Incident].
func (i *Incident) Dismiss(_ context.Context, id tocsin.DeviceID, by, reason string) (api.Assessed, error) {
	defer i.lock()()
	for n := range i.Devices {
		d := &i.Devices[n]
		if d.Device != id {
			continue
		}
		closing, err := d.Close(i.Now(), by, reason)
		if err != nil {
			return api.Assessed{}, err
		}
		i.ByWhom = append(i.ByWhom, by)
		d.Closing, d.State = &closing, compromise.FalsePositive
		d.Why = d.Assessment.Why()
		return *d, i.Broken
	}
	return api.Assessed{}, cmp.Or(i.Broken, error(store.ErrNotFound))
}

// Notices implements [api.Incident].
func (i *Incident) Notices(context.Context) ([]bulletin.Text, error) {
	defer i.lock()()
	return slices.Clone(i.Texts), i.Broken
}

// ApproveNotice implements [api.Incident].
func (i *Incident) ApproveNotice(_ context.Context, digest compromise.Digest, by string) (bulletin.Text, error) {
	defer i.lock()()
	for n := range i.Texts {
		if i.Texts[n].Digest() == digest {
			i.ByWhom = append(i.ByWhom, by)
			return i.Texts[n], cmp.Or(i.Broken, i.Texts[n].Approve(by, i.Now()))
		}
	}
	return bulletin.Text{}, cmp.Or(i.Broken, bulletin.ErrChanged)
}

// TestNotifications implements [api.Incident].
func (i *Incident) TestNotifications(context.Context) error {
	defer i.lock()()
	i.Tested++
	return i.Broken
}

// ImportFlows implements [api.Incident]: it counts lines.
func (i *Incident) ImportFlows(_ context.Context, conn io.Reader) (api.FlowsImport, error) {
	b, err := io.ReadAll(conn)
	defer i.lock()()
	n := bytes.Count(b, []byte("\n"))
	return api.FlowsImport{
		Lines: n, Flows: n, Taken: n, Others: 1, Bad: 1, FirstBad: "line 3: " + Evil, Cut: "the end is missing", Devices: 2, Contacts: n,
	}, errors.Join(i.Broken, err)
}

// TakeAnswer implements [api.Incident]: whatever names a case acknowledges it.
func (i *Incident) TakeAnswer(_ context.Context, letter io.Reader) (api.CaseFile, error) {
	b, err := io.ReadAll(letter)
	if err != nil {
		return api.CaseFile{}, err
	}
	id, ok := takedown.FindID(string(b))
	if !ok {
		return api.CaseFile{}, api.Refuse(http.StatusUnprocessableEntity, "the letter names no case: forward it with the case's ID in its subject")
	}
	return i.act(id, takedown.Entry{By: takedown.System, Act: takedown.Acknowledge, Why: "answer received"})
}

func digestOf(l api.Letter) takedown.Digest {
	return takedown.Digest(sha256.Sum256(fmt.Appendf(nil, "%q %q %q %q", l.To, l.Subject, l.Text, l.Report)))
}
