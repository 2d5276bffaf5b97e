// Package config reads the guard's configuration file: TOML, strict. A missing
// key means its documented default, so that no file at all is a complete
// configuration; every mistake is reported, with its line.
//
// It knows what is written, not what it does: the parts take their own
// configurations from it.
package config

import (
	"net/netip"
	"strings"
	"time"

	"github.com/tocsin-io/tocsin/blocklist"
	"github.com/tocsin-io/tocsin/detect"
)

// maxFile bounds the file, in bytes.
const maxFile = 1 << 20

// maxPorts bounds spared ports: each is one more that attackers may knock at.
const maxPorts = 16

// Config is the whole file. [Default] is what an empty one means.
type Config struct {
	State   string // folder that is remembered over restarts
	Socket  string // control socket
	User    string // whom a guard started by root becomes; "" is tocsin if there is one
	Group   string // whose members may give orders; "" is root alone
	Metrics string // address that serves Prometheus metrics; "" is none
	Device  string // name of this device; "" is the host name
	DryRun  bool   // decide, but block nothing

	Backend string   // auto, nft, iptables or memory
	Table   string   // name of the nftables table or iptables chains
	Sample  int      // dropped packets looked at per second
	Spare   []uint16 // TCP ports of this machine that blocked sources may open
	Private bool     // whether private and link-local sources may be blocked

	Allow       []netip.Prefix // never blocked
	Targets     []string       // hosts that the device needs: mail, update and backup targets
	Proxies     []netip.Prefix // reverse proxies and relays: never blocked
	OwnNetworks bool           // whether the networks of the device's own addresses are never blocked

	Services []string // read; empty is all
	Journal  string   // auto, yes or no
	Changes  bool     // notice what an intruder changes
	Flows    bool     // sum up the connections that the device opens
	Root     string   // folder in which its files are
	Logs     []Log    // files to read besides the journal and the well-known ones

	Mirror    string // URL where the hub's lists are also to be had
	HubFolder string // what is kept of the enrolment: not a key of the file

	Detect detect.Policy
	Limits blocklist.Limits
}

// A Log is one [[log]] table.
type Log struct {
	Path    string // may hold * and ?
	Service string // the only service that writes it; "" is a general log
	line    int
}

// logKeys are the keys of a [[log]] table.
var logKeys = []setting[Config]{
	{"path", "file to read, such as \"/var/log/app/*.log\"; * and ? stand for any letters and any letter", func(c *Config) any { return &c.Logs[len(c.Logs)-1].Path }},
	{"service", "the only service that writes it, as tocsin services names them; empty is a log of several", func(c *Config) any { return &c.Logs[len(c.Logs)-1].Service }},
}

// Default returns the configuration of an empty file.
func Default() Config {
	return Config{
		State:       "/var/lib/tocsin",
		Socket:      "/run/tocsin/guard.sock",
		Backend:     "auto",
		Table:       "tocsin",
		Sample:      20,
		OwnNetworks: true,
		Journal:     "auto",
		Changes:     true,
		Root:        "/",
		Detect:      detect.Default(),
		Limits:      blocklist.DefaultLimits,
	}
}

// Parse reads the guard's configuration and fills in the defaults. Its error is
// of type [Mistakes].
func Parse(b []byte) (Config, error) {
	c := Default()
	err := guardFile.parse(b, &c)
	return c, err
}

var guardFile = schema[Config]{
	tables:   []string{"guard", "firewall", "never_block", "read", "hub", "detect"},
	settings: settings,
	list:     "log",
	item:     func(c *Config, line int) { c.Logs = append(c.Logs, Log{line: line}) },
	keys:     logKeys,
	check:    checkGuard,
}

