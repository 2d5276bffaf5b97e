package sighting_test

import (
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/sighting"
)

var subjectKey = []byte("an owner's key of thirty-two byte")

func TestSubject(t *testing.T) {
	tag := func(name string) string { return string(sighting.Tag(subjectKey, name)) }
	for _, tt := range []struct {
		name  string
		about tocsin.Fact
		in    string
		want  string
	}{
		{"an account", tocsin.AccountAdded, "mallory", tag("mallory")},
		{"one that everybody knows", tocsin.KeysChanged, "root", "root"},
		{"who got in", tocsin.NewOrigin, "ada", tag("ada")},
		{"no account", tocsin.PortOpened, "tcp/4444", "tcp/4444"},
		{"a package", tocsin.ForeignPackage, "xmrig", "xmrig"},
		{"nothing", tocsin.AccountAdded, "", ""},
		{"a path", tocsin.AutorunAdded, "/etc/cron.d/x", "/etc/cron.d/x"},
		{"a home folder", tocsin.KeysChanged, "/home/ada/.ssh/authorized_keys", "/home/" + tag("ada") + "/.ssh/authorized_keys"},
		{"of everybody's name", tocsin.KeysChanged, "/home/admin/.ssh/authorized_keys", "/home/admin/.ssh/authorized_keys"},
		{"root's", tocsin.KeysChanged, "/root/.ssh/authorized_keys", "/root/.ssh/authorized_keys"},
		{"QNAP", tocsin.KeysChanged, "/share/homes/ada/x", "/share/homes/" + tag("ada") + "/x"},
		{"QNAP, volume", tocsin.KeysChanged, "/share/CACHEDEV1_DATA/homes/ada", "/share/CACHEDEV1_DATA/homes/" + tag("ada")},
		{"Synology", tocsin.KeysChanged, "/var/services/homes/ada/x", "/var/services/homes/" + tag("ada") + "/x"},
		{"Synology, volume", tocsin.TripwireHit, "/volume12/homes/Ada/x", "/volume12/homes/" + tag("ada") + "/x"},
		{"odd slashes", tocsin.TripwireHit, "/home//./ada/x", "/home//./" + tag("ada") + "/x"},
		{"within a sentence", tocsin.AutorunAdded, "@reboot /home/ada/x", "@reboot /home/" + tag("ada") + "/x"},
		{"a crontab", tocsin.AutorunAdded, "/var/spool/cron/crontabs/ada", "/var/spool/cron/crontabs/" + tag("ada")},
		{"another crontab", tocsin.AutorunAdded, "/var/spool/cron/ada", "/var/spool/cron/" + tag("ada")},
		{"the folder itself", tocsin.TripwireHit, "/home", "/home"},
		{"what a terminal obeys", tocsin.TripwireHit, "/tmp/a\x1b[2J\xff", `/tmp/a\x1b[2J\xff`},
		{"what a terminal turns", tocsin.TripwireHit, "/tmp/\u202ea", `/tmp/\xe280aea`},
		{"a long one", tocsin.TripwireHit, strings.Repeat("ä", 150), strings.Repeat("ä", 100)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := sighting.Subject(subjectKey, tt.about, tt.in); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// FuzzSubject: whatever stands below a home folder does not leave the device, and
// what leaves is short and printable.
func FuzzSubject(f *testing.F) {
	f.Add("/home/", "ada-the-countess", "/.ssh")
	f.Add("x /Volume1/HOMES//", "ada\x00the\xffcountess", "")
	f.Fuzz(func(t *testing.T, before, name, after string) {
		for _, about := range []tocsin.Fact{tocsin.KeysChanged, tocsin.AutorunAdded} {
			got := sighting.Subject(subjectKey, about, before+"/home/"+name+"/"+after)
			if len(got) > tocsin.MaxSubject || !utf8.ValidString(got) {
				t.Errorf("got %d bytes: %q", len(got), got)
			}
			for _, r := range got {
				if !strconv.IsPrint(r) {
					t.Errorf("got %q, not printable", got)
				}
			}
			// A name long enough that no tag holds it by chance.
			private := len(name) > 24 && !strings.Contains(name, "/") && !strings.Contains(before+after, name)
			if private && strings.Contains(got, name) {
				t.Errorf("got %q, which tells %q", got, name)
			}
		}
	})
}
