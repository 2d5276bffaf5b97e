package mail

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	netmail "net/mail"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/emersion/go-message"
)

// Bounds of what is read of a letter: anybody can send one.
const (
	MaxReply     = 10 << 20 // bytes; the rest is not read
	maxHeader    = 64 << 10
	maxParts     = 50
	maxDepth     = 6
	maxReplyText = 64 << 10
	maxFailures  = 20
	maxAbout     = 20
)

// ReplyKind says what came back.
type ReplyKind uint8

// The values are stored: add at the end, never renumber.
const (
	_         ReplyKind = iota
	Bounced             // somebody did not get the letter, and will not
	Delayed             // somebody did not get it yet
	Delivered           // a server says that it was handed over
	Automatic           // a program answers: a holiday notice, a ticket's number
	Answer              // a person, as far as a letter tells
)

// String returns the word for a person and for the store.
func (k ReplyKind) String() string {
	if k == 0 || int(k) >= len(replyWords) {
		return "invalid"
	}
	return replyWords[k]
}

var replyWords = [...]string{
	Bounced: "bounced", Delayed: "delayed", Delivered: "delivered", Automatic: "automatic", Answer: "answer",
}

// A Reply is what came back to a letter. Everything in it is what its sender
// claims, and anybody can write a letter: only a Message-ID of ours, which holds
// 128 random bits, shows that the sender saw the letter that it is about.
type Reply struct {
	Kind     ReplyKind `json:"kind"`
	ID       string    `json:"id,omitempty"` // its own Message-ID: a repeat has the same
	From     string    `json:"from"`         // plain, lower case; "" is none that can be read
	Subject  string    `json:"subject"`
	Date     time.Time `json:"date,omitzero"` // by the sender's clock
	About    []string  `json:"about,omitempty"`
	Tags     []string  `json:"tags,omitempty"` // words in brackets in the subject: "[ABC-7]" gives "ABC-7"
	Failures []Failure `json:"failures,omitempty"`
	Text     string    `json:"text"` // for people, bounded, without control characters
	Cut      bool      `json:"cut"`  // there was more, or a part that cannot be read
	Digest   [32]byte  `json:"digest"`
}

// A Failure is one recipient that a report about delivery tells of.
type Failure struct {
	To     string `json:"to"`     // lower case; "" where the report does not say
	Action string `json:"action"` // failed, delayed, delivered, relayed or expanded
	Status string `json:"status"` // such as "5.1.1" (RFC 3463)
	Why    string `json:"why"`    // what the other server said
}

// Concerns returns the letter that r is about: the first Message-ID in it that
// known accepts.
func (r Reply) Concerns(known func(id string) bool) (id string, ok bool) {
	for _, id := range r.About {
		if known(id) {
			return id, true
		}
	}
	return "", false
}

// ReadReply reads one letter, as a mail server hands it to a program or writes
// it into a folder. A letter that is damaged or too long is read as far as it
// goes, and says so; the error is for what is no letter at all.
func ReadReply(r io.Reader) (Reply, error) {
	raw, err := io.ReadAll(io.LimitReader(r, MaxReply+1))
	if err != nil {
		return Reply{}, fmt.Errorf("mail: read letter: %w", err)
	}
	p := parser{}
	if p.Cut = len(raw) > MaxReply; p.Cut {
		raw = raw[:MaxReply]
	}
	p.Digest = sha256.Sum256(raw)
	if bytes.HasPrefix(raw, []byte("From ")) { // as mailbox files have it
		_, raw, _ = bytes.Cut(raw, []byte("\n"))
	}
	e, err := message.ReadWithOptions(bytes.NewReader(raw), &message.ReadOptions{MaxHeaderBytes: maxHeader})
	if e == nil {
		return Reply{}, fmt.Errorf("mail: not a letter: %w", err)
	}
	if e.Header.Len() == 0 {
		return Reply{}, fmt.Errorf("mail: not a letter: it has no header")
	}
	p.header(e)
	p.entity(e, err, 1)
	p.decide(e)
	return p.Reply, nil
}

// A parser collects what one letter tells.
type parser struct {
	Reply
	parts    int
	notified bool // a receipt of a person's program
	html     string
}

var tagForm = regexp.MustCompile(`\[([A-Za-z0-9][A-Za-z0-9-]{0,39})\]`)

