package mail

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-message"
	gomail "github.com/emersion/go-message/mail"
	"github.com/emersion/go-msgauth/dkim"
	"github.com/emersion/go-smtp"
)

// rsaKey is made once: it takes a while.
var rsaKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, minBits)
	if err != nil {
		panic(err)
	}
	return key
})

func (s *server) config() Config {
	return Config{
		Server: s.addr, Roots: s.roots, From: "Example CSIRT <csirt@owner.example>", ReplyTo: "answers@owner.example",
		DKIM: &DKIM{Domain: "owner.example", Selector: "tocsin", Key: rsaKey()}, Timeout: 20 * time.Second,
	}
}

func sender(t *testing.T, cfg Config) *Sender {
	t.Helper()
	s, err := NewSender(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func report() Message {
	return Message{
		To: []string{"abuse@provider.example"}, Subject: "Log-ins tried from 192.0.2.7 [CASE-7]", Tag: "CASE-7",
		Text:        "Good day,\n\nfrom 192.0.2.7 somebody guesses passwords: é\n.\nFrom here on.\n",
		Attachments: []Attachment{{Name: "xarf.json", Type: "application/json", Body: []byte(`{"xarf_version":"4.2.0"}`)}},
		Date:        time.Date(2026, 3, 1, 13, 0, 0, 0, time.FixedZone("", 3600)),
	}
}

func TestSend(t *testing.T) {
	for name, setup := range map[string]func(*server, *smtp.Server){
		"open":  nil,
		"PLAIN": func(s *server, _ *smtp.Server) { s.needAuth = true },
		"LOGIN": func(s *server, _ *smtp.Server) { s.needAuth, s.login = true, true },
	} {
		t.Run(name, func(t *testing.T) {
			srv := newServer(t, setup)
			cfg := srv.config()
			if setup != nil {
				cfg.User, cfg.Password = "tocsin", "open sesame"
			}
			receipt, err := sender(t, cfg).Send(t.Context(), report())
			if err != nil {
				t.Fatal(err)
			}
			took := srv.took()
			if len(took) != 1 {
				t.Fatalf("the server took %d letters", len(took))
			}
			got := took[0]
			if !got.encrypted || got.from != "csirt@owner.example" || fmt.Sprint(got.to) != "[abuse@provider.example]" || got.envelope != receipt.ID {
				t.Errorf("envelope %+v", got)
			}
			if !bytes.Equal(got.raw, receipt.Raw) || receipt.Digest != sha256.Sum256(got.raw) {
				t.Error("what was sent is not what the receipt says")
			}
			wantLetter(t, got.raw, receipt.ID)
			wantSigned(t, got.raw, cfg.DKIM)
		})
	}
}

func wantLetter(t *testing.T, raw []byte, id string) {
	t.Helper()
	r, err := gomail.CreateReader(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{
		"From": `"Example CSIRT" <csirt@owner.example>`, "Reply-To": "<answers@owner.example>", "To": "<abuse@provider.example>",
		"Subject": "Log-ins tried from 192.0.2.7 [CASE-7]", "Date": "Sun, 01 Mar 2026 12:00:00 +0000", "Message-Id": "<" + id + ">",
	} {
		if got := r.Header.Get(key); got != want {
			t.Errorf("%s: got %q, want %q", key, got, want)
		}
	}
	if !strings.HasPrefix(id, "CASE-7.") || !strings.HasSuffix(id, "@owner.example") {
		t.Errorf("Message-ID %q", id)
	}
	var parts []string
	for {
		p, err := r.NextPart()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(p.Body)
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, strings.SplitN(p.Header.Get("Content-Type"), ";", 2)[0]+": "+string(body))
	}
	want := []string{
		"text/plain: Good day,\r\n\r\nfrom 192.0.2.7 somebody guesses passwords: é\r\n.\r\nFrom here on.\r\n",
		`application/json: {"xarf_version":"4.2.0"}`,
	}
	if fmt.Sprintf("%q", parts) != fmt.Sprintf("%q", want) {
		t.Errorf("got parts %q\nwant %q", parts, want)
	}
}

// wantSigned checks the signature with what would be published.
func wantSigned(t *testing.T, raw []byte, key *DKIM) {
	t.Helper()
	name, txt, err := key.Record()
	if err != nil {
		t.Fatal(err)
	}
	verify := func(raw []byte) error {
		found, err := dkim.VerifyWithOptions(bytes.NewReader(raw), &dkim.VerifyOptions{LookupTXT: func(domain string) ([]string, error) {
			if domain != name {
				return nil, fmt.Errorf("asked for %s", domain)
			}
			return []string{txt}, nil
		}})
		if err != nil || len(found) != 1 {
			return fmt.Errorf("%d signatures: %w", len(found), err)
		}
		return found[0].Err
	}
	if err := verify(raw); err != nil {
		t.Errorf("signature: %v", err)
	}
	if verify(bytes.Replace(raw, []byte("192.0.2.7"), []byte("192.0.2.8"), 1)) == nil {
		t.Error("a changed letter passes")
	}
	if verify(append([]byte("Subject: something else\r\n"), raw...)) == nil {
		t.Error("a second subject passes")
	}
}

func TestSendEd25519(t *testing.T) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	srv := newServer(t, nil)
	cfg := srv.config()
	cfg.DKIM.Key = key
	receipt, err := sender(t, cfg).Send(t.Context(), report())
	if err != nil {
		t.Fatal(err)
	}
	wantSigned(t, receipt.Raw, cfg.DKIM)
}

func TestImplicitTLS(t *testing.T) {
	cert, roots := certificate(t)
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}})
	if err != nil {
		t.Fatal(err)
	}
	s := &server{addr: l.Addr().String(), roots: roots}
	srv := smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) { return &session{s: s, c: c}, nil }))
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.Serve(l) }()
	t.Cleanup(func() { _ = srv.Close(); <-done })
	cfg := s.config()
	cfg.TLS = Implicit
	if _, err := sender(t, cfg).Send(t.Context(), report()); err != nil || !s.took()[0].encrypted {
		t.Error(err)
	}
}

