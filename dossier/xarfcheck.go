package dossier

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/mail"
	"net/netip"
	"regexp"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/tocsin-io/tocsin/takedown"
)

// Limits of a report: of the format, and below them our own.
const (
	maxOrg          = 200  // letters
	maxDescription  = 1000 // letters
	maxItemText     = 500  // letters
	maxItems        = 50
	maxTags         = 20
	MaxItem         = 256 << 10 // bytes of one piece of evidence
	MaxReport       = 1 << 20   // bytes of all evidence of a report, as it is encoded
	hashPrefix      = "sha256:"
	hostnameLetters = 253
)

var (
	tag      = regexp.MustCompile(`^[a-z0-9][a-z0-9_+-]*:[a-z0-9][a-z0-9_+-]*$`)
	hostname = regexp.MustCompile(`^([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$`)
)

// Check reports what is wrong with a, also where the official schema would not.
func (a *LoginAttack) Check() error {
	errs := []error{a.Core.check("connection", "login_attack"), period(a.FirstSeen, a.LastSeen)}
	if a.Protocol != "tcp" && a.Protocol != "udp" {
		errs = append(errs, fmt.Errorf("protocol %q: want tcp or udp", a.Protocol))
	}
	if _, err := netip.ParseAddr(a.Source); err == nil && a.SourcePort == 0 {
		errs = append(errs, errNoPort)
	}
	return errors.Join(errs...)
}

// Check reports what is wrong with b.
func (b *Botnet) Check() error {
	errs := []error{b.Core.check("infrastructure", "botnet"), period(b.FirstSeen, b.LastSeen)}
	if b.CompromiseEvidence == "" {
		errs = append(errs, errors.New("compromise_evidence is missing"))
	}
	if b.C2Protocol != "tcp" && b.C2Protocol != "udp" && b.C2Protocol != "custom" {
		errs = append(errs, fmt.Errorf("c2_protocol %q: want tcp, udp or custom", b.C2Protocol))
	}
	return errors.Join(errs...)
}

// Check reports what is wrong with c.
func (c *CompromisedServer) Check() error {
	errs := []error{c.Core.check("infrastructure", "compromised_server"), period(c.FirstSeen, c.LastSeen)}
	if c.CompromiseMethod == "" {
		errs = append(errs, errors.New("compromise_method is missing"))
	}
	return errors.Join(errs...)
}

// period checks the times between which something was seen.
func period(first, last string) error {
	a, err := instant(first)
	if err != nil {
		return fmt.Errorf("first_seen: %w", err)
	}
	b, err := instant(last)
	if err != nil {
		return fmt.Errorf("last_seen: %w", err)
	}
	if b.Before(a) {
		return fmt.Errorf("last_seen %s is before first_seen %s", last, first)
	}
	return nil
}

// instant reads a time that must be in UTC.
func instant(s string) (time.Time, error) {
	t, err := time.Parse("2006-01-02T15:04:05Z", s)
	if err == nil && t.Year() < 1990 {
		return t, fmt.Errorf("%q is no time of an attack", s)
	}
	return t, err
}

func (c *Core) check(category, kind string) error {
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.Version != Version {
		wrong("xarf_version %q: want %s", c.Version, Version)
	}
	if _, err := uuid.Parse(c.ReportID); err != nil || len(c.ReportID) != 36 {
		wrong("report_id %q is no UUID", takedown.OneLine(c.ReportID, 40))
	}
	if _, err := instant(c.Timestamp); err != nil {
		wrong("timestamp: %w", err)
	}
	if c.Category != category || c.Type != kind {
		wrong("category %q and type %q: want %s and %s", c.Category, c.Type, category, kind)
	}
	if err := source(c.Source); err != nil {
		errs = append(errs, err)
	}
	if len(c.Tags) > maxTags {
		wrong("%d tags: want at most %d", len(c.Tags), maxTags)
	}
	for _, t := range c.Tags {
		if !tag.MatchString(t) {
			wrong("tag %q: want namespace:value", takedown.OneLine(t, 60))
		}
	}
	if !(c.Confidence >= 0 && c.Confidence <= 1) {
		wrong("confidence %g: want 0 to 1", c.Confidence)
	}
	if err := prose("description", c.Description, maxDescription); err != nil {
		errs = append(errs, err)
	}
	errs = append(errs, c.Reporter.check("reporter"), c.Sender.check("sender"), checkItems(c.Evidence))
	return errors.Join(errs...)
}

