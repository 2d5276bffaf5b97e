package incident

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/mail"
	"github.com/tocsin-io/tocsin/takedown"
)

// An outgoing is a mail on its way, as it will be noted with its case.
type outgoing struct {
	mail    takedown.Mail
	message mail.Message
	letter  []byte // nil where a person sent it by hand
	taken   bool   // it left before, and only could not be noted
}

// SendCase sends the mail that was approved, once: to one provider about one
// source there is one a day. By hand it only notes that a person sent it. Nobody
// else waits while the mail server takes its time.
func (p *Part) SendCase(ctx context.Context, id takedown.ID, w api.SendWish, by string) (api.CaseFile, error) {
	o, err := p.prepare(ctx, id, w.ByHand, by)
	if err != nil {
		return api.CaseFile{}, err
	}
	if o.letter != nil && !o.taken {
		_, err = p.deps.Sender.Deliver(ctx, o.message, o.letter)
	}
	// Whether the letter left must be known, whoever hung up meanwhile.
	ctx = context.WithoutCancel(ctx)
	p.cases.Lock()
	defer p.cases.Unlock()
	delete(p.leaving, id)
	if err != nil {
		return api.CaseFile{}, p.notSent(ctx, id, o, err)
	}
	f, err := p.noteSent(ctx, id, o, by)
	if err != nil {
		if o.letter != nil {
			p.taken[o.mail.MessageID] = true
		}
		return api.CaseFile{}, err
	}
	delete(p.taken, o.mail.MessageID)
	p.tellCase(f.Case, "sent by "+by)
	return p.show(f), nil
}

// prepare makes the letter, once: a try after a crash, or after an answer that got
// lost, is the same letter by the same name. All that could keep it from being
// noted is asked before it leaves.
func (p *Part) prepare(ctx context.Context, id takedown.ID, byHand bool, by string) (o outgoing, err error) {
	p.cases.Lock()
	defer p.cases.Unlock()
	if err := p.notLeaving(id); err != nil {
		return o, err
	}
	f, err := p.file(ctx, id)
	if err != nil {
		return o, err
	}
	if f.Draft == nil || !f.Case.Ready || f.Case.Text != f.Draft.Message.Digest() {
		return o, api.Refuse(http.StatusConflict, "the mail as it stands is not approved: tocsin case approve %s", id)
	}
	now := p.deps.Now().UTC()
	o.mail = takedown.Mail{
		Source: f.Case.Source, Provider: takedown.ProviderOf(f.Draft.Message.To), To: f.Draft.Message.To, At: now, Digest: f.Case.Text, Form: byHand,
		MessageID: f.Draft.ID,
	}
	if err := p.first(ctx, o.mail); err != nil {
		return o, err
	}
	made := *f.Draft
	if !byHand {
		if o.message, err = p.letter(f, &made); err != nil {
			return o, err
		}
		o.mail.MessageID, o.letter, o.taken = made.ID, made.Letter, p.taken[made.ID]
	}
	if _, err := f.Case.Apply(takedown.Entry{At: now, By: by, Act: takedown.Send, Digest: o.mail.Digest, Mail: &o.mail}); err != nil {
		return o, refuse(err)
	}
	if o.letter != nil {
		f = file{}
		err = p.change(ctx, caseKind, string(id), &f, func() error {
			f.Draft = &made
			f.settle(o.mail.MessageID)
			f.Doubtful = append(f.Doubtful[max(0, len(f.Doubtful)-mostDoubtful+1):], o.mail)
			return nil
		})
		if err != nil {
			return o, err
		}
	}
	p.leaving[id] = true
	return o, nil
}

