package main

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
)

// ancestors bounds how far up the session of a command is looked for.
const ancestors = 32

// sessionSources returns the addresses from which the person who runs this
// command is logged in, as sshd told the shell: in the environment of this
// process or of one that started it, since sudo takes it out of ours.
func sessionSources(proc string, pid int) (sources []netip.Addr) {
	for range ancestors {
		env, err := os.ReadFile(fmt.Sprintf("%s/%d/environ", proc, pid))
		if err == nil {
			sources = append(sources, sshSources(env)...)
		}
		if pid = parentOf(proc, pid); pid <= 1 {
			break
		}
	}
	return sources
}

func sshSources(environ []byte) (sources []netip.Addr) {
	for entry := range bytes.SplitSeq(environ, []byte{0}) {
		name, value, _ := strings.Cut(string(entry), "=")
		if name != "SSH_CONNECTION" && name != "SSH_CLIENT" {
			continue
		}
		if words := strings.Fields(value); len(words) > 0 {
			if a, err := netip.ParseAddr(words[0]); err == nil {
				sources = append(sources, a.Unmap().WithZone(""))
			}
		}
	}
	return sources
}

// parentOf returns the process that started pid, 0 if that cannot be told.
func parentOf(proc string, pid int) int {
	stat, err := os.ReadFile(fmt.Sprintf("%s/%d/stat", proc, pid))
	if err != nil {
		return 0
	}
	// The name in parentheses may hold anything, parentheses too.
	words := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(words) < 2 {
		return 0
	}
	parent, err := strconv.Atoi(words[1])
	if err != nil {
		return 0
	}
	return parent
}

// lockedOut returns the first source of the session that p holds.
func lockedOut(p netip.Prefix, sources []netip.Addr) (netip.Addr, bool) {
	for _, a := range sources {
		if p.Contains(a) {
			return a, true
		}
	}
	return netip.Addr{}, false
}
