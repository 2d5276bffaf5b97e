package api

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/mail"
	"slices"
	"time"

	"github.com/tocsin-io/tocsin/internal/logkey"
	"github.com/tocsin-io/tocsin/takedown"
)

// maxLetter bounds a mail that came back, with all that is attached to it.
const maxLetter = 10 << 20

// printPolicy lets a browser run nothing and fetch nothing: what providers and
// attackers wrote is in that page.
const printPolicy = "default-src 'none'; style-src 'unsafe-inline'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'; sandbox"

// letterLanguages are those that mails of cases are written in.
var letterLanguages = []string{"en", "fr", "de"}

func (a *API) cases(c *call) (any, error) {
	all, err := a.Incident.Cases(c.r.Context())
	if err != nil {
		return nil, err
	}
	page, next, err := pageOf(c, all, func(t takedown.Case) string { return string(t.ID) })
	p := CasePage{Cases: make([]CaseLine, 0, len(page)), Next: next}
	for _, t := range page {
		p.Cases = append(p.Cases, CaseLineOf(t, c.at))
	}
	return result(p, err)
}

// CaseLineOf returns a case as it stands in a list at a moment.
func CaseLineOf(t takedown.Case, at time.Time) CaseLine {
	return CaseLine{
		ID: t.ID, Kind: t.Kind, Source: t.Source, Port: t.Port, Protocol: t.Protocol, Domain: t.Domain, Campaign: t.Campaign,
		State: t.State, Ready: t.Ready, Opened: t.Opened, Closed: t.Closed, Clock: t.Clock(at),
	}
}

// caseID returns which case is meant.
func (c *call) caseID() (takedown.ID, error) {
	id := takedown.ID(c.r.PathValue("id"))
	if !id.Valid() {
		return "", badRequest("id: want that of a case, such as TC-20231014-7F3K2Q9M")
	}
	return id, nil
}

// wish reads which case is meant, and what a person wants of it.
func (c *call) wish(v any) (takedown.ID, error) {
	id, err := c.caseID()
	if err != nil {
		return "", err
	}
	return id, fromPerson(c.w, c.r, v)
}

func (a *API) caseFile(c *call) (any, error) {
	id, err := c.caseID()
	if err != nil {
		return nil, err
	}
	return result(a.Incident.Case(c.r.Context(), id))
}

func (a *API) caseLetters(c *call) (any, error) {
	id, err := c.caseID()
	if err != nil {
		return nil, err
	}
	return result(a.Incident.CaseLetters(c.r.Context(), id))
}

func (a *API) openCase(c *call) (any, error) {
	var w CaseWish
	if err := fromPerson(c.w, c.r, &w); err != nil {
		return nil, err
	}
	if err := w.check(); err != nil {
		return nil, err
	}
	c.did = fmt.Sprintf("open a case about %v: %s", w.Source, w.Why)
	return result(a.Incident.OpenCase(c.r.Context(), w, c.by))
}

func (w CaseWish) check() error {
	switch {
	case w.Kind == 0:
		return badRequest("kind: want controller, brute-force or compromised-server")
	case !oneSource(w):
		return badRequest("source: want one public address, such as 203.0.113.7/32, or a /64 of IPv6")
	case w.Kind == takedown.Controller && w.Port == 0:
		return badRequest("port: say where the controller listens")
	case !word(w.Domain, takedown.MaxName):
		return badRequest("domain: want at most %d printable bytes", takedown.MaxName)
	case !word(string(w.Campaign), maxText):
		return badRequest("campaign: want the ID of one, at most %d printable bytes", maxText)
	case !word(w.Why, takedown.MaxWhy):
		return badRequest("why: want at most %d printable bytes, on one line", takedown.MaxWhy)
	}
	return nil
}

func (a *API) draftCase(c *call) (any, error) {
	var w DraftWish
	id, err := c.wish(&w)
	if err != nil {
		return nil, err
	}
	if w.Language != "" && !slices.Contains(letterLanguages, w.Language) {
		return nil, badRequest("language: want en, fr or de")
	}
	if w.To != "" {
		if to, err := mail.ParseAddress(w.To); err != nil || to.Address != w.To || !word(w.To, takedown.MaxName) {
			return nil, badRequest("to: want one address of mail, such as abuse@example.net")
		}
	}
	return result(a.Incident.DraftCase(c.r.Context(), id, w))
}