// Whatever the server does the caller learns what to do.
func TestSendFails(t *testing.T) {
	refuse := func(code int) error {
		return &smtp.SMTPError{Code: code, EnhancedCode: smtp.EnhancedCode{code / 100, 7, 1}, Message: "not\x1b[2J here"}
	}
	for _, test := range []struct {
		name  string
		setup func(*server, *smtp.Server)
		cfg   func(*Config)
		kind  Kind
		step  string
		want  string
	}{
		{"recipient refused", func(s *server, _ *smtp.Server) { s.rcpt = func(string) error { return refuse(550) } }, nil,
			Permanent, "recipient", "the server answers 550: not [2J here"},
		{"recipient later", func(s *server, _ *smtp.Server) { s.rcpt = func(string) error { return refuse(451) } }, nil,
			Temporary, "recipient", "try again later"},
		{"letter refused", func(s *server, _ *smtp.Server) { s.data = func(*smtp.Conn, []byte) error { return refuse(554) } }, nil,
			Permanent, "letter", "554"},
		{"letter later", func(s *server, _ *smtp.Server) { s.data = func(*smtp.Conn, []byte) error { return refuse(452) } }, nil,
			Temporary, "letter", "452"},
		{"drops after the letter", func(s *server, _ *smtp.Server) {
			s.data = func(c *smtp.Conn, _ []byte) error { return c.Conn().Close() }
		}, nil, Uncertain, "letter", "ask the mail server's log"},
		{"drops at the recipient", func(s *server, srv *smtp.Server) {
			srv.Backend = smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) {
				s.rcpt = func(string) error { return c.Conn().Close() }
				return &session{s: s, c: c}, nil
			})
		}, nil, Temporary, "recipient", "try again later"},
		{"no TLS", func(_ *server, srv *smtp.Server) { srv.TLSConfig = nil }, nil, Permanent, "encrypt", "offers no encryption"},
		{"unknown authority", nil, func(c *Config) { c.Roots = x509.NewCertPool() }, Permanent, "encrypt", "clock right"},
		{"wants a password", func(s *server, _ *smtp.Server) { s.needAuth = true }, nil, Permanent, "sender", "Please authenticate"},
		{"wrong password", func(s *server, _ *smtp.Server) { s.needAuth = true },
			func(c *Config) { c.User, c.Password = "tocsin", "guess" }, Permanent, "log in", "535"},
		{"takes no password", nil, func(c *Config) { c.User, c.Password = "tocsin", "guess" }, Permanent, "log in", "takes no password"},
		{"too large", func(_ *server, srv *smtp.Server) { srv.MaxMessageBytes = 100 }, nil, Permanent, "letter", "leave out attachments"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			srv := newServer(t, test.setup)
			cfg := srv.config()
			if test.cfg != nil {
				test.cfg(&cfg)
			}
			_, err := sender(t, cfg).Send(t.Context(), report())
			wantError(t, err, test.kind, test.step, test.want)
			if strings.Contains(fmt.Sprint(err), "guess") || strings.ContainsRune(fmt.Sprint(err), '\x1b') {
				t.Errorf("the error shows what it must not: %q", err)
			}
		})
	}
}

