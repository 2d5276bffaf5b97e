package durable_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tocsin-io/tocsin/internal/testdisk"
)

func TestLogOnFullDisk(t *testing.T) {
	path := filepath.Join(testdisk.Tiny(t, "64k"), "log")
	l, _ := open(t, path)
	var want []string
	var err error
	for err == nil {
		r := strings.Repeat("x", 3000)
		if err = l.Append([]byte(r), true); err == nil {
			want = append(want, r)
		}
	}
	if !errors.Is(err, unix.ENOSPC) {
		t.Fatalf("got %v, want a full disk", err)
	}
	if len(want) < 10 {
		t.Fatalf("only %d records fitted", len(want))
	}
	// A smaller record still fits, and nothing of the failed one stays.
	if err := l.Append([]byte("small"), true); err == nil {
		want = append(want, "small")
	} else if !errors.Is(err, unix.ENOSPC) {
		t.Error(err)
	}
	err = l.Rewrite(func(add func([]byte) error) error {
		return add([]byte(strings.Repeat("y", 40000)))
	})
	if !errors.Is(err, unix.ENOSPC) {
		t.Errorf("rewrite: got %v, want a full disk", err)
	}
	wantAlone(t, path)
	wantRecords(t, path, want...)
}
