package mail

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// Kind says what to do about a letter that was not sent.
type Kind uint8

// The zero Kind is none.
const (
	_         Kind = iota
	Temporary      // nothing was taken: try the same again later
	Permanent      // nothing was taken, and will not be: a person has to change something
	Uncertain      // the connection broke when the letter was handed over: it may have been taken. Sending it again, with the same ID, may bring it twice
)

// String returns the word for a person.
func (k Kind) String() string {
	switch k {
	case Temporary:
		return "temporary"
	case Permanent:
		return "permanent"
	case Uncertain:
		return "uncertain"
	}
	return "invalid"
}

// An Error says why a letter was not sent, or may not have been.
type Error struct {
	Kind Kind
	ID   string // of the letter
	Step string // where it ended: "connect", "greet", "encrypt", "log in", "sender", "recipient", "letter"
	Code int    // the server's answer, such as 550; 0 is none
	Err  error
}

func (e *Error) Error() string {
	return fmt.Sprintf("mail: %s: %v (%s: %s)", e.Step, e.Err, e.Kind, advice[e.Kind])
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

var advice = [...]string{
	Temporary: "try again later",
	Permanent: "it will not work as it is: mend the address or the settings of [mail]",
	Uncertain: "ask the mail server's log before it is sent again",
}

// A Refusal is one recipient whom the server did not take.
type Refusal struct {
	To        string `json:"to"`
	Temporary bool   `json:"temporary"`
	Code      int    `json:"code"`
	Text      string `json:"text"` // what the server says: hostile
}

// A Receipt is what the server took.
type Receipt struct {
	ID       string    `json:"id"`     // Message-ID, without brackets: answers name it
	At       time.Time `json:"at"`     // when the server took it
	Server   string    `json:"server"` // that took it
	Answer   string    `json:"answer"` // what it said, often with a number for its log: hostile
	Accepted []string  `json:"accepted"`
	Refused  []Refusal `json:"refused,omitempty"`
	Raw      []byte    `json:"raw"`    // the letter as it was sent: evidence
	Digest   [32]byte  `json:"digest"` // SHA-256 of Raw
}

// A Sender sends letters. It is safe for concurrent use.
type Sender struct {
	cfg  Config
	from string // plain
	now  func() time.Time
}

// NewSender returns a sender. The error names every mistake of cfg.
func NewSender(cfg Config) (*Sender, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	from, err := parseAddress(cfg.From)
	if err != nil {
		return nil, err
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = 2 * time.Minute
	}
	if cfg.Hello == "" {
		cfg.Hello = domainOf(from.Address)
	}
	return &Sender{cfg: cfg, from: from.Address, now: time.Now}, nil
}

// Draft returns m as it would be sent, signed, for a person to look at; its ID
// and its date are set. Nothing is sent.
func (s *Sender) Draft(m Message) (Message, []byte, error) {
	if m.Date.IsZero() {
		m.Date = s.now()
	}
	if err := m.check(); err != nil {
		return m, nil, err
	}
	if m.ID == "" {
		m.ID = newID(m.Tag, domainOf(s.from))
	}
	letter, err := s.cfg.compose(m)
	if err == nil && s.cfg.DKIM != nil {
		letter, err = s.cfg.DKIM.sign(letter)
	}
	return m, letter, err
}

// Send sends m once. A letter that at least one recipient was taken for is sent:
// the receipt names those who were refused. The error is an [*Error] where the
// server or the way to it is the cause.
func (s *Sender) Send(ctx context.Context, m Message) (Receipt, error) {
	m, letter, err := s.Draft(m)
	if err != nil {
		return Receipt{}, err
	}
	return s.Deliver(ctx, m, letter)
}

// Deliver sends what [Sender.Draft] returned, byte for byte: what a person
// approved is what leaves.
func (s *Sender) Deliver(ctx context.Context, m Message, letter []byte) (Receipt, error) {
	if err := m.check(); err != nil {
		return Receipt{}, err
	}
	if m.ID == "" || !bytes.Contains(letter, []byte("<"+m.ID+">\r\n")) {
		return Receipt{}, fmt.Errorf("mail: the draft is not of letter %q: draft it again", m.ID)
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	t := transfer{Sender: s, id: m.ID}
	conn, err := t.connect(ctx)
	if err != nil {
		return Receipt{}, err
	}
	// The library waits for minutes, command by command: what ends is the connection.
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	defer conn.Close()
	r, err := t.run(conn, m, letter)
	if cause := context.Cause(ctx); err != nil && cause != nil {
		var e *Error
		if errors.As(err, &e) {
			e.Err = fmt.Errorf("no answer within %s: %w", s.cfg.Timeout, cause)
			if !errors.Is(cause, context.DeadlineExceeded) {
				e.Err = cause
			}
		}
	}
	return r, err
}

// Notice sends a few lines to somebody who asked to be told: package notify
// takes it as it is.
func (s *Sender) Notice(ctx context.Context, to, subject, text string) error {
	_, err := s.Send(ctx, Message{To: []string{to}, Subject: subject, Text: text, Automatic: true})
	return err
}

// A transfer is one letter on its way.
type transfer struct {
	*Sender
	id string
}

// fail tells temporary from permanent: a server says so by its code, and what
// happened on the way there may be over later.
func (t transfer) fail(step string, err error) error {
	e := &Error{Kind: Temporary, ID: t.id, Step: step, Err: err}
	var answer *smtp.SMTPError
	var cert *tls.CertificateVerificationError
	switch {
	case errors.As(err, &answer):
		e.Code = answer.Code
		e.Err = fmt.Errorf("the server answers %d: %s", answer.Code, line(answer.Message))
		if answer.Code >= 500 {
			e.Kind = Permanent
		}
	case errors.As(err, &cert):
		e.Kind = Permanent
		e.Err = fmt.Errorf("%w; is this machine's clock right, and the server's authority named in the settings?", err)
	}
	return e
}

func (t transfer) connect(ctx context.Context) (net.Conn, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", t.cfg.Server)
	if err != nil {
		return nil, t.fail("connect", err)
	}
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return nil, errors.Join(t.fail("connect", err), conn.Close())
		}
	}
	return &boundedConn{Conn: conn, left: maxTalk}, nil
}