func wantError(t *testing.T, err error, kind Kind, step, text string) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || e.Kind != kind || e.Step != step || !strings.Contains(err.Error(), text) {
		t.Errorf("got %v\nwant %s, %s, %q", err, kind, step, text)
	}
}

// Servers that are none, or hang, or talk for ever.
func TestSendToStrangers(t *testing.T) {
	for _, test := range []struct {
		name string
		talk func(c net.Conn)
		kind Kind
		step string
	}{
		{"silent", func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }, Temporary, "greet"},
		{"goes away", func(net.Conn) {}, Temporary, "greet"},
		{"busy", func(c net.Conn) { _, _ = io.WriteString(c, "421 4.3.2 later\r\n") }, Temporary, "greet"},
		{"no mail here", func(c net.Conn) { _, _ = io.WriteString(c, "554 5.7.1 no\r\n") }, Permanent, "greet"},
		{"another protocol", func(c net.Conn) { _, _ = io.WriteString(c, "SSH-2.0-x\r\n") }, Temporary, "greet"},
		{"endless", func(c net.Conn) {
			for {
				if _, err := io.WriteString(c, "220-"+strings.Repeat("x", 1000)+"\r\n"); err != nil {
					return
				}
			}
		}, Temporary, "greet"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			done := make(chan struct{})
			go func() {
				defer close(done)
				if c, err := l.Accept(); err == nil {
					test.talk(c)
					_ = c.Close()
				}
			}()
			cfg := (&server{addr: l.Addr().String()}).config()
			cfg.Timeout = 300 * time.Millisecond
			_, err = sender(t, cfg).Send(t.Context(), report())
			wantError(t, err, test.kind, test.step, "")
			_ = l.Close()
			<-done
		})
	}
}

// A server that says nothing more once it has the letter may have taken it.
func TestHangsAfterTheLetter(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, giveUp := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if c, err := l.Accept(); err == nil {
			hangAfterLetter(c, giveUp)
			_ = c.Close()
		}
	}()
	cfg := (&server{addr: l.Addr().String()}).config()
	cfg.TLS = Cleartext
	_, err = sender(t, cfg).Send(ctx, report())
	wantError(t, err, Uncertain, "letter", "canceled")
	<-done
}

