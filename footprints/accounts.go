package footprints

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tocsin-io/tocsin"
)

// Bounds of what is taken from the files of accounts.
const (
	maxAccounts = 4096
	maxAccount  = 256 // bytes of a name or a path
)

// admins are the groups whose members may do everything.
var admins = []string{"root", "sudo", "wheel", "admin", "administrators"}

// An account is what matters of one, by its line in passwd.
type account struct {
	UID   uint32 `json:"uid"`
	Login bool   `json:"login,omitempty"` // its shell lets people in
	Admin bool   `json:"admin,omitempty"`
}

// A named account is one with what is only needed now.
type named struct {
	account
	name string
	gid  uint32
	home string
	line []byte
}

// parsePasswd reads accounts. Lines that are none are left out; more than
// maxAccounts are cut, and told.
func parsePasswd(r io.Reader) (all []named, whole bool) {
	s := bufio.NewScanner(r)
	s.Buffer(nil, 64<<10)
	for s.Scan() {
		f := strings.Split(s.Text(), ":")
		if len(f) != 7 || f[0] == "" || len(f[0]) > maxAccount || len(f[5]) > maxAccount || strings.HasPrefix(f[0], "#") {
			continue
		}
		uid, err := strconv.ParseUint(f[2], 10, 32)
		if err != nil {
			continue
		}
		gid, err := strconv.ParseUint(f[3], 10, 32)
		if err != nil {
			continue
		}
		if len(all) >= maxAccounts {
			return all, false
		}
		all = append(all, named{
			account: account{UID: uint32(uid), Login: mayLogIn(f[6])},
			name:    f[0], gid: uint32(gid), home: f[5], line: bytes.Clone(s.Bytes()),
		})
	}
	return all, s.Err() == nil
}

// mayLogIn reports whether a shell lets people in; none is /bin/sh.
func mayLogIn(shell string) bool {
	return !slices.Contains([]string{"nologin", "false", "true", "sync", "shutdown", "halt"}, path.Base(shell))
}

// parseGroup reads who is a member of the groups of administrators: by name, and
// by the number of the group.
func parseGroup(r io.Reader) (members map[string][]byte, groups map[uint32][]byte) {
	members, groups = map[string][]byte{}, map[uint32][]byte{}
	s := bufio.NewScanner(r)
	s.Buffer(nil, maxRead)
	for s.Scan() {
		f := strings.Split(s.Text(), ":")
		if len(f) != 4 || !slices.Contains(admins, f[0]) {
			continue
		}
		line := bytes.Clone(s.Bytes())
		if gid, err := strconv.ParseUint(f[2], 10, 32); err == nil {
			groups[uint32(gid)] = line
		}
		for name := range strings.SplitSeq(f[3], ",") {
			if name = strings.TrimSpace(name); name != "" && len(name) <= maxAccount && len(members) < maxAccounts {
				members[name] = line
			}
		}
	}
	return members, groups
}

// accounts returns the accounts there are; none if they cannot be read.
func (w *Watch) accounts() []named {
	all, _ := w.readAccounts("etc/passwd", "etc/group")
	return all
}

// readAccounts reads accounts, and who of them is an administrator. It reports
// false if there are none to be read.
func (w *Watch) readAccounts(passwd, group string) (all []named, ok bool) {
	p := w.path(passwd)
	whole := true
	err := read(p, func(r io.Reader) error { all, whole = parsePasswd(r); return nil })
	if err != nil {
		if !missing(err) {
			w.noSee(p, reason(err))
		}
		return nil, false
	}
	if !whole {
		w.noSee(p, "too many accounts, or too long a line: some are not looked at")
	}
	members, groups := map[string][]byte{}, map[uint32][]byte{}
	err = read(w.path(group), func(r io.Reader) error { members, groups = parseGroup(r); return nil })
	if err != nil && !missing(err) {
		w.noSee(w.path(group), reason(err))
	}
	for i := range all {
		a := &all[i]
		line, admin := members[a.name]
		if !admin {
			line, admin = groups[a.gid]
		}
		a.Admin = admin || a.UID == 0
		if admin {
			a.line = slices.Concat(a.line, []byte("\n"), line)
		}
	}
	return all, len(all) > 0
}

// compareAccounts tells which accounts are new, may now log in, or became
// administrators, and notes them in next.
func (w *Watch) compareAccounts(next *baseline, now time.Time) (clues []tocsin.Clue) {
	all, ok := w.readAccounts("etc/passwd", "etc/group")
	if !ok {
		return nil // written anew at this moment, or unreadable: what was known stays
	}
	old, written := next.Accounts, w.accountsWritten()
	if w.fresh {
		// Whoever adds accounts keeps the file of before beside the new one.
		before, ok := w.readAccounts(w.older("etc/passwd"), w.older("etc/group"))
		if ok && w.cfg.LookBack > 0 && !written.Before(w.since) {
			old = index(before)
		} else {
			old = index(all)
		}
	}
	next.Accounts = index(all)
	for _, a := range all {
		before, had := old[a.name]
		enters := a.Login && !before.Login || a.UID == 0 && (!had || before.UID != 0)
		if !enters && !(a.Admin && !before.Admin) || next.Accounts[a.name] != a.account {
			continue
		}
		clues = append(clues, tocsin.Clue{
			At: w.when(written, now), Fact: tocsin.AccountAdded, Subject: a.name, Digest: sha256.Sum256(a.line),
		})
	}
	return clues
}

// older returns the file of before, where there is one.
func (w *Watch) older(name string) string {
	if _, _, err := stat(w.path(name+"-"), false); err == nil {
		return name + "-"
	}
	return name
}

// accountsWritten returns when one of the files was last written.
func (w *Watch) accountsWritten() (last time.Time) {
	for _, name := range []string{"etc/passwd", "etc/group"} {
		if _, st, err := stat(w.path(name), true); err == nil {
			if t := unixTime(st.Mtim); t.After(last) {
				last = t
			}
		}
	}
	return last
}

// index keys accounts by name. Of a name that stands twice the one with more
// power counts: programs do not agree on which they take.
func index(all []named) map[string]account {
	m := make(map[string]account, len(all))
	for _, a := range all {
		if b, twice := m[a.name]; twice && power(b) >= power(a.account) {
			continue
		}
		m[a.name] = a.account
	}
	return m
}

func power(a account) (n int) {
	if a.UID == 0 {
		n += 4
	}
	if a.Admin {
		n += 2
	}
	if a.Login {
		n++
	}
	return n
}
