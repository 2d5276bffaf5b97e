// Package rdap finds whom to write to about an address: it asks the registry
// that gave the address out, and keeps what that answered as evidence.
//
// It promises one polite question at a time, bounds on everything a server may
// answer, and that nothing but public servers is ever contacted: no redirect
// leads into the network that this machine stands in. Where a registry cannot be
// reached it goes on with what it knows, and says how old that is.
//
// Whoever is asked learns which address is of interest. So nothing is asked
// unless [Client.Contact] or [Client.ContactAS] is called, and they are to be
// called for the address of a case only, never for every source of a fleet. No
// look-up says what was seen, where, or by whom. Nobody but registries is asked:
// the address itself is never contacted.
package rdap

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// IANA is where the lists of registries are published (RFC 9224).
const IANA = "https://data.iana.org/rdap/"

// Config is what a [Client] needs. The zero value asks the public registries and
// remembers in memory only.
type Config struct {
	Folder    string                      // keeps the lists of registries and the answers; "" keeps them in memory
	Bootstrap []string                    // base URLs of the lists of registries, tried in order; empty is [IANA]
	Contacts  map[netip.Prefix][]Override // the owner's word: the longest prefix wins, and nobody is asked

	// Base URLs of two services in the shape of RIPE's, asked in this order where
	// the registry names nobody; "" is off. RIPE's own are
	// https://rest.db.ripe.net/ and https://stat.ripe.net/.
	AbuseContact string
	AbuseFinder  string

	Roots     *x509.CertPool   // who may vouch for a server; nil is the system's
	Local     []netip.Prefix   // servers that are not public and may be asked all the same: a mirror of one's own. By number also without TLS
	Agent     string           // how the client names itself, for instance with an address for questions
	PerMinute int              // questions to one server; 0 is 20
	Timeout   time.Duration    // for one question, redirects included; 0 is 20 s
	Now       func() time.Time // nil is the wall clock
}

// An Override is one mail address that the owner set, and why.
type Override struct {
	Mail string
	Note string
}

// Limits of what is taken from others. Larger answers are refused whole.
const (
	MaxAnswer    = 512 << 10        // bytes of one answer
	maxList      = 4 << 20          // bytes of one list of registries
	maxRedirects = 3                // from one registry to the next
	freshFor     = 24 * time.Hour   // an answer, and a list of registries
	staleFor     = 90 * freshFor    // how old an answer may be that stands in for a registry that is down
	retryAfter   = 10 * time.Minute // between two tries to fetch a list
	maxPatience  = time.Hour        // the longest pause that a server may ask for
)

// Where a contact was found.
const (
	ByOwner    = "owner"    // set by hand
	ByRegistry = "registry" // by RDAP
	ByFinder   = "finder"   // by one of the two services of [Config]
)

// A Contact is whom to write to, and how that is known.
type Contact struct {
	Subject   string       `json:"subject"`           // the address, or "AS64500"
	Mails     []string     `json:"mails"`             // of those who handle abuse, best first: plain addresses, checked
	Found     string       `json:"found"`             // [ByOwner], [ByRegistry] or [ByFinder]
	Network   netip.Prefix `json:"network,omitzero"`  // of the answer, as far as it holds the address
	Name      string       `json:"name,omitempty"`    // what the registry calls the network: hostile, as all that follows
	Holder    string       `json:"holder,omitempty"`  // who has it
	Country   string       `json:"country,omitempty"` // as registered: not where the machine stands
	Others    []string     `json:"others,omitempty"`  // mail addresses with other roles, such as "technical: noc@example.net": for a person to choose
	Forms     []string     `json:"forms,omitempty"`   // web pages of those who handle abuse
	Remarks   []string     `json:"remarks,omitempty"` // what the registry wrote: often how reports are wanted
	Notes     []string     `json:"notes,omitempty"`   // what this client has to say about its answer, such as its age
	URL       string       `json:"url,omitempty"`     // what answered in the end
	At        time.Time    `json:"at"`                // when it answered
	Raw       []byte       `json:"raw,omitempty"`     // the answer, whole: evidence
	Digest    [32]byte     `json:"digest"`            // SHA-256 of Raw
	Stale     bool         `json:"stale,omitempty"`   // older than a day, and nobody could be asked
	Registry  string       `json:"registry,omitempty"`
	ListsFrom time.Time    `json:"lists_from,omitzero"` // when the list of registries was fetched
}

// ErrNobody says that the registry answered and names nobody for abuse. The
// contact that comes with it has the evidence, and others to choose from.
var ErrNobody = errors.New("no abuse contact is registered")

// advice ends every error: what a person can do.
const advice = "name the contact by hand ([[rdap.contact]] in the hub's file), or try again later"

// A Client asks registries. It is safe for concurrent use; questions are asked
// one after the other.
type Client struct {
	cfg     Config
	http    *http.Client
	now     func() time.Time
	turn    chan struct{} // held by whoever asks: guards the fields below
	lists   map[string]*list
	answers *answers
	servers map[string]*bucket
}