func hangAfterLetter(c net.Conn, got func()) {
	say := func(s string) { _, _ = io.WriteString(c, s+"\r\n") }
	buf, seen := make([]byte, 4096), ""
	say("220 here")
	for {
		n, err := c.Read(buf)
		if err != nil {
			return
		}
		seen += string(buf[:n])
		switch {
		case strings.Contains(seen, "DATA\r\n") && strings.HasSuffix(seen, "\r\n.\r\n"):
			got() // and says nothing more
		case strings.HasSuffix(seen, "DATA\r\n"):
			say("354 go on")
		case !strings.Contains(seen, "DATA\r\n"):
			say("250 fine")
		}
	}
}

func TestNobodyListens(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cfg := (&server{addr: l.Addr().String()}).config()
	_ = l.Close()
	_, err = sender(t, cfg).Send(t.Context(), report())
	wantError(t, err, Temporary, "connect", "refused")

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = sender(t, cfg).Send(ctx, report())
	wantError(t, err, Temporary, "connect", "canceled")
}

func TestSomeRecipientsRefused(t *testing.T) {
	srv := newServer(t, func(s *server, _ *smtp.Server) {
		s.rcpt = func(to string) error {
			if strings.HasPrefix(to, "gone@") {
				return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "no such user"}
			}
			return nil
		}
	})
	m := report()
	m.To = []string{"gone@provider.example", "abuse@provider.example"}
	r, err := sender(t, srv.config()).Send(t.Context(), m)
	if err != nil || len(r.Accepted) != 1 || len(r.Refused) != 1 || r.Refused[0].Temporary || r.Refused[0].Text != "no such user" {
		t.Errorf("got %+v, %v", r.Refused, err)
	}
}

