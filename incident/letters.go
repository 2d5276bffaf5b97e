package incident

import (
	"context"
	"net/http"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/compromise"
	"github.com/tocsin-io/tocsin/dossier"
	"github.com/tocsin-io/tocsin/takedown"
)

// DraftCase writes the mail of a case from what is known now, for people to read
// and approve; what was approved before counts no longer. With keep it returns the
// one that stands, if there is one.
func (p *Part) DraftCase(ctx context.Context, id takedown.ID, w api.DraftWish) (api.CaseFile, error) {
	f, err := p.file(ctx, id)
	if err != nil {
		return api.CaseFile{}, err
	}
	if f.Draft != nil && w.Keep {
		return p.show(f), nil
	}
	if p.cfg.Party.Org == "" || p.cfg.Party.Contact == "" {
		return api.CaseFile{}, api.Refuse(http.StatusConflict, "nobody is named who complains, and providers leave such letters alone: set organisation and contact under [incident] in the hub's file, and start it anew")
	}
	contact, err := p.contact(ctx, f) // a registry may be slow: nobody else waits for it
	if err != nil && w.To == "" {
		return api.CaseFile{}, api.Refuse(http.StatusConflict, "no contact for %v: %v; name one with --to", f.Case.Source, err)
	}
	to := w.To
	if to == "" && len(contact.Mails) > 0 {
		to = contact.Mails[0]
	}
	if to == "" {
		return api.CaseFile{}, api.Refuse(http.StatusConflict, "the registry names nobody for abuse at %v: choose an address with --to", f.Case.Source)
	}
	if to != takedown.OneLine(to, takedown.MaxName) {
		return api.CaseFile{}, api.Refuse(http.StatusConflict, "%q is no address of at most %d bytes: choose another with --to", takedown.OneLine(to, 60), takedown.MaxName)
	}
	in, err := p.input(ctx, f, to)
	if err != nil {
		return api.CaseFile{}, err
	}
	forwardable, _, err := dossier.Build(in)
	if err != nil {
		return api.CaseFile{}, refuse(err)
	}
	language, err := p.language(w.Language)
	if err != nil {
		return api.CaseFile{}, err
	}
	p.cases.Lock()
	defer p.cases.Unlock()
	if err := p.notLeaving(id); err != nil {
		return api.CaseFile{}, err
	}
	f = file{}
	err = p.change(ctx, caseKind, string(id), &f, func() error {
		if f.Draft != nil && w.Keep {
			return nil // somebody else drafted meanwhile
		}
		if contact.Subject != "" {
			f.Contact = &contact
		}
		d := draft{At: p.deps.Now().UTC(), Language: language, Message: forwardable.Message(language), Gap: forwardable.Gap}
		if f.Draft != nil && f.Draft.Message.Digest() == d.Message.Digest() {
			d.ID, d.Letter = f.Draft.ID, f.Draft.Letter // the same text is the same letter, which may have left
		}
		f.Draft = &d
		return nil
	})
	return p.show(f), err
}

// language returns the one asked for, or the hub's.
func (p *Part) language(asked string) (l dossier.Language, err error) {
	if asked == "" {
		return p.cfg.Language[0], nil
	}
	if err := l.UnmarshalText([]byte(asked)); err != nil {
		return l, api.Refuse(http.StatusBadRequest, "%v", err)
	}
	return l, nil
}

// FullDossier returns what is handed out on request only, and never by mail.
func (p *Part) FullDossier(ctx context.Context, id takedown.ID, language string) (api.FullDossier, error) {
	l, err := p.language(language)
	if err != nil {
		return api.FullDossier{}, err
	}
	f, err := p.file(ctx, id)
	if err != nil {
		return api.FullDossier{}, err
	}
	to := ""
	if f.Draft != nil {
		to = f.Draft.Message.To
	}
	in, err := p.input(ctx, f, to)
	if err != nil {
		return api.FullDossier{}, err
	}
	_, full, err := dossier.Build(in)
	if err != nil {
		return api.FullDossier{}, refuse(err)
	}
	return api.FullDossier{Dossier: full, Text: full.Text(l)}, nil
}