// source checks what the official schema lets pass: an address that is none.
func source(s string) error {
	if a, err := netip.ParseAddr(s); err == nil {
		if !takedown.Public(a) || a.Is4In6() || a.String() != s {
			return fmt.Errorf("source_identifier %s belongs to no provider", s)
		}
		return nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil || !p.Addr().Is6() || p.Bits() < 64 || p != p.Masked() || !takedown.Public(p.Addr()) {
		return fmt.Errorf("source_identifier %q is neither an address nor a /64 of IPv6", takedown.OneLine(s, 60))
	}
	return nil
}

// prose checks a text for people: its length in letters, and that it holds
// nothing that is unseen.
func prose(name, s string, limit int) error {
	if n := utf8.RuneCountInString(s); n > limit {
		return fmt.Errorf("%s has %d letters: want at most %d", name, n, limit)
	}
	if s != takedown.OneLine(s, len(s)) {
		return fmt.Errorf("%s %q holds control characters", name, takedown.OneLine(s, 60))
	}
	return nil
}

func (p Party) check(name string) error {
	errs := []error{prose(name+" org", p.Org, maxOrg)}
	if p.Org == "" {
		errs = append(errs, fmt.Errorf("%s: say which organisation", name))
	}
	a, err := mail.ParseAddress(p.Contact)
	if err != nil || a.Address != p.Contact || len(p.Contact) > takedown.MaxName {
		errs = append(errs, fmt.Errorf("%s: contact %q is no address of mail", name, takedown.OneLine(p.Contact, 60)))
	}
	if !hostname.MatchString(p.Domain) || len(p.Domain) > hostnameLetters {
		errs = append(errs, fmt.Errorf("%s: %q is no domain", name, takedown.OneLine(p.Domain, 60)))
	}
	return errors.Join(errs...)
}

// checkItems looks into the payloads: the schema compares neither size nor hash
// with them.
func checkItems(items []Item) error {
	if len(items) > maxItems {
		return fmt.Errorf("%d pieces of evidence: want at most %d", len(items), maxItems)
	}
	var errs []error
	total := 0
	for i, it := range items {
		name := fmt.Sprintf("evidence %d", i)
		total += len(it.Payload)
		if err := prose(name+": description", it.Description, maxItemText); err != nil {
			errs = append(errs, err)
		}
		if it.ContentType == "" {
			errs = append(errs, fmt.Errorf("%s: content_type is missing", name))
		}
		if len(it.Payload) > base64.StdEncoding.EncodedLen(MaxItem) || it.Size > MaxItem {
			errs = append(errs, fmt.Errorf("%s: more than %d bytes", name, MaxItem))
			continue
		}
		content, err := base64.StdEncoding.Strict().DecodeString(it.Payload)
		h := sha256.Sum256(content)
		switch {
		case err != nil:
			errs = append(errs, fmt.Errorf("%s: payload: %w", name, err))
		case len(content) == 0 || len(content) != it.Size:
			errs = append(errs, fmt.Errorf("%s: size %d, want %d", name, it.Size, len(content)))
		case !bytes.Equal([]byte(it.Hash), []byte(hashPrefix+hex.EncodeToString(h[:]))):
			errs = append(errs, fmt.Errorf("%s: hash %q is not the SHA-256 of its payload", name, takedown.OneLine(it.Hash, 80)))
		}
	}
	if total > MaxReport {
		errs = append(errs, fmt.Errorf("evidence of %d bytes: want at most %d", total, MaxReport))
	}
	return errors.Join(errs...)
}
