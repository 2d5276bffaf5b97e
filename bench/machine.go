package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// A host is what a figure depends on. Its name is nobody's business.
type host struct {
	machine string
	commit  string
}

func machine(ctx context.Context) host {
	h := host{machine: fmt.Sprintf("%s, %d cores, Linux %s, %s", model(), runtime.NumCPU(), kernel(), runtime.Version()), commit: "unknown"}
	out, err := exec.CommandContext(ctx, "git", "describe", "--always", "--dirty").Output()
	if err == nil { // an unpacked archive has no commit
		h.commit = string(bytes.TrimSpace(out))
	}
	return h
}

func model() string {
	b, err := os.ReadFile("/proc/cpuinfo")
	if err == nil {
		for line := range strings.Lines(string(b)) {
			if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
				return strings.TrimSpace(value)
			}
		}
	}
	return "a processor that does not tell its model"
}

func kernel() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "of unknown release"
	}
	// Only the number: what follows may name whoever built it.
	release, _, _ := strings.Cut(unix.ByteSliceToString(u.Release[:]), "-")
	return release
}

func absolute(bin string) (string, error) {
	path, err := filepath.Abs(bin)
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("%w: run make build first", err)
	}
	return path, nil
}
