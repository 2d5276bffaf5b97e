// Package mail sends one letter by SMTP, signed, and reads what comes back.
//
// It promises that a letter leaves the machine over a connection whose other end
// is proven, as exactly the bytes that were signed; that nothing in an address,
// a subject or a text can add a header or a recipient; and that the caller
// learns whether to try again, to give up, or that nobody can know. It sends
// what it is given, once: who approved a letter, and whether it is the first of
// the day, is the caller's business.
package mail

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	netmail "net/mail"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	gomail "github.com/emersion/go-message/mail"
)

// Limits of a letter.
const (
	MaxText       = 1 << 20 // bytes
	MaxAttachment = 5 << 20 // bytes of all attachments together
	MaxSubject    = 200     // bytes
	MaxRecipients = 10
)

// Config says by which server letters are sent, and in whose name.
type Config struct {
	Server   string         // host and port: "mail.example.net:587"
	TLS      TLS            // zero is [StartTLS]
	Roots    *x509.CertPool // who may vouch for the server; nil is the system's
	User     string         // "" sends without logging in
	Password Secret
	Hello    string        // how this machine names itself to the server; "" is the domain of From
	From     string        // "Example CSIRT <csirt@example.net>": bounces come to this address
	ReplyTo  string        // where answers are read; "" is From
	DKIM     *DKIM         // nil does not sign
	Timeout  time.Duration // for one letter, all in all; 0 is 2 minutes
}

// TLS says how a connection is encrypted.
type TLS uint8

// The zero TLS is the one to have.
const (
	StartTLS  TLS = iota // begins in clear and turns to TLS, or ends
	Implicit             // TLS from the first byte on: port 465
	Cleartext            // a server on this machine only
)

// A Secret never shows up in a log.
type Secret string

// String hides it.
func (Secret) String() string { return "(secret)" }

// GoString hides it, too.
func (Secret) GoString() string { return "(secret)" }

// MarshalText hides it from logs that are written as JSON.
func (Secret) MarshalText() ([]byte, error) { return []byte("(secret)"), nil }

// A Message is one letter.
type Message struct {
	To          []string // plain addresses
	Subject     string   // one line
	Text        string   // for people
	Attachments []Attachment
	Tag         string    // part of the Message-ID, such as a case's name: letters, digits and "-"
	ID          string    // Message-ID, without brackets; "" makes one of our own domain. Keep it to send the same letter again
	InReplyTo   []string  // Message-IDs of earlier letters of the same case, oldest first
	Date        time.Time // zero is now
	Automatic   bool      // written by a program: nobody's holiday notice should answer
}

// An Attachment is a file of a letter.
type Attachment struct {
	Name string // plain: "xarf.json"
	Type string // "application/json"
	Body []byte
}

// check returns every mistake of c.
func (c Config) check() error {
	var errs []error
	host, port, err := net.SplitHostPort(c.Server)
	if err != nil || host == "" || port == "" {
		errs = append(errs, fmt.Errorf("mail: server %q: needs a name and a port, such as mail.example.net:587", c.Server))
	}
	if c.TLS > Cleartext {
		errs = append(errs, fmt.Errorf("mail: tls: no such kind %d", c.TLS))
	}
	if ip := net.ParseIP(host); c.TLS == Cleartext && (ip == nil || !ip.IsLoopback()) {
		errs = append(errs, fmt.Errorf("mail: server %q: without TLS only a server on this machine, such as 127.0.0.1:25", c.Server))
	}
	if c.User != "" && c.TLS == Cleartext {
		errs = append(errs, errors.New("mail: user: a password is only sent over TLS"))
	}
	if _, err := parseAddress(c.From); err != nil {
		errs = append(errs, fmt.Errorf("mail: from: %w", err))
	}
	if _, err := parseAddress(c.ReplyTo); err != nil && c.ReplyTo != "" {
		errs = append(errs, fmt.Errorf("mail: reply_to: %w", err))
	}
	if !oneLine(c.Hello) || strings.Contains(c.Hello, " ") {
		errs = append(errs, fmt.Errorf("mail: hello: %q is no host name", c.Hello))
	}
	if c.DKIM != nil {
		errs = append(errs, c.DKIM.check(c.From))
	}
	return errors.Join(errs...)
}

// parseAddress reads an address, with or without a name. It is strict: what it
// returns holds no control character and can be written into a header.
func parseAddress(s string) (*netmail.Address, error) {
	a, err := netmail.ParseAddress(s)
	if err != nil || !oneLine(s) || !oneLine(a.Name) {
		return nil, fmt.Errorf("%q is not a mail address", s)
	}
	return a, checkPlain(a.Address)
}

// checkPlain refuses everything but a plain address in ASCII: nobody who handles
// abuse has another, and some servers split the others.
func checkPlain(s string) error {
	at := strings.LastIndexByte(s, '@')
	ok := at > 0 && at < len(s)-1 && len(s) <= 254 && !strings.ContainsAny(s, " \"(),:;<>[\\]") && strings.Count(s, "@") == 1
	for _, r := range s {
		ok = ok && r > ' ' && r < 0x7f
	}
	if a, err := netmail.ParseAddress(s); !ok || err != nil || a.Address != s || a.Name != "" {
		return fmt.Errorf("%q is not a plain mail address, such as abuse@example.net", s)
	}
	return nil
}