func (a *API) approveCase(c *call) (any, error) {
	var w CaseApproval
	id, err := c.wish(&w)
	if err != nil {
		return nil, err
	}
	if w.Digest == (takedown.Digest{}) {
		return nil, badRequest("digest: want that of the mail that you agree to")
	}
	return result(a.Incident.ApproveCase(c.r.Context(), id, w.Digest, c.by))
}

func (a *API) sendCase(c *call) (any, error) {
	var w SendWish
	id, err := c.wish(&w)
	if err != nil {
		return nil, err
	}
	return result(a.Incident.SendCase(c.r.Context(), id, w, c.by))
}

func (a *API) actOnCase(c *call) (any, error) {
	var w CaseAct
	id, err := c.wish(&w)
	if err != nil {
		return nil, err
	}
	if err := w.check(); err != nil {
		return nil, err
	}
	c.did = fmt.Sprintf("case %s: %v %s", id, w.Act, w.Why)
	return result(a.Incident.ActOnCase(c.r.Context(), id, w, c.by))
}

// personActs is what a person does with a case by one word.
var personActs = []takedown.Act{
	takedown.Note, takedown.Close, takedown.Reject, takedown.Acknowledge, takedown.TakeAction, takedown.Escalate,
	takedown.Deliver, takedown.Bounce,
}

// check refuses what an act does not need: it would be meant otherwise.
func (w CaseAct) check() error {
	heard := w.Act == takedown.Deliver || w.Act == takedown.Bounce
	switch {
	case !slices.Contains(personActs, w.Act):
		return badRequest("act: want note, close, reject, acknowledge, action, escalate, deliver or bounce")
	case !word(w.Why, takedown.MaxWhy):
		return badRequest("why: want at most %d printable bytes, on one line", takedown.MaxWhy)
	case (w.Act == takedown.Note || w.Act == takedown.Reject) && w.Why == "":
		return badRequest("why: say it, for whoever reads the case later")
	case (w.Act == takedown.Escalate) != (w.Step != 0):
		return badRequest("step: want second-channel, upstream, national-cert, registrar or benchmark with escalate, and nothing otherwise")
	case heard != (w.MessageID != "") || !word(w.MessageID, takedown.MaxName):
		return badRequest("message_id: say of which mail with deliver and bounce, and nothing otherwise")
	}
	return nil
}

// takeAnswer reads the letter to its end before anything is made of it.
func (a *API) takeAnswer(c *call) (any, error) {
	if kind, _, err := mime.ParseMediaType(c.r.Header.Get("Content-Type")); err != nil || kind != "message/rfc822" {
		return nil, Refuse(http.StatusUnsupportedMediaType, "want a mail as it came, header and all: send it with Content-Type: message/rfc822")
	}
	letter, err := io.ReadAll(http.MaxBytesReader(c.w, c.r.Body, maxLetter))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, Refuse(http.StatusRequestEntityTooLarge, "the letter is larger than %d bytes: take its attachments out", maxLetter)
	case err != nil:
		return nil, badRequest("the letter broke off: send it again")
	case len(bytes.TrimSpace(letter)) == 0:
		return nil, badRequest("the letter is empty: send a mail as it came, header and all")
	}
	return result(a.Incident.TakeAnswer(c.r.Context(), bytes.NewReader(letter)))
}

func (a *API) dossier(c *call) (any, error) {
	id, err := c.caseID()
	if err != nil {
		return nil, err
	}
	language := c.r.FormValue("language")
	if language != "" && !slices.Contains(letterLanguages, language) {
		return nil, badRequest("language: want en, fr or de")
	}
	d, err := a.Incident.FullDossier(c.r.Context(), id, language)
	if err == nil { // it names victims: who had it stays on record
		a.Log.Info("dossier handed out", logkey.User, c.by, logkey.Path, c.r.URL.Path)
	}
	return result(d, err)
}

func (a *API) printCase(c *call) (any, error) {
	id, err := c.caseID()
	if err != nil {
		return nil, err
	}
	form := c.r.FormValue("form")
	kind, ok := map[string]string{"": "text/markdown; charset=utf-8", "md": "text/markdown; charset=utf-8", "html": "text/html; charset=utf-8"}[form]
	if !ok {
		return nil, badRequest("form: want md or html")
	}
	if form == "" {
		form = "md"
	}
	b, err := a.Incident.Print(c.r.Context(), id, form)
	if err != nil {
		return nil, err
	}
	c.w.Header().Set("Content-Type", kind)
	c.w.Header().Set("Content-Security-Policy", printPolicy)
	_, _ = c.w.Write(b) // whoever hung up does not want it
	return answered, nil
}