// Bounds of what a dossier is written from.
const (
	mostEvents   = 2000
	mostEvidence = 200
)

// input gathers what the hub knows of the address of a case.
func (p *Part) input(ctx context.Context, f file, to string) (dossier.Input, error) {
	j, err := p.newest(ctx)
	if err != nil {
		return dossier.Input{}, err
	}
	in := dossier.Input{
		Case: f.Case, Reporter: p.cfg.Party, Sender: p.cfg.Party, To: to, Disclose: p.cfg.Disclose,
		Victims: map[tocsin.DeviceID]dossier.Victim{},
		Fleet:   fleetOf(j),
	}
	for _, c := range j.Ranking.Candidates {
		if f.Case.Source.Contains(c.Address) && (f.Case.Port == 0 || f.Case.Port == c.Port) {
			in.Controller = &c.Controller
			break
		}
	}
	for i := range j.Campaigns {
		if j.Campaigns[i].ID == f.Case.Campaign {
			in.Campaign = &j.Campaigns[i]
		}
	}
	if err := p.addSightings(ctx, f, &in); err != nil {
		return in, err
	}
	if err := p.addContacts(ctx, f, j, &in); err != nil {
		return in, err
	}
	p.addVictims(j, &in)
	if f.Contact != nil && len(f.Contact.Raw) > 0 {
		in.Evidence = append(in.Evidence, dossier.Evidence{
			Name: "answer of the registry", At: f.Contact.At.UTC(), Zone: "UTC", Digest: f.Contact.Digest, Size: len(f.Contact.Raw),
		})
	}
	return in, p.addEvidence(ctx, j, &in)
}

func fleetOf(j judgement) dossier.Fleet {
	s := j.Summary
	return dossier.Fleet{
		Devices: s.Devices, Covered: s.Covered, Attacked: s.Attacked,
		Compromised: s.States[compromise.Confirmed] + s.States[compromise.Suspected],
	}
}

func (p *Part) addSightings(ctx context.Context, f file, in *dossier.Input) error {
	before := uint64(0)
	for len(in.Sightings) < mostEvents {
		list, err := p.deps.Store.About(ctx, f.Case.Source.String(), before, 500)
		if err != nil || len(list) == 0 {
			return err
		}
		for _, e := range list {
			if e.Received != nil {
				in.Sightings = append(in.Sightings, *e.Received)
			}
			before = e.Serial
		}
	}
	return nil
}

func (p *Part) addContacts(ctx context.Context, f file, j judgement, in *dossier.Input) error {
	for c, err := range p.deps.Store.Contacts(ctx, "", j.Period.From) {
		if err != nil {
			return err
		}
		if f.Case.Source.Contains(c.To.Addr()) && (f.Case.Port == 0 || f.Case.Port == c.To.Port()) {
			in.Contacts = append(in.Contacts, c)
		}
	}
	return nil
}

// addVictims tells of every device that the evidence is about: as the internet
// sees it.
func (p *Part) addVictims(j judgement, in *dossier.Input) {
	add := func(id tocsin.DeviceID) {
		d, ok := j.ByID[id]
		if _, known := in.Victims[id]; known || !ok {
			return
		}
		in.Victims[id] = dossier.Victim{Owner: d.Owner, Model: d.Labels["model"], Firmware: d.Labels["firmware"], Address: j.addressOf(d)}
	}
	for _, r := range in.Sightings {
		add(r.ID.Device)
	}
	for _, c := range in.Contacts {
		add(c.Device)
	}
}

func (p *Part) addEvidence(ctx context.Context, j judgement, in *dossier.Input) error {
	for c, err := range p.deps.Store.Clues(ctx, "", j.Period.From) {
		if err != nil {
			return err
		}
		if _, victim := in.Victims[c.Device]; victim && len(in.Evidence) < mostEvidence {
			c.At = c.At.Add(-c.Offset) // by the hub's clock
			in.Evidence = append(in.Evidence, dossier.FromClue(c.Clue))
		}
	}
	return nil
}
