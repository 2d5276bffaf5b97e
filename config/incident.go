package config

import (
	"net/netip"
	"strings"
	"time"
)

// Incident is what the hub's file says about answering attacks: who complains, by
// which server, whom to ask, and who is told.
type Incident struct {
	Organisation string // who complains at providers, and writes to owners
	Contact      string // mail address that people of it read
	Domain       string
	Languages    []string // of letters to providers, the usual one first
	Keep         time.Duration
	Vendor       []netip.Prefix
	Disclose     []string
	Console      string
	Silent       time.Duration
	RequireFlows bool

	Mail       Mail
	RDAP       RDAP
	Window     time.Duration // of notifications: what comes within it makes one message
	PerHour    int           // messages of one kind to one recipient
	Recipients []Recipient
}

// Mail is the server that letters leave by.
type Mail struct {
	Server, TLS, CA, User, PasswordFile, Hello, From, ReplyTo string
	DKIMDomain, DKIMSelector, DKIMKey                         string
	Maildir                                                   string // where answers arrive
}

// RDAP is how contacts at providers are found.
type RDAP struct {
	Bootstrap            []string
	Contacts             []string // "PREFIX ADDRESS"
	AbuseContact, Finder string
	Local                []netip.Prefix
	CA, Agent            string
	Off                  bool
}

// A Recipient is told of what happens: by mail or by a webhook.
type Recipient struct {
	Name, Mail, URL, SecretFile, CA string
	Plain                           bool
	Kinds                           []string
	line                            int
}

// recipientKeys are the keys of a [[notify]] table.
var recipientKeys = []setting[Hub]{
	{"name", "what people call it; each has its own", func(c *Hub) any { return &c.lastRecipient().Name }},
	{"mail", "address that gets the messages; needs [mail]", func(c *Hub) any { return &c.lastRecipient().Mail }},
	{"url", "or a webhook that gets them, signed", func(c *Hub) any { return &c.lastRecipient().URL }},
	{"secret_file", "file of the secret that signs them, at least 16 bytes", func(c *Hub) any { return &c.lastRecipient().SecretFile }},
	{"ca", "file of who vouches for the webhook's server, in PEM; empty is the system's", func(c *Hub) any { return &c.lastRecipient().CA }},
	{"plain", "allow the webhook without TLS on another machine", func(c *Hub) any { return &c.lastRecipient().Plain }},
	{"kinds", "kinds of messages, see notifications; empty is all", func(c *Hub) any { return &c.lastRecipient().Kinds }},
}

func (c *Hub) lastRecipient() *Recipient {
	return &c.Incident.Recipients[len(c.Incident.Recipients)-1]
}

// DefaultIncident returns what an empty file means.
func DefaultIncident() Incident {
	return Incident{
		Languages: []string{"en"}, Keep: 14 * 24 * time.Hour, Silent: time.Hour,
		Mail: Mail{TLS: "starttls"}, Window: time.Minute, PerHour: 6,
	}
}

