package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCleanAreas(t *testing.T) {
	const smaps = `00400000-00ae5000 r-xp 00000000 fe:00 1234 /usr/bin/tocsin
Size:               7060 kB
Anonymous:             0 kB
VmFlags: rd ex mr mw me
00ae5000-01261000 r--p 006e5000 fe:00 1234 /usr/bin/tocsin
Anonymous:             0 kB
01261000-01262000 r--p 00e61000 fe:00 1234 /usr/bin/tocsin
Anonymous:             4 kB
01262000-012e8000 rw-p 00e62000 fe:00 1234 /usr/bin/tocsin
Anonymous:             0 kB
7f00-7f10 r--p 00000000 fe:00 99 /usr/lib/other
Anonymous:             0 kB
7f20-7f30 r--p 00000000 00:00 0
Anonymous:             0 kB
`
	got, err := cleanAreas(strings.NewReader(smaps), "/usr/bin/tocsin")
	want := []area{{0x400000, 0xae5000}, {0xae5000, 0x1261000}}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(area{})); diff != "" || err != nil {
		t.Errorf("%v, want -, got +\n%s", err, diff)
	}
	if _, err := cleanAreas(strings.NewReader("4z-50 r--p 0 0 1 /x\n"), "/x"); err == nil {
		t.Error("no address is no error")
	}
}

// TestUnmapProgram: the test goes on running in what it let go.
func TestUnmapProgram(t *testing.T) {
	for range 3 {
		if err := unmapProgram(); err != nil {
			t.Fatal(err)
		}
	}
}