// letter returns what is handed to the mail server, made in d if it is new.
func (p *Part) letter(f file, d *draft) (mail.Message, error) {
	if p.deps.Sender == nil {
		return mail.Message{}, api.Refuse(http.StatusConflict, "no mail server is configured: set [mail] in the hub's file, or send it yourself and say so with --by-hand")
	}
	m := mail.Message{To: []string{d.Message.To}, Subject: d.Message.Subject, Text: d.Message.Text, Tag: string(f.Case.ID), ID: d.ID}
	if len(d.Message.Report) > 0 {
		m.Attachments = []mail.Attachment{{Name: "xarf.json", Type: "application/json", Body: d.Message.Report}}
	}
	if len(d.Letter) > 0 {
		return m, nil
	}
	m.Date = p.deps.Now()
	for _, one := range f.Case.Mails {
		if one.MessageID != "" {
			m.InReplyTo = append(m.InReplyTo, one.MessageID)
		}
	}
	m, letter, err := p.deps.Sender.Draft(m)
	if err != nil {
		return m, refuse(err)
	}
	d.ID, d.Letter = m.ID, letter
	return m, nil
}

// notLeaving refuses what would change a case while its mail is handed over.
func (p *Part) notLeaving(id takedown.ID) error {
	if p.leaving[id] {
		return api.Refuse(http.StatusConflict, "the mail of case %s is being sent: wait until the mail server answered", id)
	}
	return nil
}

// first refuses a mail that repeats one of the same day, of whatever case: also
// one of which nobody knows whether it left.
func (p *Part) first(ctx context.Context, m takedown.Mail) error {
	for f, err := range p.files(ctx) {
		if err != nil {
			return err
		}
		if m.Repeats(f.Case.Mails) {
			return api.Refuse(http.StatusConflict, "%v (case %s)", takedown.ErrRepeat, f.Case.ID)
		}
		for _, d := range f.Doubtful {
			if d.MessageID != m.MessageID && m.Repeats([]takedown.Mail{d}) {
				return api.Refuse(http.StatusConflict, "%v: letter %s of case %s may have left: ask the mail server's log, and note by hand what was sent (--by-hand)",
					takedown.ErrRepeat, d.MessageID, f.Case.ID)
			}
		}
	}
	return nil
}

// mostDoubtful bounds the letters that may have left of one case: the newest.
const mostDoubtful = 50

// settle forgets the doubt about a letter.
func (f *file) settle(messageID string) {
	f.Doubtful = slices.DeleteFunc(f.Doubtful, func(m takedown.Mail) bool { return m.MessageID == messageID })
}

// notSent tells why a letter did not leave. Where that is certain, another may.
func (p *Part) notSent(ctx context.Context, id takedown.ID, o outgoing, cause error) error {
	var e *mail.Error
	told := errors.As(cause, &e)
	if !told || e.Kind != mail.Uncertain {
		var f file
		if err := p.change(ctx, caseKind, string(id), &f, func() error { f.settle(o.mail.MessageID); return nil }); err != nil {
			return errors.Join(cause, err)
		}
	}
	if told {
		return api.Refuse(http.StatusBadGateway, "%v", cause)
	}
	return cause
}

// noteSent takes down that the mail left.
func (p *Part) noteSent(ctx context.Context, id takedown.ID, o outgoing, by string) (f file, err error) {
	err = p.change(ctx, caseKind, string(id), &f, func() error {
		e := takedown.Entry{At: f.notBefore(p.deps.Now()), By: by, Act: takedown.Send, Digest: o.mail.Digest, Mail: &o.mail}
		next, err := f.Case.Apply(e)
		if err != nil {
			return refuse(err)
		}
		f.Case = next
		if f.Draft != nil {
			f.keepSent(o.mail, e.At)
		}
		if o.letter != nil {
			f.settle(o.mail.MessageID)
		}
		f.Draft = nil
		return nil
	})
	return f, err
}

// notBefore returns now, or when the case was changed last where somebody set the
// clock back: what happened must be noted all the same.
func (f *file) notBefore(now time.Time) time.Time {
	if h := f.Case.History; len(h) > 0 && h[len(h)-1].At.After(now) {
		return h[len(h)-1].At
	}
	return now.UTC()
}
