//go:build !small

package main

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/config"
	"github.com/tocsin-io/tocsin/dossier"
	"github.com/tocsin-io/tocsin/hub"
	"github.com/tocsin-io/tocsin/incident"
	"github.com/tocsin-io/tocsin/internal/clock"
	"github.com/tocsin-io/tocsin/internal/run"
	"github.com/tocsin-io/tocsin/mail"
	news "github.com/tocsin-io/tocsin/notify" // notify tells systemd here
	"github.com/tocsin-io/tocsin/rdap"
)

// answering is what a hub has besides, to answer to attacks.
type answering struct {
	part     *incident.Part
	notifier *news.Notifier
}

// openAnswering makes it of the hub's configuration.
func openAnswering(cfg config.Hub, clk *clock.Clock, db incident.Store, h *hub.Hub, log *slog.Logger) (a answering, err error) {
	in := cfg.Incident
	deps := incident.Deps{Store: db, Fleet: h, Log: log, Clock: clk}
	var notice news.MailFunc
	if in.Mail.Server != "" {
		sender, err := openMail(in.Mail)
		if err != nil {
			return a, err
		}
		deps.Sender, notice = sender, sender.Notice
	}
	finder, err := openRDAP(cfg, clk.Now)
	if err != nil {
		return a, err
	}
	if deps.Finder = finder; in.RDAP.Off {
		deps.Finder = ownContacts{finder, cfg, clk.Now}
	}
	if a.notifier, err = openNotifier(cfg, notice, log); err != nil {
		return a, err
	}
	if len(in.Recipients) > 0 {
		deps.Notify, deps.Test = a.notifier.Notify, a.notifier.Test
	}
	domain := in.Domain
	if _, of, ok := strings.Cut(in.Contact, "@"); ok && domain == "" {
		domain = of
	}
	settings := incident.Config{
		Party:  dossier.Party{Org: in.Organisation, Contact: in.Contact, Domain: domain},
		Vendor: in.Vendor, Keep: in.Keep, Console: in.Console, Maildir: in.Mail.Maildir, Silent: in.Silent, Spare: cfg.Allow, Flows: in.RequireFlows,
	}
	for _, o := range in.Disclose {
		settings.Disclose = append(settings.Disclose, tocsin.OwnerID(o))
	}
	for _, l := range in.Languages {
		settings.Language = append(settings.Language, dossier.Language(l))
	}
	a.part, err = incident.New(settings, deps)
	return a, err
}

// parts are what runs beside the hub.
func (a answering) parts() []run.Part {
	return []run.Part{{Name: "incident", Run: a.part.Run}, {Name: "notifications", Run: a.notifier.Run}}
}

// mailTLS are the words of mail.tls.
var mailTLS = map[string]mail.TLS{"starttls": mail.StartTLS, "implicit": mail.Implicit, "none": mail.Cleartext}

func openMail(m config.Mail) (*mail.Sender, error) {
	c := mail.Config{
		Server: m.Server, TLS: mailTLS[m.TLS], User: m.User, Hello: m.Hello, From: m.From, ReplyTo: m.ReplyTo,
	}
	var err error
	if c.Roots, err = roots(m.CA); err != nil {
		return nil, fmt.Errorf("mail.ca: %w", err)
	}
	if m.PasswordFile != "" {
		b, err := os.ReadFile(m.PasswordFile)
		if err != nil {
			return nil, fmt.Errorf("mail.password_file: %w", err)
		}
		c.Password = mail.Secret(strings.TrimRight(string(b), "\r\n"))
	}
	if m.DKIMDomain != "" {
		raw, err := os.ReadFile(m.DKIMKey)
		if err != nil {
			return nil, fmt.Errorf("mail.dkim_key: %w", err)
		}
		key, err := mail.ParseKey(raw)
		if err != nil {
			return nil, fmt.Errorf("mail.dkim_key: %s: %w", m.DKIMKey, err)
		}
		c.DKIM = &mail.DKIM{Domain: m.DKIMDomain, Selector: m.DKIMSelector, Key: key}
	}
	return mail.NewSender(c)
}

// roots reads who may vouch for a server; "" is the system's.
func roots(path string) (*x509.CertPool, error) {
	if path == "" {
		return nil, nil
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(b) {
		return nil, fmt.Errorf("%s holds no certificate in PEM", path)
	}
	return pool, nil
}

func openRDAP(cfg config.Hub, now func() time.Time) (*rdap.Client, error) {
	r := cfg.Incident.RDAP
	c := rdap.Config{
		Folder: filepath.Join(cfg.Folder, "rdap"), Bootstrap: r.Bootstrap, Contacts: map[netip.Prefix][]rdap.Override{},
		AbuseContact: r.AbuseContact, AbuseFinder: r.Finder, Local: r.Local, Agent: r.Agent, Now: now,
	}
	var err error
	if c.Roots, err = roots(r.CA); err != nil {
		return nil, fmt.Errorf("rdap.ca: %w", err)
	}
	for _, line := range r.Contacts {
		prefix, address, _ := strings.Cut(line, " ")
		p, err := config.ParsePrefix(prefix)
		if err != nil {
			return nil, fmt.Errorf("rdap.contacts: %w", err)
		}
		c.Contacts[p] = append(c.Contacts[p], rdap.Override{Mail: strings.TrimSpace(address), Note: "set in the hub's file"})
	}
	return rdap.New(c)
}

// ownContacts asks no registry: whom the hub's file does not name nobody knows.
type ownContacts struct {
	*rdap.Client
	cfg config.Hub
	now func() time.Time
}

func (o ownContacts) Contact(ctx context.Context, a netip.Addr) (rdap.Contact, error) {
	for _, line := range o.cfg.Incident.RDAP.Contacts {
		prefix, _, _ := strings.Cut(line, " ")
		if p, err := config.ParsePrefix(prefix); err == nil && p.Contains(a) {
			return o.Client.Contact(ctx, a)
		}
	}
	return rdap.Contact{Subject: a.String(), At: o.now()}, rdap.ErrNobody
}

func openNotifier(cfg config.Hub, notice news.MailFunc, log *slog.Logger) (*news.Notifier, error) {
	in := cfg.Incident
	c := news.Config{Window: in.Window, PerHour: in.PerHour, Folder: filepath.Join(cfg.Folder, "notify")}
	var errs []error
	for _, one := range in.Recipients {
		r := news.Recipient{Name: one.Name, Mail: one.Mail}
		for _, word := range one.Kinds {
			var k news.Kind
			if err := k.UnmarshalText([]byte(word)); err != nil {
				errs = append(errs, fmt.Errorf("[[notify]] %q: kinds: %w", one.Name, err))
			}
			r.Kinds = append(r.Kinds, k)
		}
		if one.URL != "" {
			secret, err := os.ReadFile(one.SecretFile)
			if err != nil {
				errs = append(errs, fmt.Errorf("[[notify]] %q: secret_file: %w", one.Name, err))
			}
			pool, err := roots(one.CA)
			if err != nil {
				errs = append(errs, fmt.Errorf("[[notify]] %q: ca: %w", one.Name, err))
			}
			r.Hook = &news.Hook{URL: one.URL, Secret: bytes.TrimRight(secret, "\r\n"), Roots: pool, Plain: one.Plain}
		}
		c.Recipients = append(c.Recipients, r)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return news.New(c, notice, log)
}