func (p *parser) header(e *message.Entity) {
	h := &e.Header
	subject, _ := h.Text("Subject") // as it was written where it cannot be decoded
	p.Subject = cut(cleanLine(subject), 300)
	p.From = plainFrom(h.Get("From"))
	if at, err := netmail.ParseDate(cut(h.Get("Date"), 100)); err == nil {
		p.Date = at.UTC()
	}
	if ids := idsIn(h.Get("Message-Id")); len(ids) > 0 {
		p.ID = ids[0]
	}
	p.about(h.Get("In-Reply-To"))
	p.about(h.Get("References"))
	for _, m := range tagForm.FindAllStringSubmatch(p.Subject, 5) {
		p.Tags = append(p.Tags, m[1])
	}
}

func plainFrom(s string) string {
	a, err := netmail.ParseAddress(cut(s, 1000))
	if err != nil || checkPlain(a.Address) != nil {
		return ""
	}
	return strings.ToLower(a.Address)
}

// about notes the Message-IDs in s.
func (p *parser) about(s string) {
	for _, id := range idsIn(s) {
		if len(p.About) < maxAbout && !slices.Contains(p.About, id) {
			p.About = append(p.About, id)
		}
	}
}

// idsIn returns what stands in brackets and can be a Message-ID.
func idsIn(s string) []string {
	var ids []string
	for len(ids) < maxAbout {
		_, rest, ok := strings.Cut(s, "<")
		if !ok {
			break
		}
		id, after, ok := strings.Cut(rest, ">")
		if !ok {
			break
		}
		if id != "" && validID(id) {
			ids = append(ids, id)
		}
		s = after
	}
	return ids
}

// entity reads a part, and the parts in it. err is what is wrong with its
// encoding.
func (p *parser) entity(e *message.Entity, err error, depth int) {
	if p.parts++; p.parts > maxParts || depth > maxDepth {
		p.Cut = true
		return
	}
	if parts := e.MultipartReader(); parts != nil {
		for {
			part, err := parts.NextPart()
			if part == nil {
				p.Cut = p.Cut || err != io.EOF
				return
			}
			p.entity(part, err, depth+1)
			if p.parts > maxParts {
				return
			}
		}
	}
	typ, params, _ := e.Header.ContentType()
	switch strings.ToLower(typ) {
	case "message/delivery-status", "message/global-delivery-status":
		p.status(p.read(e.Body))
	case "message/disposition-notification", "message/global-disposition-notification":
		p.notified = true
		p.about(fieldsOf(p.read(e.Body))["original-message-id"])
	case "message/rfc822", "message/global", "text/rfc822-headers", "message/rfc822-headers", "message/global-headers":
		p.original(p.read(e.Body))
	case "text/plain", "text":
		if p.Text == "" {
			p.Text = cleanText(decode(p.read(e.Body), params["charset"], message.IsUnknownCharset(err)))
		}
	case "text/html":
		if p.html == "" {
			p.html = cleanText(untag(decode(p.read(e.Body), params["charset"], message.IsUnknownCharset(err))))
		}
	}
}

// read reads a part, as far as is kept.
func (p *parser) read(r io.Reader) string {
	b, err := io.ReadAll(io.LimitReader(r, maxReplyText+1))
	if err != nil || len(b) > maxReplyText {
		p.Cut = true
	}
	return string(b[:min(len(b), maxReplyText)])
}

// original reads the letter that came back, or the head of it.
func (p *parser) original(s string) {
	p.about(fieldsOf(s)["message-id"])
}

// status reads a report about delivery (RFC 3464): a group of fields for the
// letter, then one for each recipient.
func (p *parser) status(s string) {
	for i, group := range strings.Split(strings.ReplaceAll(s, "\r\n", "\n"), "\n\n") {
		f := fieldsOf(group)
		if i == 0 {
			p.about("<" + unxtext(f["original-envelope-id"]) + ">")
		}
		action := strings.ToLower(f["action"])
		if !slices.Contains([]string{"failed", "delayed", "delivered", "relayed", "expanded"}, action) {
			continue
		}
		if len(p.Failures) >= maxFailures {
			p.Cut = true
			return
		}
		to := f["original-recipient"]
		if to == "" {
			to = f["final-recipient"]
		}
		p.Failures = append(p.Failures, Failure{
			To: recipient(to), Action: action, Status: statusForm.FindString(f["status"]), Why: cut(cleanLine(f["diagnostic-code"]), 300),
		})
	}
}

// recipient reads "rfc822; abuse@example.net".
func recipient(s string) string {
	if _, after, ok := strings.Cut(s, ";"); ok {
		s = after
	}
	s = strings.Trim(strings.TrimSpace(s), "<>")
	if checkPlain(s) != nil {
		return ""
	}
	return strings.ToLower(s)
}
