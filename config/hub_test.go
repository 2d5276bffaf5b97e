package config

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestNoFileIsAWholeHub(t *testing.T) {
	c, err := ParseHub(nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Policy.Validate(); err != nil || c.Listen != ":7443" {
		t.Errorf("got %+v: %v", c, err)
	}
}

func TestHubFile(t *testing.T) {
	c, err := ParseHub([]byte(`
[hub]
addresses = ["hub.example.org:7443", "[2001:db8::7]:7443"]
retain = "90d"
retain_contacts = "30d"
[never_block]
allow = ["198.51.100.20"]
[policy]
witness_owners = 5
probation = "7d"
`))
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Addresses) != 2 || c.Retain != 90*24*time.Hour || c.Contacts != 30*24*time.Hour || c.Policy.Owners != 5 || c.Policy.Probation != 7*24*time.Hour ||
		c.Allow[0] != netip.MustParsePrefix("198.51.100.20/32") {
		t.Errorf("got %+v", c)
	}
}

func TestHubMistakes(t *testing.T) {
	_, err := ParseHub([]byte(`[hub]
listen = "7443"
addresses = ["https://hub.example.org/"]
retain = "1d"
group = 7
retain_contacts = "1m"
[[log]]
path = "/var/log/x"
[guard]
[policy]
witnes_owners = 5
[never_block]
allow = ["0.0.0.0/0"]
`))
	want := []string{
		`line 2: hub.listen: "7443" has no port: write ":7443" or "192.0.2.1:7443"`,
		`line 3: hub.addresses: "https://hub.example.org/" is not host:port`,
		`line 4: hub.retain: 24h0m0s is less than 8d: decisions rest on the last week`,
		`line 5: hub.group: write it in quotes: "7"`,
		`line 6: hub.retain_contacts: 1m0s is less than 1h: nothing would be found in them`,
		`line 7: [[log]] is not known: the only list of tables is [[notify]]`,
		`line 9: [guard] is not known: the tables are [hub], [console], [never_block], [policy], [incident], [mail], [rdap], [notifications] and [[notify]]`,
		`line 11: policy.witnes_owners is not known: did you mean policy.witness_owners?`,
		`line 13: never_block.allow: 0.0.0.0/0 is wider than /8: nothing would be blocked any more`,
	}
	if err == nil {
		t.Fatal("no mistake found")
	}
	if diff := cmp.Diff(want, strings.Split(err.Error(), "\n")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestEveryTypoInTheHubsFileIsFound(t *testing.T) {
	for _, s := range hubSettings {
		table, key, _ := strings.Cut(s.key, ".")
		_, err := ParseHub([]byte("[" + table + "]\n" + key + "x = 1\n"))
		if err == nil || !strings.Contains(err.Error(), "line 2: "+s.key+"x is not known") {
			t.Errorf("%sx: %v", s.key, err)
		}
	}
}

func TestSampleHubIsTheDefault(t *testing.T) {
	sample := SampleHub()
	var live strings.Builder
	for line := range strings.Lines(sample) {
		if text, ok := strings.CutPrefix(line, "# "); ok && strings.Contains(text, " = ") && !strings.Contains(text, "such as") {
			line = text
		}
		live.WriteString(line)
	}
	opts := cmp.Options{
		cmp.Transformer("empty", func(s []netip.Prefix) int { return len(s) }),
		cmp.Transformer("words", func(s []string) string { return strings.Join(s, " ") }),
	}
	for _, text := range []string{sample, live.String()} {
		c, err := ParseHub([]byte(text))
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		if diff := cmp.Diff(DefaultHub(), c, opts); diff != "" {
			t.Error(diff)
		}
	}
}

func TestIncidentFile(t *testing.T) {
	c, err := ParseHub([]byte(`
[incident]
organisation = "Example CSIRT"
contact = "csirt@example.net"
languages = ["fr", "en"]
vendor = ["198.51.100.0/24"]
[mail]
server = "mail.example.net:587"
from = "Example CSIRT <csirt@example.net>"
[rdap]
contacts = ["203.0.113.0/24 abuse@provider.example"]
[notifications]
per_hour = 3
[[notify]]
name = "on call"
mail = "oncall@example.net"
kinds = ["campaign-opened"]
[[notify]]
name = "chat"
url = "https://chat.example.net/hook"
secret_file = "/etc/tocsin/chat.secret"
`))
	if err != nil {
		t.Fatal(err)
	}
	in := c.Incident
	if in.Organisation != "Example CSIRT" || in.Mail.Server != "mail.example.net:587" || in.Mail.TLS != "starttls" || in.PerHour != 3 ||
		len(in.Recipients) != 2 || in.Recipients[0].Mail != "oncall@example.net" || in.Recipients[1].URL == "" || in.Languages[0] != "fr" {
		t.Errorf("got %+v", in)
	}
}

func TestIncidentMistakes(t *testing.T) {
	_, err := ParseHub([]byte(`[incident]
contact = "csirt"
languages = ["it"]
keep = "1h"
silent = "1s"
[mail]
server = "mail.example.net:587"
tls = "maybe"
[rdap]
contacts = ["abuse@provider.example"]
[notifications]
per_hour = 0
[[notify]]
mail = "oncall@example.net"
[[notify]]
name = "chat"
[[notify]]
name = "hook"
url = "https://chat.example.net/hook"
`))
	want := []string{
		`mail.from: must not be empty`,
		`line 2: incident.contact: "csirt" is no mail address`,
		`line 3: incident.languages: "it" is not one of en, fr, de`,
		`line 4: incident.keep: 1h0m0s is not between 1d and 90d`,
		`line 5: incident.silent: 1s is less than 10m: a device that restarts is not silent`,
		`line 8: mail.tls: "maybe" is not one of starttls, implicit, none`,
		`line 10: rdap.contacts: "abuse@provider.example" is not "PREFIX ADDRESS", such as "203.0.113.0/24 abuse@example.net"`,
		`line 12: notifications.per_hour: 0 is not between 1 and 1000`,
		`line 13: [[notify]]: each needs a name of its own`,
		`line 15: [[notify]] "chat": give either mail or url`,
		`line 17: [[notify]] "hook": a webhook needs secret_file, so that its receiver can tell our messages`,
	}
	if err == nil {
		t.Fatal("no mistakes")
	}
	if diff := cmp.Diff(want, strings.Split(err.Error(), "\n")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// The console by plain HTTP is for the machine itself.
func TestConsoleListensHereOnly(t *testing.T) {
	for listen, good := range map[string]bool{
		"": true, "127.0.0.1:7480": true, "127.8.9.10:1": true, "[::1]:7480": true, "localhost:7480": true, "[::ffff:127.0.0.1]:80": true,
		":7480": false, "0.0.0.0:7480": false, "[::]:7480": false, "192.0.2.1:7480": false, "localhost": false, "127.0.0.1": false,
		"localhost.example.org:7480": false,
	} {
		_, err := ParseHub(fmt.Appendf(nil, "[console]\nlisten = %q\n", listen))
		if (err == nil) != good {
			t.Errorf("%q: got %v", listen, err)
		}
		if err != nil && !strings.Contains(err.Error(), "line 2: console.listen: ") {
			t.Errorf("%q: got %v", listen, err)
		}
	}
}