// incidentSettings are the keys of it, in the order of the sample file.
var incidentSettings = []setting[Hub]{
	{"incident.organisation", "who complains at providers and writes to owners; needed before anything is sent", func(c *Hub) any { return &c.Incident.Organisation }},
	{"incident.contact", "mail address of it that people read", func(c *Hub) any { return &c.Incident.Contact }},
	{"incident.domain", "its domain; empty is that of the contact", func(c *Hub) any { return &c.Incident.Domain }},
	{"incident.languages", `of letters to providers, the usual one first: "en", "fr", "de"`, func(c *Hub) any { return &c.Incident.Languages }},
	{"incident.keep", "how far back evidence is looked at", func(c *Hub) any { return &c.Incident.Keep }},
	{"incident.vendor", "servers of vendors, of time and names: never controllers", func(c *Hub) any { return &c.Incident.Vendor }},
	{"incident.disclose", "owners who agreed that a full dossier tells their addresses and models", func(c *Hub) any { return &c.Incident.Disclose }},
	{"incident.console", `base of the links in notifications, such as "https://hub.example.org:7443/console/"; empty gives none`, func(c *Hub) any { return &c.Incident.Console }},
	{"incident.silent", "after which a device counts as silent", func(c *Hub) any { return &c.Incident.Silent }},
	{"incident.require_flows", "a device whose outgoing connections were not read counts as unknown, never as clean", func(c *Hub) any { return &c.Incident.RequireFlows }},

	{"mail.server", `where letters leave, such as "mail.example.net:587"; empty sends none`, func(c *Hub) any { return &c.Incident.Mail.Server }},
	{"mail.tls", `"starttls", "implicit", or "none" for a server on this machine`, func(c *Hub) any { return &c.Incident.Mail.TLS }},
	{"mail.ca", "file of who vouches for the server, in PEM; empty is the system's", func(c *Hub) any { return &c.Incident.Mail.CA }},
	{"mail.user", "name to log in with; empty does not", func(c *Hub) any { return &c.Incident.Mail.User }},
	{"mail.password_file", "file that holds the password", func(c *Hub) any { return &c.Incident.Mail.PasswordFile }},
	{"mail.hello", "how this machine names itself; empty is the domain of from", func(c *Hub) any { return &c.Incident.Mail.Hello }},
	{"mail.from", `sender, such as "Example CSIRT <csirt@example.net>": bounces come there`, func(c *Hub) any { return &c.Incident.Mail.From }},
	{"mail.reply_to", "where answers are read; empty is from", func(c *Hub) any { return &c.Incident.Mail.ReplyTo }},
	{"mail.dkim_domain", "domain of the signature (DKIM); empty signs nothing", func(c *Hub) any { return &c.Incident.Mail.DKIMDomain }},
	{"mail.dkim_selector", "its selector", func(c *Hub) any { return &c.Incident.Mail.DKIMSelector }},
	{"mail.dkim_key", "file of its private key, in PEM", func(c *Hub) any { return &c.Incident.Mail.DKIMKey }},
	{"mail.maildir", "Maildir where answers and bounces arrive; empty reads none", func(c *Hub) any { return &c.Incident.Mail.Maildir }},

	{"rdap.off", "ask no registry: contacts are those below, or named by hand", func(c *Hub) any { return &c.Incident.RDAP.Off }},
	{"rdap.contacts", `your own contacts, which win: ["203.0.113.0/24 abuse@example.net"]`, func(c *Hub) any { return &c.Incident.RDAP.Contacts }},
	{"rdap.bootstrap", "base URLs of the lists of registries; empty is IANA's", func(c *Hub) any { return &c.Incident.RDAP.Bootstrap }},
	{"rdap.abuse_contact", `a service to ask where the registry names nobody, such as "https://rest.db.ripe.net/"; empty is off`, func(c *Hub) any { return &c.Incident.RDAP.AbuseContact }},
	{"rdap.abuse_finder", `another, such as "https://stat.ripe.net/"; empty is off`, func(c *Hub) any { return &c.Incident.RDAP.Finder }},
	{"rdap.local", "servers that are not public and may be asked all the same: a mirror of your own", func(c *Hub) any { return &c.Incident.RDAP.Local }},
	{"rdap.ca", "file of who vouches for such servers, in PEM; empty is the system's", func(c *Hub) any { return &c.Incident.RDAP.CA }},
	{"rdap.agent", "how the hub names itself to registries", func(c *Hub) any { return &c.Incident.RDAP.Agent }},

	{"notifications.window", "what comes within it makes one message", func(c *Hub) any { return &c.Incident.Window }},
	{"notifications.per_hour", "messages of one kind to one recipient; the rest comes as a digest", func(c *Hub) any { return &c.Incident.PerHour }},
}

var incidentTables = []string{"incident", "mail", "rdap", "notifications"}

// notifySample shows the list of recipients in the sample file.
const notifySample = `
# Who is told of what happens: by mail, or by a webhook whose messages are signed.
#[[notify]]
#name = "on call"
#mail = "oncall@example.net"
#kinds = []                 # empty is all: see docs/notifications.md
#[[notify]]
#name = "chat"
#url = "https://chat.example.net/hook"
#secret_file = "/etc/tocsin/chat.secret"
`

// checkIncident looks at what single values cannot tell.
func checkIncident(r *reader[Hub]) {
	c := &r.config.Incident
	r.oneOf("mail.tls", c.Mail.TLS, "starttls", "implicit", "none")
	for _, l := range c.Languages {
		r.oneOf("incident.languages", l, "en", "fr", "de")
	}
	if len(c.Languages) == 0 {
		r.fault(r.lines["incident.languages"], `incident.languages: name at least one, such as ["en"]`)
	}
	if c.Keep < 24*time.Hour || c.Keep > 90*24*time.Hour {
		r.fault(r.lines["incident.keep"], "incident.keep: %v is not between 1d and 90d", c.Keep)
	}
	if c.Silent < 10*time.Minute {
		r.fault(r.lines["incident.silent"], "incident.silent: %v is less than 10m: a device that restarts is not silent", c.Silent)
	}
	if c.Contact != "" && !strings.Contains(c.Contact, "@") {
		r.fault(r.lines["incident.contact"], "incident.contact: %q is no mail address", c.Contact)
	}
	if c.Mail.Server != "" {
		r.filled("mail.from", c.Mail.From)
	}
	r.between("notifications.per_hour", c.PerHour, 1, 1000)
	for _, line := range c.RDAP.Contacts {
		prefix, mail, _ := strings.Cut(line, " ")
		if _, err := ParsePrefix(prefix); err != nil || !strings.Contains(mail, "@") {
			r.fault(r.lines["rdap.contacts"], `rdap.contacts: %q is not "PREFIX ADDRESS", such as "203.0.113.0/24 abuse@example.net"`, line)
		}
	}
	names := map[string]bool{}
	for _, one := range c.Recipients {
		switch {
		case one.Name == "" || names[one.Name]:
			r.fault(one.line, "[[notify]]: each needs a name of its own")
		case (one.Mail == "") == (one.URL == ""):
			r.fault(one.line, "[[notify]] %q: give either mail or url", one.Name)
		case one.Mail != "" && c.Mail.Server == "":
			r.fault(one.line, "[[notify]] %q: mail needs a server: set mail.server", one.Name)
		case one.URL != "" && one.SecretFile == "":
			r.fault(one.line, "[[notify]] %q: a webhook needs secret_file, so that its receiver can tell our messages", one.Name)
		}
		names[one.Name] = true
	}
}
