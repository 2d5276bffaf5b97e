package incident

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/bulletin"
	"github.com/tocsin-io/tocsin/compromise"
	"github.com/tocsin-io/tocsin/takedown"
)

// noticeKind is the kind of the documents that hold texts for owners and for
// everybody, as people approved them.
const noticeKind = "notice"

// Notices writes what each owner is told, and everybody, from what is known now.
// A text that a person approved stands as it was approved until it is written
// differently.
func (p *Part) Notices(ctx context.Context) ([]bulletin.Text, error) {
	j, err := p.newest(ctx)
	if err != nil {
		return nil, err
	}
	list, err := p.lettersOf(j)
	if err != nil {
		return nil, err
	}
	approved, err := p.approved(ctx)
	if err != nil {
		return nil, err
	}
	for i := range list {
		if old, ok := approved[noticeID(list[i])]; ok && old.Digest() == list[i].Digest() {
			list[i] = old
		}
	}
	return list, nil
}

// written is what follows from one judgement: letters to every owner are dear to write.
type written struct {
	at   time.Time
	list []bulletin.Text
}

// lettersOf returns the letters to owners and the bulletins that follow from a
// judgement, as nobody approved them yet. The list is the caller's.
func (p *Part) lettersOf(j judgement) ([]bulletin.Text, error) {
	p.writing.Lock()
	defer p.writing.Unlock()
	if p.written.list != nil && p.written.at.Equal(j.At) {
		return slices.Clone(p.written.list), nil
	}
	names := func(a compromise.Assessment) (owner, device string) {
		d := j.ByID[a.Device]
		return string(d.Owner), takedown.OneLine(nameOf(d), takedown.MaxName)
	}
	list, err := bulletin.Letters(j.Period, j.Assessed, names, p.cfg.Party.Org, p.cfg.Party.Contact, bulletin.Languages()...)
	if err != nil {
		return nil, err
	}
	public := bulletin.Bulletin{Publisher: p.cfg.Party.Org, Contact: p.cfg.Party.Contact, Summary: j.Summary, Campaigns: j.Campaigns}
	for _, l := range bulletin.Languages() {
		t, err := public.Write(l)
		if err != nil {
			return nil, err
		}
		list = append(list, t)
	}
	p.written = written{j.At, list}
	return slices.Clone(list), nil
}

func noticeID(t bulletin.Text) string { return fmt.Sprintf("%s/%s/%s", t.Kind, t.Language, t.To) }

func (p *Part) approved(ctx context.Context) (map[string]bulletin.Text, error) {
	all := map[string]bulletin.Text{}
	for r, err := range p.deps.Store.Records(ctx, noticeKind) {
		if err != nil {
			return nil, err
		}
		var t bulletin.Text
		if err := json.Unmarshal(r.Body, &t); err != nil {
			return nil, fmt.Errorf("notice %s: %w", r.ID, err)
		}
		all[r.ID] = t
	}
	return all, nil
}

// ApproveNotice notes that a person agrees to exactly the text with that digest.
func (p *Part) ApproveNotice(ctx context.Context, digest compromise.Digest, by string) (bulletin.Text, error) {
	list, err := p.Notices(ctx)
	if err != nil {
		return bulletin.Text{}, err
	}
	i := slices.IndexFunc(list, func(t bulletin.Text) bool { return t.Digest() == digest })
	if i < 0 {
		return bulletin.Text{}, api.Refuse(http.StatusConflict, "no text is written like that any more: read it again before you approve it (tocsin compromise notice)")
	}
	t := list[i]
	if err := t.Approve(by, p.deps.Now().UTC()); err != nil {
		return t, refuse(err)
	}
	var kept bulletin.Text
	err = p.change(ctx, noticeKind, noticeID(t), &kept, func() error { kept = t; return nil })
	return t, err
}