// settings are all keys but those of [[log]], in the order of the sample file.
var settings = []setting[Config]{
	{"guard.state", "folder that keeps what is remembered over a restart", func(c *Config) any { return &c.State }},
	{"guard.socket", "control socket for tocsin block, unblock, allow, rules and status", func(c *Config) any { return &c.Socket }},
	{"guard.user", "user that a guard started by root becomes; empty is tocsin, if there is such a user", func(c *Config) any { return &c.User }},
	{"guard.group", "group whose members may use it besides root", func(c *Config) any { return &c.Group }},
	{"guard.metrics", `address that serves Prometheus metrics, such as "127.0.0.1:9470"; empty is none`, func(c *Config) any { return &c.Metrics }},
	{"guard.device", "name of this device; empty is its host name", func(c *Config) any { return &c.Device }},
	{"guard.dry_run", "decide and tell, but block nothing", func(c *Config) any { return &c.DryRun }},

	{"firewall.backend", `"auto", "nft", "iptables" or "memory" (which blocks nothing)`, func(c *Config) any { return &c.Backend }},
	{"firewall.table", "name of the nftables table or of the iptables chains", func(c *Config) any { return &c.Table }},
	{"firewall.sample", "dropped packets looked at per second, so that a blocked attacker does not look gone", func(c *Config) any { return &c.Sample }},
	{"firewall.private", "also block private and link-local sources", func(c *Config) any { return &c.Private }},
	{"firewall.spare_ports", "TCP ports of this machine that blocked sources may open all the same, such as 7443 on the hub for one-time passes", func(c *Config) any { return &c.Spare }},
	{"firewall.max_blocks", "blocks by this device at once; the one that ends first makes room", func(c *Config) any { return &c.Limits.Device }},

	{"never_block.allow", "addresses and prefixes that are never blocked", func(c *Config) any { return &c.Allow }},
	{"never_block.targets", "hosts this device needs: mail, update and backup targets", func(c *Config) any { return &c.Targets }},
	{"never_block.proxies", "reverse proxies and relays in front of this device", func(c *Config) any { return &c.Proxies }},
	{"never_block.own_networks", "the networks of this device's own addresses; set false where strangers share them", func(c *Config) any { return &c.OwnNetworks }},

	{"read.services", "services to read, as tocsin services names them; empty is all", func(c *Config) any { return &c.Services }},
	{"read.journal", `"auto", "yes" or "no"`, func(c *Config) any { return &c.Journal }},

	{"read.changes", "notice changes that an intruder makes: keys, accounts, whatever starts by itself, listening ports", func(c *Config) any { return &c.Changes }},
	{"read.root", "folder in which this device's files are, for changes: / but where the guard runs beside it", func(c *Config) any { return &c.Root }},
	{"read.flows", "sum up the connections that this device opens, and tell the hub of them: who, when, how many bytes, never what", func(c *Config) any { return &c.Flows }},

	{"hub.mirror", "URL where the hub's signed lists are also to be had, for when the hub cannot be reached; empty is none", func(c *Config) any { return &c.Mirror }},

	{"detect.fast_failures", "failures of one source in fast_within that lead to a block; 0 is off", func(c *Config) any { return &c.Detect.Fast.Count }},
	{"detect.fast_within", "the time that fast_failures and person_fast_failures are counted in", func(c *Config) any { return &c.Detect.Fast.Within }},
	{"detect.day_failures", "failures in 24 h that do", func(c *Config) any { return &c.Detect.Day.Count }},
	{"detect.week_guesses", "guesses in 7 days that do: unknown or public names, or a second account", func(c *Config) any { return &c.Detect.Weekly.Count }},
	{"detect.person_fast_failures", "failures in fast_within while all are on one real account: a person", func(c *Config) any { return &c.Detect.PersonFast.Count }},
	{"detect.person_day_failures", "and in 24 h", func(c *Config) any { return &c.Detect.PersonDay.Count }},
	{"detect.day_probes", "connections in 24 h that never try to log in", func(c *Config) any { return &c.Detect.Probes.Count }},
	{"detect.spray_sources", "sources on one account in 24 h that are an attack on it", func(c *Config) any { return &c.Detect.Spray.Count }},
	{"detect.first_block", "length of a first block; each further one doubles", func(c *Config) any { return &c.Detect.First }},
	{"detect.longest_block", "the longest of them: no block by this device lasts longer", func(c *Config) any { return &c.Detect.Longest }},
	{"detect.shared_block", "the longest of a source that somebody who belongs here still logs in from; 0 is longest_block", func(c *Config) any { return &c.Detect.Shared }},
	{"detect.instant_accounts", "accounts that nobody honest uses: one failure is a decision", func(c *Config) any { return &c.Detect.Instant }},
	{"detect.public_accounts", "account names that everybody knows", func(c *Config) any { return &c.Detect.Public }},
	{"detect.guest_accounts", "accounts whose success proves nothing", func(c *Config) any { return &c.Detect.Guests }},
	{"detect.sources", "sources remembered at most; about 100 bytes each", func(c *Config) any { return &c.Detect.Sources }},
}

