package incident

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/internal/logkey"
	"github.com/tocsin-io/tocsin/mail"
	"github.com/tocsin-io/tocsin/takedown"
)

// readAnswers takes what a mail server put into the folder of answers.
func (p *Part) readAnswers(ctx context.Context) error {
	_, err := mail.ReadMaildir(ctx, p.cfg.Maildir, func(name string, r mail.Reply, err error) error {
		if err != nil {
			p.log.Warn("an answer that is no letter is left alone", logkey.Path, name, logkey.Err, err)
			return nil
		}
		if _, err := p.take(ctx, r); err != nil {
			return err
		}
		return nil
	})
	return err
}

// TakeAnswer reads one letter that came back, and notes it with its case.
func (p *Part) TakeAnswer(ctx context.Context, letter io.Reader) (api.CaseFile, error) {
	r, err := mail.ReadReply(letter)
	if err != nil {
		return api.CaseFile{}, api.Refuse(http.StatusBadRequest, "%v", err)
	}
	f, err := p.take(ctx, r)
	if err != nil {
		return api.CaseFile{}, err
	}
	if f.Case.ID == "" {
		return api.CaseFile{}, api.Refuse(http.StatusNotFound, "the letter names no letter of ours: note it with tocsin case note")
	}
	return p.show(f), nil
}

// take notes an answer with the case that it is about. Only who saw one of our
// letters knows its Message-ID; other letters are left alone, whatever case their
// subject names.
func (p *Part) take(ctx context.Context, r mail.Reply) (f file, err error) {
	p.cases.Lock()
	defer p.cases.Unlock()
	var about file
	id, known := "", false
	for f, err := range p.files(ctx) {
		if err != nil {
			return file{}, err
		}
		if id, known = r.Concerns(func(id string) bool { return f.wrote(id) }); known {
			about = f
			break
		}
	}
	if !known {
		p.log.Info("a letter that answers none of ours is left alone", logkey.Reason, r.Kind.String())
		return file{}, nil
	}
	if noted(about.Case, r) {
		return about, nil // handed over again after a crash
	}
	e := p.entry(r, id)
	e.At = about.notBefore(e.At)
	keep := func(f *file) { f.keepAnswer(r, e.At) }
	f, err = p.act(ctx, about.Case.ID, e, keep)
	if refused := (*api.Error)(nil); errors.As(err, &refused) { // not in this state: it is noted all the same
		e.Act, e.MessageID = takedown.Note, ""
		f, err = p.act(ctx, about.Case.ID, e, keep)
		if errors.As(err, &refused) { // whoever saw a letter may answer without end
			p.log.Warn("an answer is not noted: read it yourself", logkey.Path, string(about.Case.ID), logkey.Err, err)
			return about, nil
		}
	}
	if err != nil {
		return f, err
	}
	p.tellCase(f.Case, "an answer came: "+r.Kind.String())
	return f, nil
}

// wrote reports whether a letter of that name is one of the case's, or may be.
func (f *file) wrote(id string) bool {
	named := func(m takedown.Mail) bool { return m.MessageID == id }
	return slices.ContainsFunc(f.Case.Mails, named) || slices.ContainsFunc(f.Doubtful, named)
}

// reference is how a note names the letter that it is about.
func reference(r mail.Reply) string { return fmt.Sprintf("[%x]", r.Digest[:6]) }

func noted(c takedown.Case, r mail.Reply) bool {
	for _, e := range c.History {
		if strings.HasSuffix(e.Why, reference(r)) {
			return true
		}
	}
	return false
}

// entry is what an answer means for its case.
func (p *Part) entry(r mail.Reply, id string) takedown.Entry {
	e := takedown.Entry{At: p.deps.Now().UTC(), By: takedown.System, MessageID: id}
	text := r.Text
	switch r.Kind {
	case mail.Bounced:
		e.Act = takedown.Bounce
		if len(r.Failures) > 0 {
			text = r.Failures[0].To + ": " + r.Failures[0].Status + " " + r.Failures[0].Why
		}
	case mail.Delivered:
		e.Act = takedown.Deliver
	case mail.Answer:
		e.Act = takedown.Acknowledge
	case mail.Automatic, mail.Delayed:
		e.Act = takedown.Note
	}
	if e.Act != takedown.Bounce && e.Act != takedown.Deliver {
		e.MessageID = ""
	}
	e.Why = takedown.OneLine(r.Kind.String()+" from "+r.From+": "+text, takedown.MaxWhy-64) + " " + reference(r)
	return e
}
