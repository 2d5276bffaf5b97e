package incident

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/dossier"
	"github.com/tocsin-io/tocsin/rdap"
	"github.com/tocsin-io/tocsin/store"
	"github.com/tocsin-io/tocsin/takedown"
)

// caseKind is the kind of the documents that hold cases.
const caseKind = "case"

// A file is a case with all that belongs to it.
type file struct {
	Case    takedown.Case   `json:"case"`
	Contact *rdap.Contact   `json:"contact,omitempty"` // whom to write to, with what the registry answered
	Draft   *draft          `json:"draft,omitempty"`   // the mail that people read, or approved
	Letters map[string]sent `json:"letters,omitempty"` // by Message-ID, or by digest: as they left
	Answers []answer        `json:"answers,omitempty"` // the newest last
	// Doubtful are letters that were handed over, and nobody knows whether they
	// were taken: each counts as the mail of its day.
	Doubtful []takedown.Mail `json:"doubtful,omitempty"`
}

// A draft is a mail as people see it.
type draft struct {
	At       time.Time        `json:"at"`
	Language dossier.Language `json:"language"`
	Message  dossier.Message  `json:"message"`
	Gap      string           `json:"gap,omitempty"` // why there is no report in X-ARF
	// Letter is what is handed to the mail server, made once: it has the same name
	// at every try, so that a repeat is recognised.
	ID     string `json:"id,omitempty"`
	Letter []byte `json:"letter,omitempty"`
}

// Cases returns all cases, the newest first.
func (p *Part) Cases(ctx context.Context) ([]takedown.Case, error) {
	var list []takedown.Case
	for f, err := range p.files(ctx) {
		if err != nil {
			return nil, err
		}
		list = append(list, f.Case)
	}
	slices.SortStableFunc(list, func(a, b takedown.Case) int { return b.Opened.Compare(a.Opened) })
	return list, nil
}

func (p *Part) files(ctx context.Context) func(func(file, error) bool) {
	return func(yield func(file, error) bool) {
		for r, err := range p.deps.Store.Records(ctx, caseKind) {
			var f file
			if err == nil {
				if err = json.Unmarshal(r.Body, &f); err != nil {
					err = fmt.Errorf("case %s: %w", r.ID, err)
				}
			}
			if !yield(f, err) || err != nil {
				return
			}
		}
	}
}

func (p *Part) file(ctx context.Context, id takedown.ID) (f file, err error) {
	r, err := p.deps.Store.Record(ctx, caseKind, string(id))
	if err != nil {
		return f, err
	}
	if err := json.Unmarshal(r.Body, &f); err != nil {
		return f, fmt.Errorf("case %s: %w", id, err)
	}
	return f, nil
}

// Case returns one case and whom to write to about it, as far as that is known.
func (p *Part) Case(ctx context.Context, id takedown.ID) (api.CaseFile, error) {
	f, err := p.file(ctx, id)
	if err != nil {
		return api.CaseFile{}, err
	}
	return p.show(f), nil
}

func (p *Part) show(f file) api.CaseFile {
	c := api.CaseFile{Case: f.Case, Clock: f.Case.Clock(p.deps.Now().UTC())}
	if f.Contact != nil {
		c.Contact = contactOf(*f.Contact)
	}
	if f.Draft != nil {
		c.Draft = &api.CaseDraft{
			At: f.Draft.At, Language: string(f.Draft.Language), Gap: f.Draft.Gap, Digest: f.Draft.Message.Digest(),
			Letter: api.Letter{
				To: f.Draft.Message.To, Subject: f.Draft.Message.Subject, Text: f.Draft.Message.Text, Report: string(f.Draft.Message.Report),
			},
			Approved: f.Case.Ready && f.Case.Text == f.Draft.Message.Digest(),
		}
	}
	return c
}

func contactOf(c rdap.Contact) *api.CaseContact {
	return &api.CaseContact{
		Mails: c.Mails, Found: c.Found, Name: c.Name, Holder: c.Holder, Country: c.Country, Network: c.Network,
		Forms: c.Forms, Others: c.Others, Remarks: c.Remarks, Notes: c.Notes, At: c.At, Stale: c.Stale,
	}
}

// OpenCase opens a case that a person wants, as a draft.
func (p *Part) OpenCase(ctx context.Context, w api.CaseWish, by string) (api.CaseFile, error) {
	p.cases.Lock()
	defer p.cases.Unlock()
	j, err := p.newest(ctx)
	if err != nil {
		return api.CaseFile{}, err
	}
	now := p.deps.Now().UTC()
	o := takedown.Opening{
		Kind: w.Kind, Source: w.Source.Masked(), Port: w.Port, Protocol: w.Protocol, Domain: w.Domain, Campaign: w.Campaign,
	}
	o.Reasons = j.reasons(o)
	if o.Kind == takedown.Controller && o.Protocol == 0 {
		o.Protocol = protocolTCP
	}
	var random [5]byte
	if _, err := rand.Read(random[:]); err != nil {
		return api.CaseFile{}, err
	}
	o.ID = takedown.NewID(now, random)
	for f, err := range p.files(ctx) {
		if err != nil {
			return api.CaseFile{}, err
		}
		if f.Case.State != takedown.Rejected && f.Case.Covers(o) {
			return api.CaseFile{}, api.Refuse(http.StatusConflict, "case %s is about that already: repeats go into the same case", f.Case.ID)
		}
	}
	c, err := takedown.Open(o, by, w.Why, now)
	if err != nil {
		return api.CaseFile{}, api.Refuse(http.StatusBadRequest, "%v", err)
	}
	f := file{Case: c}
	body, err := json.Marshal(f)
	if err != nil {
		return api.CaseFile{}, err
	}
	if _, err := p.deps.Store.PutRecord(ctx, store.Record{Kind: caseKind, ID: string(c.ID), Body: body}); err != nil {
		return api.CaseFile{}, err
	}
	p.tellCase(c, "opened by "+by)
	return p.show(f), nil
}

