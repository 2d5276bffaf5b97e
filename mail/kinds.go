package mail

import (
	"regexp"
	"slices"
	"strings"

	"github.com/emersion/go-message"
)

var (
	statusForm = regexp.MustCompile(`\b[245]\.\d{1,3}\.\d{1,3}\b`)
	codeForm   = regexp.MustCompile(`(?:^|[\s:;(<#])(5\d\d)[ -]`)
	quotedID   = regexp.MustCompile(`(?im)^[> \t]*message-id:[ \t]*(<[^<>\s]{3,250}>)`)
	quotedTo   = regexp.MustCompile(`<([^<>\s@]{1,64}@[^<>\s@]{1,190})>:`)

	// What mail servers write over letters that come back.
	bounceSubject = regexp.MustCompile(`(?i)undeliver|delivery (status|failure|has failed)|failure notice|mail delivery failed|returned mail|returned to sender|non remis|nicht zugestellt|unzustellbar`)
	delaySubject  = regexp.MustCompile(`(?i)delayed|\(delay\)|could not send message for|still being retried`)
	autoSubject   = regexp.MustCompile(`(?i)^\s*(auto(matic|matisch\w*|matique)?[ -]?(re(ply|sponse|sponder)|antwort)\b|r[ée]ponse automatique|out of (the )?office|abwesenheit|absence)`)
)

// decide tells what kind of letter it is: by what reports about delivery say,
// then by the marks of servers and programs (RFC 3834). What has none is from a
// person.
func (p *parser) decide(e *message.Entity) {
	if p.Text == "" {
		p.Text = p.html
	}
	h := &e.Header
	switch {
	case p.told("failed"):
		p.Kind = Bounced
	case p.told("delayed"):
		p.Kind = Delayed
	case len(p.Failures) > 0:
		p.Kind = Delivered
	case p.fromServer(h) && (bounceSubject.MatchString(p.Subject) || h.Has("X-Failed-Recipients") || delaySubject.MatchString(p.Subject)):
		p.plainBounce(h)
	case p.notified || p.byProgram(h):
		p.Kind = Automatic
	default:
		p.Kind = Answer
	}
}

func (p *parser) told(action string) bool {
	return slices.ContainsFunc(p.Failures, func(f Failure) bool { return f.Action == action })
}

// fromServer reports whether a mail server may have written the letter.
func (p *parser) fromServer(h *message.Header) bool {
	local, _, _ := strings.Cut(p.From, "@")
	return local == "postmaster" || noPerson(p.From, h)
}

// noPerson reports whether nobody is there to be answered: a mail server says so
// by its name or by an empty address to return to.
func noPerson(from string, h *message.Header) bool {
	return strings.HasPrefix(from, "mailer-daemon@") || strings.HasPrefix(strings.ToLower(h.Get("From")), "mailer-daemon") ||
		strings.TrimSpace(h.Get("Return-Path")) == "<>"
}

// plainBounce reads a bounce that is written for people only.
func (p *parser) plainBounce(h *message.Header) {
	f := Failure{Action: "failed", Status: statusForm.FindString(p.Text), To: recipient(h.Get("X-Failed-Recipients"))}
	if delaySubject.MatchString(p.Subject) || strings.HasPrefix(f.Status, "4") {
		f.Action = "delayed"
	}
	if p.Kind = Bounced; f.Action == "delayed" {
		p.Kind = Delayed
	}
	if m := codeForm.FindStringSubmatch(p.Text); m != nil {
		f.Why = lineOf(p.Text, m[1])
	}
	if m := quotedTo.FindStringSubmatch(p.Text); m != nil && f.To == "" {
		f.To = recipient(m[1])
	}
	p.Failures = append(p.Failures, f)
	for _, m := range quotedID.FindAllStringSubmatch(p.Text, maxAbout) {
		p.about(m[1])
	}
}

// lineOf returns the first line with the code in it.
func lineOf(text, code string) string {
	for line := range strings.Lines(text) {
		if strings.Contains(line, code) {
			return cut(cleanLine(line), 300)
		}
	}
	return ""
}

// byProgram reports whether a program answered. In doubt it was a person, whose
// answer must not be overlooked: ticket systems send also those as bulk mail.
func (p *parser) byProgram(h *message.Header) bool {
	auto := strings.ToLower(strings.TrimSpace(h.Get("Auto-Submitted")))
	precedence := strings.ToLower(strings.TrimSpace(h.Get("Precedence")))
	return auto != "" && auto != "no" && !strings.HasPrefix(auto, "no;") && !strings.HasPrefix(auto, "no ") ||
		precedence == "auto_reply" || precedence == "junk" ||
		h.Has("X-Autoreply") || h.Has("X-Autorespond") || h.Has("X-Autoresponder") ||
		noPerson(p.From, h) || autoSubject.MatchString(p.Subject)
}
