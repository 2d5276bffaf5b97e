// Package accounts lists the account names that everybody knows: those that
// systems come with, which attackers therefore try first, and those that let
// anybody in, which therefore prove nothing.
//
// The first list travels: a name on it is told to the hub in clear, any other
// only as a keyed hash. Adding a name to it makes the name public.
package accounts

import "slices"

// public are the names that devices and programs come with, and the words that
// every dictionary starts with. None tells anything about an owner.
var public = []string{
	"admin", "administrator", "adm", "backup", "bin", "centos", "daemon", "db2inst1", "debian", "default",
	"deploy", "dev", "developer", "elastic", "es", "ec2-user", "git", "gitlab", "hadoop", "info", "jenkins",
	"kafka", "mail", "minecraft", "mongodb", "mysql", "nagios", "news", "nginx", "odoo", "operator",
	"oracle", "pi", "postfix", "postgres", "qnap", "redis", "root", "sa", "server", "sshd", "steam",
	"student", "supervisor", "support", "sys", "sysadmin", "system", "synology", "teamspeak", "tech", "test",
	"test1", "testuser", "tomcat", "ubnt", "ubuntu", "user", "user1", "vagrant", "webadmin", "webmaster",
	"www", "www-data", "zabbix", "guest", "anonymous", "ftp", "ftpuser", "nobody",
}

// guests are the names that let anybody in, by themselves or by a server's
// "map to guest".
var guests = []string{"guest", "anonymous", "ftp", "nobody", "ftpguest", "pcguest"}

var isPublic, isGuest = set(public), set(guests)

func set(names []string) map[string]bool {
	m := make(map[string]bool, len(names))
	for _, n := range names {
		m[n] = true
	}
	return m
}

// Public returns the public names, in lower case. The slice is the caller's.
func Public() []string { return slices.Clone(public) }

// Guests returns the names of guests, in lower case. The slice is the caller's.
func Guests() []string { return slices.Clone(guests) }

// Fold returns name with ASCII letters in lower case. Letters of other scripts,
// and bytes that are no text at all, stay what they are: no two names that differ
// otherwise become one.
func Fold(name string) string {
	for i := 0; i < len(name); i++ {
		if isUpper(name[i]) {
			b := []byte(name)
			for j := i; j < len(b); j++ {
				if isUpper(b[j]) {
					b[j] += 'a' - 'A'
				}
			}
			return string(b)
		}
	}
	return name
}

func isUpper(c byte) bool { return 'A' <= c && c <= 'Z' }

// IsPublic reports whether name is a public one, in whatever case it was typed.
func IsPublic(name string) bool { return isPublic[Fold(name)] }

// IsGuest reports whether name is a guest's, in whatever case it was typed. No
// name at all is a guest's: nobody proved to be anyone.
func IsGuest(name string) bool { return name == "" || isGuest[Fold(name)] }