// maxTalk bounds what a server may say while it takes one letter, in bytes.
const maxTalk = 1 << 20

type boundedConn struct {
	net.Conn
	left int
}

func (c *boundedConn) Read(p []byte) (int, error) {
	if c.left <= 0 {
		return 0, errors.New("the server talks without end")
	}
	n, err := c.Conn.Read(p[:min(len(p), c.left)])
	c.left -= n
	return n, err
}

// open greets the server, turns to TLS and logs in.
func (t transfer) open(conn net.Conn) (*smtp.Client, error) {
	host, _, err := net.SplitHostPort(t.cfg.Server)
	if err != nil {
		return nil, err
	}
	conf := &tls.Config{ServerName: host, RootCAs: t.cfg.Roots, MinVersion: tls.VersionTLS12}
	var c *smtp.Client
	switch t.cfg.TLS {
	case StartTLS:
		if c, err = smtp.NewClientStartTLS(conn, conf); err == nil {
			break
		}
		if strings.Contains(err.Error(), "support STARTTLS") {
			err := errors.New("the server offers no encryption (STARTTLS), and nothing is sent without")
			return nil, &Error{Kind: Permanent, ID: t.id, Step: "encrypt", Err: err}
		}
		return nil, t.fail("greet", err) // TLS itself begins with what is said next
	case Implicit:
		c = smtp.NewClient(tls.Client(conn, conf))
	case Cleartext:
		c = smtp.NewClient(conn)
	}
	c.CommandTimeout, c.SubmissionTimeout = t.cfg.Timeout, t.cfg.Timeout
	if err := c.Hello(t.cfg.Hello); err != nil {
		return nil, t.fail("encrypt", err)
	}
	if t.cfg.User == "" {
		return c, nil
	}
	return c, t.logIn(c)
}

