package incident

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/dossier"
	"github.com/tocsin-io/tocsin/mail"
	"github.com/tocsin-io/tocsin/takedown"
)

// sent is a letter that left.
type sent struct {
	At       time.Time        `json:"at"`
	Digest   takedown.Digest  `json:"digest"`
	Language dossier.Language `json:"language,omitzero"`
	Message  *dossier.Message `json:"message,omitempty"` // nil in old files
	Letter   []byte           `json:"letter,omitempty"`  // as it was handed to the mail server; nil by hand
}

// An answer is a letter that came back.
type answer struct {
	At    time.Time  `json:"at"`
	Reply mail.Reply `json:"reply"`
}

// Bounds of what is kept of the answers to one case's letters: whoever got one may
// answer without end.
const (
	mostAnswers    = 20 // the newest
	mostAnswerText = 16 << 10
)

// keepSent keeps a letter as it left. One sent by hand has no name: its digest is it.
func (f *file) keepSent(m takedown.Mail, at time.Time) {
	if f.Letters == nil {
		f.Letters = map[string]sent{}
	}
	message := f.Draft.Message
	f.Letters[cmp.Or(m.MessageID, m.Digest.String())] = sent{
		At: at, Digest: m.Digest, Language: f.Draft.Language, Message: &message, Letter: f.Draft.Letter,
	}
}

// keepAnswer keeps an answer as it was read.
func (f *file) keepAnswer(r mail.Reply, at time.Time) {
	if len(r.Text) > mostAnswerText {
		r.Text, r.Cut = strings.ToValidUTF8(r.Text[:mostAnswerText], ""), true
	}
	f.Answers = append(f.Answers[max(0, len(f.Answers)-mostAnswers+1):], answer{At: at, Reply: r})
}

// CaseLetters returns what was written about a case and what came back.
func (p *Part) CaseLetters(ctx context.Context, id takedown.ID) (api.CaseLetters, error) {
	f, err := p.file(ctx, id)
	if err != nil {
		return api.CaseLetters{}, err
	}
	all := api.CaseLetters{Sent: []api.SentLetter{}, Answers: []api.CaseAnswer{}}
	for _, m := range slices.Backward(f.Case.Mails) {
		s, kept := f.Letters[cmp.Or(m.MessageID, m.Digest.String())]
		if !kept {
			continue
		}
		all.Sent = append(all.Sent, api.SentLetter{
			At: m.At, MessageID: m.MessageID, ByHand: m.Form, Language: s.language(), Digest: m.Digest, Letter: s.read(m.To),
		})
	}
	for _, a := range slices.Backward(f.Answers) {
		r := a.Reply
		all.Answers = append(all.Answers, api.CaseAnswer{
			At: a.At, Kind: r.Kind.String(), From: r.From, Subject: r.Subject, Written: r.Date, Text: r.Text, Cut: r.Cut,
		})
	}
	return all, nil
}

func (s sent) language() string {
	if s.Message == nil {
		return ""
	}
	return string(s.Language)
}

// read returns what people read of a letter: of an old one what its bytes say.
func (s sent) read(to string) api.Letter {
	if m := s.Message; m != nil {
		return api.Letter{To: m.To, Subject: m.Subject, Text: m.Text, Report: string(m.Report)}
	}
	r, err := mail.ReadReply(bytes.NewReader(s.Letter))
	if err != nil {
		return api.Letter{To: to}
	}
	return api.Letter{To: to, Subject: r.Subject, Text: r.Text}
}
