package apitest

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/store"
	"github.com/tocsin-io/tocsin/takedown"
)

// Cases implements [api.Incident].
func (i *Incident) Cases(context.Context) ([]takedown.Case, error) {
	defer i.lock()()
	list := slices.Clone(i.opened)
	slices.Reverse(list)
	return list, i.Broken
}

// Case implements [api.Incident].
func (i *Incident) Case(_ context.Context, id takedown.ID) (api.CaseFile, error) {
	defer i.lock()()
	c, err := i.find(id)
	if err != nil {
		return api.CaseFile{}, err
	}
	return i.file(*c), i.Broken
}

// CaseLetters implements [api.Incident]: what left, with every field set.
func (i *Incident) CaseLetters(_ context.Context, id takedown.ID) (api.CaseLetters, error) {
	defer i.lock()()
	c, err := i.find(id)
	if err != nil {
		return api.CaseLetters{}, err
	}
	return api.CaseLetters{
		Sent: []api.SentLetter{{
			At: c.Opened, MessageID: "m@tocsin.example", Language: "en", Digest: takedown.Digest{1},
			Letter: api.Letter{To: "abuse@provider.example", Subject: string(Evil), Text: string(Evil), Report: "{}"},
		}, {At: c.Opened, ByHand: true, Digest: takedown.Digest{2}}},
		Answers: []api.CaseAnswer{{
			At: c.Opened, Kind: "answer", From: "abuse@provider.example", Subject: string(Evil), Written: c.Opened, Text: string(Evil), Cut: true,
		}},
	}, i.Broken
}

func (i *Incident) find(id takedown.ID) (*takedown.Case, error) {
	n := slices.IndexFunc(i.opened, func(c takedown.Case) bool { return c.ID == id })
	if n < 0 {
		return nil, cmp.Or(i.Broken, error(store.ErrNotFound))
	}
	return &i.opened[n], nil
}

func (i *Incident) file(c takedown.Case) api.CaseFile {
	f := api.CaseFile{Case: c, Clock: c.Clock(i.Now())}
	if i.Contact != "" {
		f.Contact = &api.CaseContact{Mails: []string{i.Contact}, Found: "a test", Network: c.Source, At: i.Now()}
	}
	if d, ok := i.drafts[c.ID]; ok {
		d.Approved = c.Ready && c.Text == d.Digest
		f.Draft = &d
	}
	return f
}

// OpenCase implements [api.Incident].
func (i *Incident) OpenCase(_ context.Context, w api.CaseWish, by string) (api.CaseFile, error) {
	defer i.lock()()
	n := len(i.opened)
	o := takedown.Opening{
		ID: takedown.NewID(i.Now(), [5]byte{1, 2, 3, byte(n >> 8), byte(n)}), Kind: w.Kind, Source: w.Source, Port: w.Port,
		Protocol: w.Protocol, Domain: w.Domain, Campaign: w.Campaign,
	}
	if w.Why != "" {
		o.Reasons = []tocsin.Reason{tocsin.Reason(w.Why)}
	}
	for _, c := range i.opened {
		if c.Covers(o) {
			return api.CaseFile{}, api.Refuse(http.StatusConflict, "case %s is about that already: go on there", c.ID)
		}
	}
	c, err := takedown.Open(o, by, w.Why, i.Now())
	if err != nil {
		return api.CaseFile{}, api.Refuse(http.StatusUnprocessableEntity, "%v", err)
	}
	i.ByWhom, i.opened = append(i.ByWhom, by), append(i.opened, c)
	return i.file(c), i.Broken
}

