package incident

import (
	"context"
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
		if id, known = r.Concerns(func(id string) bool { return wrote(f.Case, id) }); known {
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
	f, err = p.act(ctx, about.Case.ID, p.entry(r, id), nil)
	if err != nil { // not in this state: it is noted all the same
		e := p.entry(r, id)
		e.Act, e.MessageID = takedown.Note, ""
		if f, err = p.act(ctx, about.Case.ID, e, nil); err != nil {
			return f, err
		}
	}
	p.tellCase(f.Case, "an answer came: "+r.Kind.String())
	return f, nil
}

// wrote reports whether a letter of that name is one of the case's.
func wrote(c takedown.Case, id string) bool {
	return slices.ContainsFunc(c.Mails, func(m takedown.Mail) bool { return m.MessageID == id })
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