func oneLine(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}

func domainOf(address string) string {
	return strings.ToLower(address[strings.LastIndexByte(address, '@')+1:])
}

// check refuses a letter that could not be sent as it is meant.
func (m Message) check() error {
	var errs []error
	if n := len(m.To); n == 0 || n > MaxRecipients {
		errs = append(errs, fmt.Errorf("mail: %d recipients: 1 to %d", n, MaxRecipients))
	}
	for _, to := range m.To {
		if err := checkPlain(to); err != nil {
			errs = append(errs, fmt.Errorf("mail: to: %w", err))
		}
	}
	if m.Subject == "" || len(m.Subject) > MaxSubject || !oneLine(m.Subject) {
		errs = append(errs, fmt.Errorf("mail: subject %q: one line of 1 to %d bytes, without control characters", m.Subject, MaxSubject))
	}
	if len(m.Text) > MaxText {
		errs = append(errs, fmt.Errorf("mail: text of %d bytes: at most %d", len(m.Text), MaxText))
	}
	size := 0
	for _, a := range m.Attachments {
		size += len(a.Body)
		if !plainName(a.Name) || !plainName(strings.Replace(a.Type, "/", "-", 1)) {
			errs = append(errs, fmt.Errorf("mail: attachment %q of type %q: letters, digits, '.', '-', '_' and '+'", a.Name, a.Type))
		}
	}
	if size > MaxAttachment {
		errs = append(errs, fmt.Errorf("mail: attachments of %d bytes: at most %d", size, MaxAttachment))
	}
	if m.Tag != "" && !plainName(m.Tag) {
		errs = append(errs, fmt.Errorf("mail: tag %q: letters, digits, '.', '-', '_' and '+'", m.Tag))
	}
	for _, id := range append(m.InReplyTo, m.ID) {
		if id != "" && !validID(id) {
			errs = append(errs, fmt.Errorf("mail: %q is not a Message-ID", id))
		}
	}
	return errors.Join(errs...)
}

func plainName(s string) bool {
	return s != "" && len(s) <= 80 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.+") == ""
}

// validID reports whether s can stand between the brackets of a Message-ID.
func validID(s string) bool {
	return len(s) <= 250 && strings.Count(s, "@") == 1 && s[0] != '@' && s[len(s)-1] != '@' &&
		!strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune("<>()[]\\\",;:", r) })
}

// newID makes a Message-ID. Its 128 random bits are what an answer is recognised
// by: who did not get the letter cannot name them.
func newID(tag, domain string) string {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails
	if tag != "" {
		tag += "."
	}
	return tag + hex.EncodeToString(b) + "@" + domain
}

// compose writes the letter, with lines that end as SMTP wants them.
func (c Config) compose(m Message) ([]byte, error) {
	from, err := parseAddress(c.From)
	if err != nil {
		return nil, err
	}
	var h gomail.Header
	// A header is written from its end: the last one set comes first.
	h.Set("MIME-Version", "1.0")
	if m.Automatic {
		h.Set("Auto-Submitted", "auto-generated")
	}
	if len(m.InReplyTo) > 0 {
		h.SetMsgIDList("References", m.InReplyTo)
		h.SetMsgIDList("In-Reply-To", m.InReplyTo[len(m.InReplyTo)-1:])
	}
	h.SetMessageID(m.ID)
	h.SetSubject(m.Subject)
	var to []*gomail.Address
	for _, a := range m.To {
		to = append(to, &gomail.Address{Address: a})
	}
	h.SetAddressList("To", to)
	reply := from
	if c.ReplyTo != "" {
		if reply, err = parseAddress(c.ReplyTo); err != nil {
			return nil, err
		}
	}
	h.SetAddressList("Reply-To", []*gomail.Address{reply})
	h.SetAddressList("From", []*gomail.Address{from})
	h.SetDate(m.Date.UTC())
	var b bytes.Buffer
	err = writeLetter(&b, h, m)
	return b.Bytes(), err
}

// writeLetter writes text and attachments below h.
func writeLetter(w io.Writer, h gomail.Header, m Message) error {
	letter, err := gomail.CreateWriter(w, h)
	if err != nil {
		return err
	}
	var th gomail.InlineHeader
	th.SetContentType("text/plain", map[string]string{"charset": "utf-8"})
	part, err := letter.CreateSingleInline(th)
	if err != nil {
		return err
	}
	if err := writeAndClose(part, []byte(plainText(m.Text))); err != nil {
		return err
	}
	for _, a := range m.Attachments {
		var ah gomail.AttachmentHeader
		ah.SetContentType(a.Type, map[string]string{"name": a.Name})
		ah.SetFilename(a.Name)
		part, err := letter.CreateAttachment(ah)
		if err != nil {
			return err
		}
		if err := writeAndClose(part, a.Body); err != nil {
			return err
		}
	}
	return letter.Close()
}

func writeAndClose(w io.WriteCloser, b []byte) error {
	_, err := w.Write(b)
	return errors.Join(err, w.Close())
}

// plainText makes lines end as mail has it, and takes out what could move the
// cursor of a reader: account names are typed by attackers.
func plainText(s string) string {
	s = strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\r\n", "\n")
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return '\uFFFD'
		}
		return r
	}, s)
	return strings.ReplaceAll(s, "\n", "\r\n")
}