func (t transfer) logIn(c *smtp.Client) error {
	var client sasl.Client
	switch {
	case c.SupportsAuth(sasl.Plain):
		client = sasl.NewPlainClient("", t.cfg.User, string(t.cfg.Password))
	case c.SupportsAuth(sasl.Login):
		client = &login{t.cfg.User, string(t.cfg.Password)}
	default:
		err := errors.New("the server takes no password (neither PLAIN nor LOGIN)")
		return &Error{Kind: Permanent, ID: t.id, Step: "log in", Err: err}
	}
	if err := c.Auth(client); err != nil {
		return t.fail("log in", err)
	}
	return nil
}

// login is the mechanism LOGIN, whose questions every server words differently:
// the first is for the name, the second for the password.
type login []string

// Start begins without an answer, which not all servers take with the question.
func (l *login) Start() (string, []byte, error) { return sasl.Login, nil, nil }

// Next answers a question.
func (l *login) Next([]byte) ([]byte, error) {
	if len(*l) == 0 {
		return nil, errors.New("the server asks for more than name and password")
	}
	answer := (*l)[0]
	*l = (*l)[1:]
	return []byte(answer), nil
}

func (t transfer) run(conn net.Conn, m Message, letter []byte) (Receipt, error) {
	c, err := t.open(conn)
	if err != nil {
		return Receipt{}, err
	}
	if most, ok := c.MaxMessageSize(); ok && most > 0 && len(letter) > most {
		err := fmt.Errorf("the letter has %d bytes, the server takes %d: leave out attachments", len(letter), most)
		return Receipt{}, &Error{Kind: Permanent, ID: t.id, Step: "letter", Err: err}
	}
	r := Receipt{ID: m.ID, Server: t.cfg.Server, Raw: letter, Digest: sha256.Sum256(letter)}
	// A report about delivery names the letter by this, also where it quotes nothing of it.
	opts := &smtp.MailOptions{Size: int64(len(letter)), EnvelopeID: m.ID, Return: smtp.DSNReturnHeaders}
	if err := c.Mail(t.from, opts); err != nil {
		return Receipt{}, t.fail("sender", err)
	}
	var last error
	for _, to := range m.To {
		err := c.Rcpt(to, &smtp.RcptOptions{Notify: []smtp.DSNNotify{smtp.DSNNotifyFailure, smtp.DSNNotifyDelayed}})
		var answer *smtp.SMTPError
		switch {
		case err == nil:
			r.Accepted = append(r.Accepted, to)
		case errors.As(err, &answer):
			r.Refused = append(r.Refused, Refusal{To: to, Temporary: answer.Code < 500, Code: answer.Code, Text: line(answer.Message)})
			if last == nil || answer.Code < 500 {
				last = err // one that may work later decides
			}
		default:
			return Receipt{}, t.fail("recipient", err)
		}
	}
	if len(r.Accepted) == 0 {
		return Receipt{Refused: r.Refused}, t.fail("recipient", last)
	}
	if r.Answer, err = t.hand(c, letter); err != nil {
		return Receipt{}, err
	}
	r.At = t.now()
	_ = c.Quit() // it was taken: whatever comes now changes nothing
	return r, nil
}

// hand hands the letter over. Once its end was written, only an answer can tell
// whether it was taken.
func (t transfer) hand(c *smtp.Client, letter []byte) (string, error) {
	w, err := c.Data()
	if err != nil {
		return "", t.fail("letter", err)
	}
	if _, err := io.Copy(w, bytes.NewReader(letter)); err != nil {
		return "", t.fail("letter", err) // its end was not written: it cannot have been taken
	}
	answer, err := w.CloseWithResponse()
	if err != nil {
		failed := t.fail("letter", err)
		var e *Error
		if errors.As(failed, &e) && e.Code == 0 {
			e.Kind = Uncertain
		}
		return "", failed
	}
	return line(answer.StatusText), nil
}

// line returns what a server said as one short line for a person.
func line(s string) string { return cut(strings.Join(strings.Fields(cleanLine(s)), " "), 300) }
