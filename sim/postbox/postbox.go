// Package postbox is a mail server for trials: it takes every letter, keeps each
// as a file, delivers none, and can have each come back as undeliverable. It
// listens on this machine only, and writes to nobody.
package postbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/mail"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/emersion/go-smtp"
)

// Bounds of what is taken.
const (
	MaxLetter  = 4 << 20 // bytes
	MaxLetters = 10_000
)

// A Config says where letters come and go.
type Config struct {
	Listen  string       // address of the loopback
	Out     string       // folder that letters are kept in, numbered
	Bounces string       // Maildir that each comes back to; "" is none
	Took    func(Letter) // told of each
	Ready   func(address string)
}

// A Letter is one that was taken.
type Letter struct {
	To      string `json:"to"`
	Subject string `json:"subject"`
	File    string `json:"file"`
	Bounce  string `json:"bounce,omitempty"`
}

// Run takes letters until ctx ends.
func Run(ctx context.Context, c Config) error {
	at, err := netip.ParseAddrPort(c.Listen)
	if err != nil || !at.Addr().IsLoopback() {
		return fmt.Errorf("listen %q: write an address of the loopback, such as 127.0.0.1:2525: it is for trials on one machine", c.Listen)
	}
	p := &postbox{cfg: c}
	folders := []string{c.Out}
	if c.Bounces != "" {
		for _, sub := range []string{"tmp", "new", "cur"} {
			folders = append(folders, filepath.Join(c.Bounces, sub))
		}
	}
	for _, dir := range folders {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	l, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return err
	}
	s := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &session{box: p}, nil }))
	s.Domain, s.MaxMessageBytes, s.MaxRecipients = "localhost", MaxLetter, 50
	s.ReadTimeout, s.WriteTimeout = time.Minute, time.Minute
	stop := context.AfterFunc(ctx, func() { _ = s.Close() }) // ends Serve
	defer stop()
	if c.Ready != nil {
		c.Ready(l.Addr().String())
	}
	if err := s.Serve(l); err != nil && ctx.Err() == nil {
		return err
	}
	return nil
}

type postbox struct {
	cfg Config
	mu  sync.Mutex // guards the field below
	n   int
}

// keep writes a letter down, and what comes back for it.
func (p *postbox) keep(to []string, raw []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.n >= MaxLetters {
		return &smtp.SMTPError{Code: 452, EnhancedCode: smtp.EnhancedCode{4, 3, 1}, Message: "the box is full"}
	}
	p.n++
	name := fmt.Sprintf("%04d.eml", p.n)
	l := Letter{To: strings.Join(to, ", "), File: filepath.Join(p.cfg.Out, name)}
	if err := write(filepath.Join(p.cfg.Out, "."+name), l.File, raw); err != nil {
		return err
	}
	m, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		return &smtp.SMTPError{Code: 554, EnhancedCode: smtp.EnhancedCode{5, 6, 0}, Message: "that is no letter"}
	}
	l.Subject = m.Header.Get("Subject")
	if p.cfg.Bounces != "" {
		l.Bounce = filepath.Join(p.cfg.Bounces, "new", name)
		if err := write(filepath.Join(p.cfg.Bounces, "tmp", name), l.Bounce, bounce(to, m.Header)); err != nil {
			return err
		}
	}
	if p.cfg.Took != nil {
		p.cfg.Took(l)
	}
	return nil
}

// write makes a file that is whole as soon as it is there.
func write(draft, name string, b []byte) error {
	return errors.Join(os.WriteFile(draft, b, 0o600), os.Rename(draft, name))
}

// bounce is what a mail server sends back when nobody has that address.
func bounce(to []string, h mail.Header) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "Return-Path: <>\nFrom: MAILER-DAEMON@localhost\nTo: %s\nSubject: Undelivered Mail Returned to Sender\n"+
		"Auto-Submitted: auto-replied\nMIME-Version: 1.0\n"+
		"Content-Type: multipart/report; report-type=delivery-status; boundary=\"B\"\n\n"+
		"--B\nContent-Type: text/plain\n\nNobody has that address.\n\n"+
		"--B\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; localhost\n", h.Get("From"))
	for _, one := range to {
		fmt.Fprintf(&b, "\nFinal-Recipient: rfc822; %s\nAction: failed\nStatus: 5.1.1\nDiagnostic-Code: smtp; 550 5.1.1 User unknown\n", one)
	}
	fmt.Fprintf(&b, "\n--B\nContent-Type: text/rfc822-headers\n\nMessage-Id: %s\n\n--B--\n", h.Get("Message-Id"))
	return bytes.ReplaceAll(b.Bytes(), []byte("\n"), []byte("\r\n"))
}

// session is one connection.
type session struct {
	box *postbox
	to  []string
}

func (s *session) Mail(string, *smtp.MailOptions) error { s.to = nil; return nil }
func (s *session) Reset()                               { s.to = nil }
func (s *session) Logout() error                        { return nil }

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.to = append(s.to, to)
	return nil
}

func (s *session) Data(r io.Reader) error {
	raw, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	return s.box.keep(s.to, raw)
}