const protocolTCP = 6

// reasons returns what the judgement says of the address that a case is about.
func (j judgement) reasons(o takedown.Opening) []tocsin.Reason {
	for _, c := range j.Ranking.Candidates {
		if o.Source.Contains(c.Address) && (o.Port == 0 || o.Port == c.Port) {
			return c.Reasons
		}
	}
	for _, c := range j.Campaigns {
		for _, m := range c.Sources {
			if o.Source.Overlaps(m.Source) {
				return m.Reasons
			}
		}
	}
	return nil
}

// act applies one entry to a case and stores it.
func (p *Part) act(ctx context.Context, id takedown.ID, e takedown.Entry, more func(*file)) (file, error) {
	var f file
	if _, err := p.deps.Store.Record(ctx, caseKind, string(id)); err != nil {
		return f, err
	}
	err := p.change(ctx, caseKind, string(id), &f, func() error {
		next, err := f.Case.Apply(e)
		if err != nil {
			return refuse(err)
		}
		f.Case = next
		if more != nil {
			more(&f)
		}
		return nil
	})
	return f, err
}

// acts are what a person may do with a case by one word.
var acts = []takedown.Act{
	takedown.Note, takedown.Close, takedown.Reject, takedown.Acknowledge, takedown.TakeAction, takedown.Escalate,
	takedown.Deliver, takedown.Bounce,
}

// ActOnCase does what a person asks with a case, and records who and why.
func (p *Part) ActOnCase(ctx context.Context, id takedown.ID, w api.CaseAct, by string) (api.CaseFile, error) {
	if !slices.Contains(acts, w.Act) {
		var words []string
		for _, a := range acts {
			words = append(words, a.String())
		}
		return api.CaseFile{}, api.Refuse(http.StatusBadRequest, "act %q is none of %s", w.Act, strings.Join(words, ", "))
	}
	p.cases.Lock()
	defer p.cases.Unlock()
	if w.Act == takedown.Close || w.Act == takedown.Reject {
		if err := p.notLeaving(id); err != nil {
			return api.CaseFile{}, err
		}
	}
	f, err := p.act(ctx, id, takedown.Entry{
		At: p.deps.Now().UTC(), By: by, Act: w.Act, Why: w.Why, Step: w.Step, MessageID: w.MessageID,
	}, nil)
	if err != nil {
		return api.CaseFile{}, err
	}
	if w.Act != takedown.Note {
		p.tellCase(f.Case, w.Act.String()+" by "+by)
	}
	return p.show(f), nil
}

// ApproveCase notes that a person agrees to the mail with that digest, word by
// word.
func (p *Part) ApproveCase(ctx context.Context, id takedown.ID, digest takedown.Digest, by string) (api.CaseFile, error) {
	p.cases.Lock()
	defer p.cases.Unlock()
	f, err := p.file(ctx, id)
	if err != nil {
		return api.CaseFile{}, err
	}
	if f.Draft == nil || f.Draft.Message.Digest() != digest {
		return api.CaseFile{}, api.Refuse(http.StatusConflict, "that is not the mail as it stands now: read it again before you approve it (tocsin case show %s --mail)", id)
	}
	people, err := p.people(ctx)
	if err != nil {
		return api.CaseFile{}, err
	}
	f, err = p.act(ctx, id, takedown.Entry{At: p.deps.Now().UTC(), By: by, Act: takedown.Approve, Digest: digest, People: people}, nil)
	if err != nil {
		return api.CaseFile{}, err
	}
	p.tellCase(f.Case, "approved by "+by)
	return p.show(f), nil
}

// people returns how many may approve: who may sign in to the console or has an
// API token, as an analyst or an admin. A name counts once, as it does where people
// approve. Whoever works at the hub itself counts as one, unless an admin may sign
// in: the first admin was made there.
func (p *Part) people(ctx context.Context) (int, error) {
	all, err := p.deps.Store.Accesses(ctx)
	if err != nil {
		return 0, err
	}
	users, err := p.deps.Store.Users(ctx)
	if err != nil {
		return 0, err
	}
	names, atHub := map[string]bool{}, 1
	now := p.deps.Now()
	for _, a := range all {
		if a.Role != store.Viewer && (a.Until.IsZero() || now.Before(a.Until)) {
			names[strings.ToLower(a.Name)] = true
		}
	}
	for _, u := range users {
		if u.Role == store.Viewer || u.Off || u.Password == "" {
			continue
		}
		names[strings.ToLower(u.Name)] = true
		if u.Role == store.Admin {
			atHub = 0
		}
	}
	return len(names) + atHub, nil
}

// errNoContact says that nobody is known to write to.
var errNoContact = errors.New("nobody to write to is known")

// contact returns whom to write to about a case, asked for anew after a day.
func (p *Part) contact(ctx context.Context, f file) (rdap.Contact, error) {
	if f.Contact != nil && len(f.Contact.Mails) > 0 && p.deps.Now().Sub(f.Contact.At) < 24*time.Hour {
		return *f.Contact, nil
	}
	if p.deps.Finder == nil {
		return rdap.Contact{}, errNoContact
	}
	c, err := p.deps.Finder.Contact(ctx, f.Case.Source.Addr())
	if errors.Is(err, rdap.ErrNobody) {
		err = nil // the contact has the evidence, and others to choose from
	}
	if err != nil && f.Contact != nil {
		return *f.Contact, nil // better an older answer than none
	}
	return c, err
}
