package main

import (
	"fmt"
	"log/slog"
	"os"
	"os/user"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tocsin-io/tocsin/config"
	"github.com/tocsin-io/tocsin/internal/power"
)

// ownUser is the user of packages and of the systemd unit.
const ownUser = "tocsin"

// dropPower gives up what root has and a guard does not need, and says what is
// left or lacking.
func dropPower(cfg config.Config, log *slog.Logger, more ...string) error {
	needed := []power.Capability{power.NetAdmin, power.DACReadSearch, power.NetRaw}
	if os.Geteuid() == 0 {
		name := cfg.User
		if _, err := user.Lookup(ownUser); name == "" && err == nil {
			name = ownUser
		}
		if err := power.Drop(name, needed, append(folders(cfg), more...)...); err != nil {
			return err
		}
		if name == "" {
			log.Warn("running as root, reduced to the capabilities of a guard: make a user for it with useradd --system " + ownUser)
		}
	}
	held, _, err := power.Held(power.NetAdmin, power.DACReadSearch)
	if err != nil {
		return err
	}
	for _, lacks := range lacking(held, cfg.DryRun) {
		log.Warn(lacks)
	}
	return nil
}

func lacking(held []power.Capability, dryRun bool) (words []string) {
	has := map[power.Capability]bool{}
	for _, c := range held {
		has[c] = true
	}
	if !has[power.NetAdmin] && !dryRun {
		words = append(words, "CAP_NET_ADMIN is missing: nothing can be blocked; run as root, by the systemd unit, or with --dry-run")
	}
	if !has[power.DACReadSearch] {
		words = append(words, "CAP_DAC_READ_SEARCH is missing: logs that this user may not read are not read")
	}
	return words
}

// powers names what this process may do, for the status.
func powers() []string {
	held, others, err := power.Held(power.NetAdmin, power.DACReadSearch, power.NetRaw)
	if err != nil {
		return []string{err.Error()}
	}
	words := []string{}
	for _, c := range held {
		words = append(words, c.String())
	}
	if others > 0 {
		words = append(words, fmt.Sprintf("and %d others that it does not need", others))
	}
	return words
}

func userName() string {
	uid := strconv.Itoa(os.Geteuid())
	if u, err := user.LookupId(uid); err == nil {
		return u.Username
	}
	return "uid " + uid
}

func monotonicNow() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}