// checkGuard looks at what single values cannot tell.
func checkGuard(r *reader[Config]) {
	c := r.config
	if c.Detect.PersonFast.Within = c.Detect.Fast.Within; c.Detect.Fast.Within <= 0 {
		r.fault(r.lines["detect.fast_within"], "detect.fast_within: must be longer than nothing")
	}
	r.oneOf("firewall.backend", c.Backend, "auto", "nft", "iptables", "memory")
	r.oneOf("read.journal", c.Journal, "auto", "yes", "no")
	r.filled("guard.state", c.State)
	r.filled("guard.socket", c.Socket)
	r.filled("read.root", c.Root)
	r.between("firewall.sample", c.Sample, 0, 1000)
	if len(c.Spare) > maxPorts {
		r.fault(r.lines["firewall.spare_ports"], "firewall.spare_ports: %d ports, at most %d", len(c.Spare), maxPorts)
	}
	r.between("firewall.max_blocks", c.Limits.Device, 100, 1<<20)
	if !isName(c.Table) {
		r.fault(r.lines["firewall.table"], "firewall.table: %q: use 1 to 16 letters and digits", c.Table)
	}
	r.narrow("never_block.allow", c.Allow)
	r.narrow("never_block.proxies", c.Proxies)
	for _, name := range c.Targets {
		if name == "" || strings.ContainsAny(name, " /:") && !isAddress(name) {
			r.fault(r.lines["never_block.targets"], "never_block.targets: %q is neither a host name nor an address", name)
		}
	}
	for i := range c.Logs {
		if c.Logs[i].Path == "" {
			r.fault(c.Logs[i].line, `[[log]]: path is missing: write path = "/var/log/..."`)
		}
	}
	checkDetect(r)
}

// checkDetect finds the lines for what the policy says is wrong with itself.
func checkDetect(r *reader[Config]) {
	c := r.config
	for _, key := range []struct {
		name  string
		value int
		most  int
	}{
		{"detect.fast_failures", c.Detect.Fast.Count, detect.MaxCount},
		{"detect.day_failures", c.Detect.Day.Count, detect.MaxCount},
		{"detect.week_guesses", c.Detect.Weekly.Count, detect.MaxCount},
		{"detect.person_fast_failures", c.Detect.PersonFast.Count, detect.MaxCount},
		{"detect.person_day_failures", c.Detect.PersonDay.Count, 1000},
		{"detect.day_probes", c.Detect.Probes.Count, 10_000},
		{"detect.spray_sources", c.Detect.Spray.Count, detect.MaxSpray},
	} {
		r.between(key.name, key.value, 0, key.most)
	}
	r.between("detect.sources", c.Detect.Sources, 1_000, 16<<20)
	if c.Detect.First < time.Second || c.Detect.First > 24*time.Hour {
		r.fault(r.lines["detect.first_block"], "detect.first_block: %v is not between 1s and 24h", c.Detect.First)
	}
	if c.Detect.Longest < c.Detect.First || c.Detect.Longest > 7*24*time.Hour {
		r.fault(r.lines["detect.longest_block"], "detect.longest_block: %v is not between first_block (%v) and 7d", c.Detect.Longest, c.Detect.First)
	}
	if len(r.mistakes) == 0 {
		if err := c.Detect.Validate(); err != nil {
			r.fault(0, "%v", err)
		}
	}
}

func (r *reader[C]) oneOf(key, value string, words ...string) {
	for _, w := range words {
		if w == value {
			return
		}
	}
	r.fault(r.lines[key], "%s: %q is not one of %s", key, value, strings.Join(words, ", "))
}

func (r *reader[C]) filled(key, value string) {
	if value == "" {
		r.fault(r.lines[key], "%s: must not be empty", key)
	}
}

func (r *reader[C]) between(key string, n, least, most int) {
	if n < least || n > most {
		r.fault(r.lines[key], "%s: %d is not between %d and %d", key, n, least, most)
	}
}

// narrow finds prefixes that stand for half the internet.
func (r *reader[C]) narrow(key string, prefixes []netip.Prefix) {
	for _, p := range prefixes {
		if p.Bits() < 8 {
			r.fault(r.lines[key], "%s: %v is wider than /8: nothing would be blocked any more", key, p)
		}
	}
}

func isName(s string) bool {
	for _, c := range s {
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9') {
			return false
		}
	}
	return len(s) >= 1 && len(s) <= 16
}

func isAddress(s string) bool {
	_, err := ParsePrefix(s)
	return err == nil
}
