package iptables

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// missingPower says which power this process lacks to run iptables.
func missingPower() string {
	amb, err := capabilities()
	if err != nil {
		return "the programs of iptables need CAP_NET_ADMIN and CAP_NET_RAW"
	}
	var missing []string
	for _, c := range []struct {
		bit  uint
		name string
	}{{unix.CAP_NET_ADMIN, "CAP_NET_ADMIN"}, {unix.CAP_NET_RAW, "CAP_NET_RAW"}} {
		if amb&(1<<c.bit) == 0 {
			missing = append(missing, c.name)
		}
	}
	if len(missing) == 0 {
		return "the kernel refuses although CAP_NET_ADMIN and CAP_NET_RAW are there: is this a container without them?"
	}
	return "missing: " + strings.Join(missing, " and ") +
		" (ambient, since iptables is a program of its own; in a systemd unit AmbientCapabilities=)"
}

// capabilities returns what a program started by this process will have.
func capabilities() (uint64, error) {
	field := "CapAmb:"
	if os.Geteuid() == 0 {
		field = "CapBnd:" // a program started by root gets all that is not cut off
	}
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if value, ok := strings.CutPrefix(line, field); ok {
			return strconv.ParseUint(strings.TrimSpace(value), 16, 64)
		}
	}
	return 0, os.ErrNotExist
}

// lockVariable tells the programs which lock to take.
const lockVariable = "XTABLES_LOCKFILE="

// ownLock is the environment that gives the programs a lock file which this
// user can open. Then nothing keeps our programs and those of others apart, so
// it is the last resort, for a user that may not open the common one.
func ownLock() []string {
	dir, _, _ := strings.Cut(os.Getenv("RUNTIME_DIRECTORY"), ":") // a service may have several
	if dir == "" {
		dir = os.TempDir()
	}
	name := "tocsin-xtables-" + strconv.Itoa(os.Geteuid()) + ".lock"
	return []string{lockVariable + filepath.Join(dir, name)}
}
