package config

import (
	"net/netip"
	"strings"
	"time"

	"github.com/tocsin-io/tocsin/quorum"
)

// Hub is the hub's whole file. [DefaultHub] is what an empty one means.
type Hub struct {
	Folder    string   // database, keys and socket
	Listen    string   // address that devices, people and programs connect to
	Addresses []string // where devices reach it, as host:port; empty is this machine's
	Socket    string   // control socket; "" is hub.sock in the folder
	Group     string   // whose members may use it besides root and the hub's user
	Metrics   string   // address that serves Prometheus metrics without a token; "" is none
	User      string   // whom a hub started by root becomes; "" is tocsin if there is one
	Console   string   // address of this machine alone that serves the console by plain HTTP; "" is none

	Retain   time.Duration // how long sightings and clues are kept
	Contacts time.Duration // how long contacts are kept
	Mirror   string        // folder that the signed lists are written to; "" is none

	Allow []netip.Prefix // never blocked at anybody's

	Policy quorum.Policy

	Incident Incident
}

// DefaultHub returns the configuration of an empty file.
func DefaultHub() Hub {
	return Hub{
		Folder: "/var/lib/tocsin-hub", Listen: ":7443", Retain: 30 * 24 * time.Hour, Contacts: 14 * 24 * time.Hour,
		Console: "127.0.0.1:7480", Policy: quorum.Default(), Incident: DefaultIncident(),
	}
}

// ParseHub reads the hub's configuration and fills in the defaults. Its error is
// of type [Mistakes].
func ParseHub(b []byte) (Hub, error) {
	c := DefaultHub()
	err := hubFile.parse(b, &c)
	return c, err
}

var hubFile = schema[Hub]{
	tables:   append([]string{"hub", "console", "never_block", "policy"}, incidentTables...),
	settings: append(hubSettings, incidentSettings...),
	list:     "notify",
	item: func(c *Hub, line int) {
		c.Incident.Recipients = append(c.Incident.Recipients, Recipient{line: line})
	},
	keys:  recipientKeys,
	check: func(r *reader[Hub]) { checkIncident(r); checkHub(r) },
}

// hubSettings are all keys, in the order of the sample file.
var hubSettings = []setting[Hub]{
	{"hub.folder", "folder of the database and the keys", func(c *Hub) any { return &c.Folder }},
	{"hub.listen", "address that devices, people and programs connect to", func(c *Hub) any { return &c.Listen }},
	{"hub.addresses", `where devices reach the hub, such as ["hub.example.org:7443"]; empty is this machine's addresses`, func(c *Hub) any { return &c.Addresses }},
	{"hub.socket", "control socket; empty is hub.sock in the folder", func(c *Hub) any { return &c.Socket }},
	{"hub.group", "group whose members may use it besides root", func(c *Hub) any { return &c.Group }},
	{"hub.metrics", `address that serves Prometheus metrics without a token, such as "127.0.0.1:9471"; empty is none`, func(c *Hub) any { return &c.Metrics }},
	{"hub.user", "user that a hub started by root becomes; empty is tocsin, if there is such a user", func(c *Hub) any { return &c.User }},
	{"hub.retain", "how long sightings, and what devices noticed about themselves, are kept", func(c *Hub) any { return &c.Retain }},
	{"hub.retain_contacts", "how long it is kept which destinations devices contacted", func(c *Hub) any { return &c.Contacts }},
	{"hub.mirror", "folder that the signed lists are also written to, for a web server or CDN; empty is none", func(c *Hub) any { return &c.Mirror }},

	{"console.listen", "address of this machine alone where its browsers find the console by plain HTTP; empty is none", func(c *Hub) any { return &c.Console }},

	{"never_block.allow", "addresses and prefixes that are blocked at nobody's", func(c *Hub) any { return &c.Allow }},

	{"policy.fast_failures", "failures of one source at one owner within 10 minutes that lead to a block there; 0 is off", func(c *Hub) any { return &c.Policy.Fast.Count }},
	{"policy.day_failures", "in 24 h", func(c *Hub) any { return &c.Policy.Day.Count }},
	{"policy.spread_guesses", "guesses in 7 days, seen by two devices of an owner", func(c *Hub) any { return &c.Policy.Spread.Count }},
	{"policy.week_guesses", "guesses in 7 days, seen by one device", func(c *Hub) any { return &c.Policy.Weekly.Count }},
	{"policy.campaign_guesses", "guesses in 7 days, seen by one device, of a source of an open campaign; 0 is off", func(c *Hub) any { return &c.Policy.Campaign.Count }},
	{"policy.person_fast_failures", "failures in 10 minutes while all are on one real account: a person", func(c *Hub) any { return &c.Policy.PersonFast.Count }},
	{"policy.person_day_failures", "and in 24 h", func(c *Hub) any { return &c.Policy.PersonDay.Count }},
	{"policy.device_hour", "new addresses that one device may have blocked at its owner's others in an hour", func(c *Hub) any { return &c.Policy.DeviceHour }},
	{"policy.device_day", "and in 24 h", func(c *Hub) any { return &c.Policy.DeviceDay }},
	{"policy.witness_score", "thousandths of trust times evidence that owners must add up to for a block at everybody's", func(c *Hub) any { return &c.Policy.Threshold }},
	{"policy.witness_owners", "and from how many owners", func(c *Hub) any { return &c.Policy.Owners }},
	{"policy.witness_networks", "in how many networks (autonomous systems)", func(c *Hub) any { return &c.Policy.Networks }},
	{"policy.probation", "how long a new device weighs nothing at others'", func(c *Hub) any { return &c.Policy.Probation }},
	{"policy.ramp", "how long its weight then takes to grow to its owner's", func(c *Hub) any { return &c.Policy.Ramp }},
	{"policy.first_block", "length of the first block of who may be a person; each further one doubles", func(c *Hub) any { return &c.Policy.First }},
	{"policy.guesser_block", "length of the first block of who guesses", func(c *Hub) any { return &c.Policy.Firm }},
	{"policy.fleet_block", "length of the first block at everybody's", func(c *Hub) any { return &c.Policy.Fleet }},
	{"policy.longest_block", "at most 24h: what goes on is renewed", func(c *Hub) any { return &c.Policy.Longest }},
	{"policy.shared", "addresses that many share: blocks are short", func(c *Hub) any { return &c.Policy.Shared }},
	{"policy.sources", "sources remembered at most", func(c *Hub) any { return &c.Policy.Sources }},
}