// New returns a client. The error names every mistake of cfg.
func New(cfg Config) (*Client, error) {
	if len(cfg.Bootstrap) == 0 {
		cfg.Bootstrap = []string{IANA}
	}
	if cfg.PerMinute <= 0 {
		cfg.PerMinute = 20
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = 20 * time.Second
	}
	if cfg.Agent == "" {
		cfg.Agent = "tocsin"
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	c := &Client{
		cfg: cfg, now: cfg.Now, turn: make(chan struct{}, 1),
		lists: map[string]*list{}, servers: map[string]*bucket{},
	}
	if err := c.check(); err != nil {
		return nil, err
	}
	c.http = c.transport()
	var err error
	c.answers, err = openAnswers(cfg.Folder)
	return c, err
}

func (c *Client) check() error {
	var errs []error
	bases := slices.Concat(c.cfg.Bootstrap, []string{c.cfg.AbuseContact, c.cfg.AbuseFinder})
	for _, base := range bases {
		if _, err := c.parse(base); base != "" && err != nil {
			errs = append(errs, err)
		}
	}
	for p, list := range c.cfg.Contacts {
		if !p.IsValid() || p != p.Masked() || len(list) == 0 {
			errs = append(errs, fmt.Errorf("rdap: contact of %v: needs a network, such as 192.0.2.0/24, and an address", p))
		}
		for _, o := range list {
			if !validMail(o.Mail) {
				errs = append(errs, fmt.Errorf("rdap: contact of %v: %q is not a plain mail address", p, o.Mail))
			}
		}
	}
	return errors.Join(errs...)
}

// Contact finds whom to write to about a. Where the registry names nobody it
// returns [ErrNobody] with the contact. A registry that is down, slow or wrong
// gives an error, or an older answer that says so.
func (c *Client) Contact(ctx context.Context, a netip.Addr) (Contact, error) {
	s := subject{addr: a.Unmap().WithZone("")}
	if err := s.check(); err != nil {
		return Contact{}, err
	}
	if found, ok := c.override(s.addr); ok {
		return found, nil
	}
	return c.look(ctx, s)
}

// ContactAS finds whom to write to about an autonomous system, for instance the
// one above a provider that does not answer.
func (c *Client) ContactAS(ctx context.Context, number uint32) (Contact, error) {
	s := subject{as: number}
	if err := s.check(); err != nil {
		return Contact{}, err
	}
	return c.look(ctx, s)
}

func (c *Client) override(a netip.Addr) (Contact, bool) {
	best := netip.Prefix{}
	for p := range c.cfg.Contacts {
		if p.Contains(a) && (!best.IsValid() || p.Bits() > best.Bits()) {
			best = p
		}
	}
	if !best.IsValid() {
		return Contact{}, false
	}
	found := Contact{Subject: a.String(), Found: ByOwner, Network: best, At: c.now(), Digest: sha256.Sum256(nil)}
	for _, o := range c.cfg.Contacts[best] {
		found.Mails = append(found.Mails, strings.TrimSpace(o.Mail))
		if o.Note != "" {
			found.Notes = append(found.Notes, clean(o.Note, maxText))
		}
	}
	return found, true
}

// look answers from memory where that is fresh, and asks otherwise.
func (c *Client) look(ctx context.Context, s subject) (Contact, error) {
	select {
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
	case <-ctx.Done():
		return Contact{}, fmt.Errorf("rdap: %s: others are being asked: %w", s, ctx.Err())
	}
	old, known := c.answers.find(s)
	age := c.now().Sub(old.At)
	if known && age < freshFor {
		old.Subject = s.String()
		return old, nobody(old)
	}
	found, err := c.ask(ctx, s)
	if err == nil {
		if err := c.answers.keep(s, found); err != nil {
			found.Notes = append(found.Notes, "the answer is in memory only: "+err.Error())
		}
		return found, nobody(found)
	}
	if known && age < staleFor {
		old.Subject, old.Stale = s.String(), true
		old.Notes = append(slices.Clone(old.Notes),
			fmt.Sprintf("answer of %s, %s old: %v", old.At.UTC().Format(time.RFC3339), days(age), err))
		return old, nobody(old)
	}
	return Contact{}, fmt.Errorf("rdap: %s: %w; %s", s, err, advice)
}

func nobody(c Contact) error {
	if len(c.Mails) > 0 {
		return nil
	}
	return fmt.Errorf("rdap: %s: %w; %s", c.Subject, ErrNobody, advice)
}

// ask asks the registry, and then, as far as they are switched on, the services
// that know more about some networks than their registry tells.
func (c *Client) ask(ctx context.Context, s subject) (Contact, error) {
	found, err := c.askRegistry(ctx, s)
	if err == nil && len(found.Mails) > 0 || !s.addr.IsValid() {
		return found, err
	}
	if err != nil {
		found.Notes = append(found.Notes, clean(err.Error(), maxText))
	}
	for _, f := range c.finders() {
		more, ferr := c.askFinder(ctx, f, s)
		if ferr != nil {
			if err != nil {
				err = fmt.Errorf("%w; %w", err, ferr)
			}
			found.Notes = append(found.Notes, clean(ferr.Error(), maxText))
			continue
		}
		more.Name, more.Holder, more.Country = found.Name, found.Holder, found.Country
		more.Others, more.Forms, more.Remarks = found.Others, found.Forms, found.Remarks
		more.Notes, more.Registry, more.ListsFrom = found.Notes, found.Registry, found.ListsFrom
		return more, nil
	}
	return found, err
}

func (c *Client) askRegistry(ctx context.Context, s subject) (Contact, error) {
	base, l, err := c.registry(ctx, s)
	if err != nil {
		return Contact{}, err
	}
	got, err := c.get(ctx, base+s.path(), MaxAnswer)
	if err != nil {
		return Contact{}, err
	}
	found, err := parseAnswer(got.body, s)
	if err != nil {
		return Contact{}, fmt.Errorf("%s: %w", got.url, err)
	}
	found.URL, found.At, found.Registry, found.ListsFrom = got.url, got.at, base, l.fetched
	if l.failure != nil {
		found.Notes = append(found.Notes, fmt.Sprintf("the list of registries is %s old: %v", days(c.now().Sub(l.fetched)), l.failure))
	}
	return found, nil
}

func days(d time.Duration) string {
	if d < 48*time.Hour {
		return fmt.Sprintf("%d hours", int(d.Hours()))
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}