// Nothing that an attacker chose adds a header, a recipient or a line.
func TestInjection(t *testing.T) {
	srv := newServer(t, nil)
	s := sender(t, srv.config())
	for name, change := range map[string]func(*Message){
		"to":         func(m *Message) { m.To[0] = "abuse@provider.example\r\nRCPT TO:<all@provider.example>" },
		"to list":    func(m *Message) { m.To[0] = "a@provider.example, b@provider.example" },
		"to name":    func(m *Message) { m.To[0] = "Abuse <abuse@provider.example>" },
		"to option":  func(m *Message) { m.To[0] = "a@provider.example> NOTIFY=NEVER" },
		"nobody":     func(m *Message) { m.To = nil },
		"subject":    func(m *Message) { m.Subject = "root\r\nBcc: all@provider.example" },
		"subject lf": func(m *Message) { m.Subject = "root\nBcc: all@provider.example" },
		"escape":     func(m *Message) { m.Subject = "root\x1b]0;x" },
		"bytes":      func(m *Message) { m.Subject = "root\xff" },
		"long":       func(m *Message) { m.Subject = strings.Repeat("x", MaxSubject+1) },
		"tag":        func(m *Message) { m.Tag = "x>\r\nBcc: a" },
		"id":         func(m *Message) { m.ID = "a@b>\r\nBcc: a@c" },
		"reference":  func(m *Message) { m.InReplyTo = []string{"a b@c"} },
		"file":       func(m *Message) { m.Attachments[0].Name = "x.json\"\r\nX: y" },
		"type":       func(m *Message) { m.Attachments[0].Type = "application/json\r\nX: y" },
		"big file":   func(m *Message) { m.Attachments[0].Body = make([]byte, MaxAttachment+1) },
		"big text":   func(m *Message) { m.Text = strings.Repeat("x", MaxText+1) },
	} {
		m := report()
		change(&m)
		var e *Error
		if _, err := s.Send(t.Context(), m); err == nil || errors.As(err, &e) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if n := len(srv.took()); n != 0 {
		t.Fatalf("%d of them were sent", n)
	}
	// In the text it is made harmless.
	m := report()
	m.Text = "account \"root\r.\r\nMAIL FROM:<x@y.example>\x1b[2J\"\n.\n.\nBcc: all@provider.example\n"
	if _, err := s.Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	e, err := message.Read(bytes.NewReader(srv.took()[0].raw))
	if err != nil || e.Header.Has("Bcc") {
		t.Error("a header was added", err)
	}
	if r, err := ReadReply(bytes.NewReader(srv.took()[0].raw)); err != nil || !strings.Contains(r.Text, "Bcc: all@provider.example") || strings.ContainsRune(r.Text, '\x1b') {
		t.Errorf("text %q, %v", r.Text, err)
	}
}

// A letter sent again has the same name, so that it can be recognised.
func TestSendAgain(t *testing.T) {
	srv := newServer(t, nil)
	s := sender(t, srv.config())
	m, draft, err := s.Draft(report())
	if err != nil {
		t.Fatal(err)
	}
	if r, err := s.Deliver(t.Context(), m, draft); err != nil || !bytes.Equal(srv.took()[0].raw, draft) || r.ID != m.ID {
		t.Errorf("what was approved is not what was sent: %v", err)
	}
	if _, err := s.Deliver(t.Context(), report(), draft); err == nil {
		t.Error("a draft of another letter was sent")
	}
	m.InReplyTo = []string{"first@owner.example", "second@owner.example"}
	m.Automatic = true
	for range 2 {
		if r, err := s.Send(t.Context(), m); err != nil || r.ID != m.ID {
			t.Errorf("got %s, %v", r.ID, err)
		}
	}
	e, err := message.Read(bytes.NewReader(srv.took()[2].raw))
	if err != nil {
		t.Fatal(err)
	}
	if e.Header.Get("In-Reply-To") != "<second@owner.example>" || e.Header.Get("References") != "<first@owner.example> <second@owner.example>" ||
		e.Header.Get("Auto-Submitted") != "auto-generated" {
		t.Errorf("headers %v", e.Header.Map())
	}
}

func TestNotice(t *testing.T) {
	srv := newServer(t, nil)
	if err := sender(t, srv.config()).Notice(t.Context(), "me@owner.example", "[Tocsin] 2 campaigns opened", "Look."); err != nil {
		t.Fatal(err)
	}
	r, err := ReadReply(bytes.NewReader(srv.took()[0].raw))
	if err != nil || r.Kind != Automatic || r.Subject != "[Tocsin] 2 campaigns opened" || r.Text != "Look." {
		t.Errorf("got %+v, %v", r, err)
	}
}

func TestNewSenderNamesEveryMistake(t *testing.T) {
	_, err := NewSender(Config{
		Server: "mail.example", TLS: Cleartext, User: "x", From: "nobody", ReplyTo: "a@b.example\nBcc: x", Hello: "a b", DKIM: &DKIM{},
	})
	for _, want := range []string{"needs a name and a port", "without TLS", "only sent over TLS", "from:", "reply_to:", "hello:", "dkim:"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v\nwant %q", err, want)
		}
	}
	_, err = NewSender(Config{Server: "mail.example:587", From: "a@else.example", DKIM: &DKIM{Domain: "owner.example", Selector: "s", Key: rsaKey()}})
	if err == nil || !strings.Contains(err.Error(), "does not speak for") {
		t.Errorf("got %v", err)
	}
}

func TestParseKey(t *testing.T) {
	pkcs8, err := x509.MarshalPKCS8PrivateKey(rsaKey())
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range []*pem.Block{
		{Type: "PRIVATE KEY", Bytes: pkcs8}, {Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(rsaKey())},
	} {
		if key, err := ParseKey(pem.EncodeToMemory(block)); err != nil || !rsaKey().Equal(key) {
			t.Errorf("%s: %v", block.Type, err)
		}
	}
	for _, bad := range []string{"", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"} {
		if _, err := ParseKey([]byte(bad)); err == nil {
			t.Errorf("%q is a key", bad)
		}
	}
}

func TestSecretIsNeverPrinted(t *testing.T) {
	c := Config{Password: "open sesame"}
	for _, s := range []string{fmt.Sprint(c), fmt.Sprintf("%+v %#v %s %q", c, c, c.Password, c.Password)} {
		if strings.Contains(s, "sesame") {
			t.Errorf("printed: %s", s)
		}
	}
}