// checkHub looks at what single values cannot tell.
func checkHub(r *reader[Hub]) {
	c := r.config
	r.filled("hub.folder", c.Folder)
	r.filled("hub.listen", c.Listen)
	if !strings.Contains(c.Listen, ":") {
		r.fault(r.lines["hub.listen"], `hub.listen: %q has no port: write ":7443" or "192.0.2.1:7443"`, c.Listen)
	}
	if c.Console != "" && !isLoopback(c.Console) {
		r.fault(r.lines["console.listen"], `console.listen: %q is not of this machine alone: write "127.0.0.1:7480" or "[::1]:7480", or "" for none; other machines find the console at hub.listen, by TLS`, c.Console)
	}
	for _, a := range c.Addresses {
		if !strings.Contains(a, ":") || strings.ContainsAny(a, "/ ") {
			r.fault(r.lines["hub.addresses"], `hub.addresses: %q is not host:port`, a)
		}
	}
	if c.Retain < 8*24*time.Hour {
		r.fault(r.lines["hub.retain"], "hub.retain: %v is less than 8d: decisions rest on the last week", c.Retain)
	}
	if c.Contacts < time.Hour {
		r.fault(r.lines["hub.retain_contacts"], "hub.retain_contacts: %v is less than 1h: nothing would be found in them", c.Contacts)
	}
	r.narrow("never_block.allow", c.Allow)
	r.narrow("policy.shared", c.Policy.Shared)
	if len(r.mistakes) == 0 {
		if err := c.Policy.Validate(); err != nil {
			r.fault(0, "%v", err)
		}
	}
}

// isLoopback reports whether an address with a port can be reached from its own
// machine only.
func isLoopback(listen string) bool {
	a, err := netip.ParseAddrPort(strings.Replace(listen, "localhost:", "127.0.0.1:", 1))
	return err == nil && a.Addr().Unmap().IsLoopback()
}

// SampleHub returns a file that sets every key of the hub to its default,
// commented out.
func SampleHub() string {
	c := DefaultHub()
	return hubFile.sample("# Configuration of tocsin hub. Every key is optional; what is commented out\n"+
		"# shows the default. Check changes with: tocsin hub --check\n", &c) + notifySample
}