// DraftCase implements [api.Incident].
func (i *Incident) DraftCase(_ context.Context, id takedown.ID, w api.DraftWish) (api.CaseFile, error) {
	defer i.lock()()
	c, err := i.find(id)
	if err != nil {
		return api.CaseFile{}, err
	}
	if _, ok := i.drafts[id]; ok && w.Keep {
		return i.file(*c), i.Broken
	}
	to := cmp.Or(w.To, i.Contact)
	if to == "" {
		return api.CaseFile{}, api.Refuse(http.StatusUnprocessableEntity, "no contact was found for %s: name one", c.Source)
	}
	d := api.CaseDraft{At: i.Now(), Language: cmp.Or(w.Language, "en"), Letter: api.Letter{
		To: to, Subject: fmt.Sprintf("[%s] Abuse from %s", id, c.Source.Addr()),
		Text: fmt.Sprintf("%s attacked devices of ours.\n", c.Source.Addr()), Report: `{"xarf_version":"4.2.0"}`,
	}}
	for _, r := range c.Reasons {
		d.Letter.Text += string(r) + "\n"
	}
	d.Digest = digestOf(d.Letter)
	i.drafts[id] = d
	return i.file(*c), i.Broken
}

// ApproveCase implements [api.Incident].
func (i *Incident) ApproveCase(_ context.Context, id takedown.ID, digest takedown.Digest, by string) (api.CaseFile, error) {
	i.mu.Lock()
	d, ok := i.drafts[id]
	i.mu.Unlock()
	if ok && d.Digest != digest {
		return api.CaseFile{}, fmt.Errorf("%w: the mail was written anew since: read it again", takedown.ErrApproval)
	}
	return i.act(id, takedown.Entry{By: by, Act: takedown.Approve, Digest: digest, People: i.People})
}

// SendCase implements [api.Incident]: it notes the mail, and sends none.
func (i *Incident) SendCase(_ context.Context, id takedown.ID, w api.SendWish, by string) (api.CaseFile, error) {
	i.mu.Lock()
	d := i.drafts[id]
	i.mu.Unlock()
	m := &takedown.Mail{Provider: takedown.ProviderOf(d.Letter.To), To: d.Letter.To, Form: w.ByHand}
	if !w.ByHand {
		m.MessageID = "<" + string(id) + "@fleet.example>"
	}
	return i.act(id, takedown.Entry{By: by, Act: takedown.Send, Digest: d.Digest, Mail: m})
}

// ActOnCase implements [api.Incident].
func (i *Incident) ActOnCase(_ context.Context, id takedown.ID, w api.CaseAct, by string) (api.CaseFile, error) {
	return i.act(id, takedown.Entry{By: by, Act: w.Act, Why: w.Why, Step: w.Step, MessageID: w.MessageID})
}

func (i *Incident) act(id takedown.ID, e takedown.Entry) (api.CaseFile, error) {
	defer i.lock()()
	c, err := i.find(id)
	if err != nil {
		return api.CaseFile{}, err
	}
	e.At = i.Now()
	next, err := c.Apply(e)
	if err != nil {
		return api.CaseFile{}, api.Refuse(http.StatusConflict, "%v", err)
	}
	*c, i.ByWhom = next, append(i.ByWhom, e.By)
	return i.file(next), i.Broken
}

// FullDossier implements [api.Incident].
func (i *Incident) FullDossier(_ context.Context, id takedown.ID, language string) (api.FullDossier, error) {
	defer i.lock()()
	c, err := i.find(id)
	if err != nil {
		return api.FullDossier{}, err
	}
	text := fmt.Sprintf("TLP:AMBER\nEverything about %s, in %s.\n", c.Source, cmp.Or(language, "en"))
	return api.FullDossier{Dossier: map[string]any{"case": id, "devices": []string{"nas"}}, Text: text}, i.Broken
}

// Print implements [api.Incident].
func (i *Incident) Print(_ context.Context, id takedown.ID, form string) ([]byte, error) {
	defer i.lock()()
	c, err := i.find(id)
	if err != nil {
		return nil, err
	}
	i.Asked = append(i.Asked, "print "+form)
	if form == "html" {
		return fmt.Appendf(nil, "<!doctype html><title>%s</title>", c.ID), i.Broken
	}
	return fmt.Appendf(nil, "# %s\n", c.ID), i.Broken
}
