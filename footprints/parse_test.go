package footprints

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseListeners(t *testing.T) {
	const in = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0
   1: 0100007F:0CEA 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 2 1 0 100 0 0 10 0
   2: 0200A8C0:115C 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 3 1 0 100 0 0 10 0
   3: 00000000000000000000000000000000:0050 00000000000000000000000000000000:0000 0A 0 0
   4: 00000000000000000000000001000000:0051 00000000000000000000000000000000:0000 0A 0 0
   5: 0200A8C0:0016 0700A8C0:D2F0 01 00000000:00000000 00:00000000 00000000     0        0 4 1 0 100 0 0 10 0
   6: 00000000:0999 00000000:0000 0A 0 0
`
	var got []uint16
	for _, l := range parseListeners(strings.NewReader(in)) {
		got = append(got, l.port)
	}
	if diff := cmp.Diff([]uint16{22, 4444, 80}, got); diff != "" {
		t.Error(diff)
	}
}

// What a file of accounts says, whatever it is, stays bounded, and no account is
// made up.
func FuzzAccounts(f *testing.F) {
	f.Add("root:x:0:0:root:/root:/bin/bash\n", "sudo:x:27:ann,bob\n")
	f.Add("a:x:4294967296:0::/:/bin/sh\n:x:0:0::/:\n#b:x:0:0::/:/bin/sh\n", "sudo:x:-1:\nwheel::\n")
	f.Add("a:x:0:0::/:/bin/sh\na:x:5:5::/:/bin/false\n", "sudo:x:5:,,a,\n")
	f.Fuzz(func(t *testing.T, passwd, group string) {
		all, _ := parsePasswd(strings.NewReader(passwd))
		if len(all) > maxAccounts {
			t.Errorf("%d accounts", len(all))
		}
		for _, a := range all {
			if a.name == "" || len(a.name) > maxAccount || strings.ContainsAny(a.name, ":\n") || !strings.Contains(passwd, a.name) || !strings.Contains(passwd, string(a.line)) {
				t.Errorf("account %+v", a)
			}
		}
		byName := index(all)
		for _, a := range all {
			if power(byName[a.name]) < power(a.account) {
				t.Errorf("of two accounts %q the weaker one counts", a.name)
			}
		}
		members, _ := parseGroup(strings.NewReader(group))
		if len(members) > maxAccounts {
			t.Errorf("%d members", len(members))
		}
		for name := range members {
			if name == "" || strings.ContainsAny(name, ",:\n") {
				t.Errorf("member %q", name)
			}
		}
	})
}

// Whatever the kernel's table holds, only whole addresses and ports are taken.
func FuzzListeners(f *testing.F) {
	f.Add("   0: 00000000:0016 00000000:0000 0A 0 0\n")
	f.Add("   0: 0:0016 00000000:0000 0A 0 0\n 1: 000000000000000000:1 x 0A\n")
	f.Fuzz(func(t *testing.T, in string) {
		for _, l := range parseListeners(strings.NewReader(in)) {
			if l.port == 0 || l.line == "" {
				t.Errorf("%+v", l)
			}
		}
	})
}
