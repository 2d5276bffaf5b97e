package iptables

import (
	"encoding/binary"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

var (
	testNames = names{"TOCSIN"}
	later     = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
)

func blockTree(f family) *tree {
	t := &tree{family: f, prefix: "TOCSIN-", top: "TOCSIN", target: testNames.block(), timed: true}
	t.clear()
	return t
}

func passTree(f family) *tree {
	t := &tree{family: f, prefix: "TOCSIN-P", top: "TOCSIN-CAUGHT", target: testNames.pass(), tail: "-g TOCSIN-DROP"}
	t.clear()
	return t
}

// A fake does what iptables-restore does with the lines of a batch, and
// complains where it would.
type fake map[string][]string // chain → rules

func (k fake) apply(t *testing.T, b *batch) {
	t.Helper()
	for line := range strings.Lines(b.String()) {
		line = strings.TrimSuffix(line, "\n")
		if line[0] == '*' {
			continue
		}
		if name, ok := strings.CutPrefix(line, ":"); ok {
			name, _, _ = strings.Cut(name, " ")
			if len(name) > maxName {
				t.Fatalf("chain name %s: %d letters, limit %d", name, len(name), maxName)
			}
			k[name] = nil
			continue
		}
		verb, rest, _ := strings.Cut(line, " ")
		chain, spec, _ := strings.Cut(rest, " ")
		if _, ok := k[chain]; !ok {
			t.Fatalf("%s: no such chain", line)
		}
		k.do(t, verb, chain, spec, line)
	}
}

func (k fake) do(t *testing.T, verb, chain, spec, line string) {
	t.Helper()
	switch verb {
	case "-A", "-I":
		if to, ok := strings.CutPrefix(spec[strings.LastIndex(spec, "-"):], "-g "); ok {
			if _, ok := k[to]; !ok && to != "TOCSIN-CAUGHT" && to != "TOCSIN-DROP" {
				t.Fatalf("%s: no such target", line)
			}
		}
		at := 0
		if verb == "-A" {
			at = len(k[chain])
		} else if n, rest, _ := strings.Cut(spec, " "); n != "-s" {
			var err error
			if at, err = strconv.Atoi(n); err != nil || at < 1 || at > len(k[chain])+1 {
				t.Fatalf("%s: no such place", line)
			}
			at, spec = at-1, rest
		}
		k[chain] = slices.Insert(k[chain], at, spec)
	case "-D":
		for i, s := range k[chain] {
			if s == spec {
				k[chain] = append(k[chain][:i:i], k[chain][i+1:]...)
				return
			}
		}
		t.Fatalf("%s: no such rule", line)
	case "-F":
		k[chain] = nil
	case "-X":
		if len(k[chain]) > 0 {
			t.Fatalf("%s: not empty", line)
		}
		for c, rules := range k {
			for _, r := range rules {
				if strings.HasSuffix(r, "-g "+chain) {
					t.Fatalf("%s: still used in %s", line, c)
				}
			}
		}
		delete(k, chain)
	default:
		t.Fatalf("%s: unknown", line)
	}
}

// hits walks a packet through the chains as the kernel does: how many rules it
// meets, and whether it meets the target of the tree.
func (k fake) hits(tr *tree, a netip.Addr) (met int, hit bool) {
	chain := tr.top
next:
	for {
		for _, rule := range k[chain] {
			met++
			target := rule
			if spec, ok := strings.CutPrefix(rule, "-s "); ok {
				prefix, rest, _ := strings.Cut(spec, " ")
				if !netip.MustParsePrefix(prefix).Contains(a) {
					continue
				}
				target = rest
			}
			if strings.HasSuffix(target, tr.target) {
				return met, true
			}
			to, _ := strings.CutPrefix(target, "-g ")
			if to == "TOCSIN-DROP" {
				return met, false
			}
			chain = to
			continue next
		}
		return met, false
	}
}

func within(rules map[netip.Prefix]time.Time, a netip.Addr) bool {
	for p := range rules {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// check compares the chains with the rules they were made of.
func (k fake) check(t *testing.T, tr *tree, probes []netip.Addr) {
	t.Helper()
	rules := 0
	for _, rs := range k {
		rules += len(rs)
	}
	want := len(tr.rules) + len(tr.nodes) - 1
	if tr.tail != "" {
		want += len(tr.nodes)
	}
	if len(k) != len(tr.nodes) || rules != want {
		t.Errorf("kernel has %d chains and %d rules, want %d and %d", len(k), rules, len(tr.nodes), want)
	}
	for _, a := range probes {
		if _, hit := k.hits(tr, a); hit != within(tr.rules, a) {
			t.Errorf("%v: got %v, want %v", a, hit, within(tr.rules, a))
		}
	}
}

// prefixOf makes a prefix of 8 bytes that a fuzzer may choose; few distinct
// networks, so that they crowd.
func prefixOf(f family, b []byte) netip.Prefix {
	v := binary.BigEndian.Uint32(b)
	if f.bits == 32 {
		a := netip.AddrFrom4([4]byte{203, b[0] & 1, b[1], b[2]})
		return netip.PrefixFrom(a, int(b[3])%33).Masked()
	}
	var a [16]byte
	a[0], a[1], a[5], a[7], a[8] = 0x20, b[0]&1, b[1], b[2], byte(v)
	return netip.PrefixFrom(netip.AddrFrom16(a), int(b[3])%129).Masked()
}

// FuzzTree makes and takes away rules in any order: the kernel, one change at a
// time, and the tree written anew agree with the list of rules.
func FuzzTree(f *testing.F) {
	many := make([]byte, 0, 400)
	for i := range 100 {
		many = append(many, byte(i>>6), byte(i), byte(i*7), 32)
	}
	f.Add(many, false, false)
	f.Add(append(many, many[:200]...), true, true)
	// Rules of many lengths, the short ones after the chain has branched.
	short := append([]byte(nil), many...)
	for bits := range byte(33) {
		short = append(short, 0, 0, 0, bits, 1, bits, 3, bits)
	}
	f.Add(short, false, false)
	f.Add(short, true, true)
	f.Add([]byte{1, 2, 3, 0, 1, 2, 3, 8, 1, 2, 3, 0}, false, true)
	f.Fuzz(func(t *testing.T, data []byte, six, pass bool) {
		fam := ipv4
		if six {
			fam = ipv6
		}
		tr := blockTree(fam)
		if pass {
			tr = passTree(fam)
		}
		k, b := fake{tr.top: nil}, newBatch("mangle")
		tr.build(b)
		var probes []netip.Addr
		for len(data) >= 4 && len(probes) < 300 {
			p := prefixOf(fam, data)
			probes = append(probes, p.Addr(), p.Addr().Next())
			// The same prefix again is taken away, but for every third.
			if _, had := tr.rules[p]; had && data[0]%3 > 0 {
				tr.unset(p, b)
			} else {
				tr.set(p, later.Add(time.Duration(data[0])*time.Second), b)
			}
			data = data[4:]
		}
		k.apply(t, b)
		k.check(t, tr, probes)
		again, anew := fake{tr.top: nil}, newBatch("mangle")
		tr.build(anew)
		again.apply(t, anew)
		again.check(t, tr, probes)
		anew.Reset()
		for p := range maps.Clone(tr.rules) {
			tr.unset(p, anew)
		}
		again.apply(t, anew)
		again.check(t, tr, probes)
		if len(again) != 1 {
			t.Errorf("%d chains without rules, want the first only", len(again))
		}
	})
}

// TestCrowded gives one network of an attacker most of the rules: nobody walks
// long for it.
func TestCrowded(t *testing.T) {
	for _, fam := range []family{ipv4, ipv6} {
		t.Run(fam.name, func(t *testing.T) {
			tr := blockTree(fam)
			k, b := fake{tr.top: nil}, newBatch("mangle")
			tr.build(b)
			neighbour := netip.MustParseAddr("203.0.113.255")
			a := netip.MustParseAddr("203.0.64.0")
			if fam.bits == 128 {
				neighbour, a = netip.MustParseAddr("2001:db8:1:ffff::1"), netip.MustParseAddr("2001:db8:1::")
			}
			for i := range 5000 {
				bits := 32
				if fam.bits == 128 {
					s := a.As16()
					binary.BigEndian.PutUint16(s[6:], uint16(i))
					a, bits = netip.AddrFrom16(s), 64
				}
				tr.set(netip.PrefixFrom(a, bits), later, b)
				a = a.Next()
			}
			k.apply(t, b)
			levels := fam.deep/step + 1
			met, hit := k.hits(tr, neighbour)
			if most := levels * (splitAt + 15); hit || met > most {
				t.Errorf("a neighbour meets %d rules and is hit: %v, want at most %d and false", met, hit, most)
			}
			for chain, rules := range k {
				if len(rules) > splitAt+15 {
					t.Errorf("chain %s has %d rules, want at most %d", chain, len(rules), splitAt+15)
				}
			}
		})
	}
}

func TestNamesFit(t *testing.T) {
	tr := blockTree(ipv6)
	tr.prefix = strings.Repeat("X", maxBase) + "-P"
	at := netip.MustParsePrefix("2001:db8:ffff:ffff::/64")
	if name := tr.name(at); len(name) > maxName {
		t.Errorf("%s: %d letters, limit %d", name, len(name), maxName)
	}
	for base, ok := range map[string]bool{
		"": true, "TOCSIN2": true, strings.Repeat("X", maxBase): true,
		strings.Repeat("X", maxBase+1): false, "A B": false, "A-B": false, "é": false, "A\nB": false,
	} {
		if err := (&Options{Chain: base}).complete(); (err == nil) != ok {
			t.Errorf("chain %q: got %v, want good: %v", base, err, ok)
		}
	}
}

func TestStop(t *testing.T) {
	for until, want := range map[string]string{
		"2026-10-14T06:00:00Z":      "2026-10-14T05:59:59",
		"2026-10-14T06:00:00.9Z":    "2026-10-14T06:00:00",
		"2026-10-14T06:00:00+02:00": "2026-10-14T03:59:59",
		"2039-01-01T00:00:00Z":      "", // beyond what xt_time can count
	} {
		at, err := time.Parse(time.RFC3339Nano, until)
		if err != nil {
			t.Fatal(err)
		}
		if got := stopOf(at); got != want {
			t.Errorf("%s: got %q, want %q", until, got, want)
		}
	}
}

// BenchmarkTree20k writes 20,000 rules anew.
func BenchmarkTree20k(b *testing.B) {
	tr := blockTree(ipv4)
	for _, r := range botnet(20_000, time.Hour) {
		tr.rules[r.Prefix] = r.Until
	}
	b.ReportAllocs()
	for b.Loop() {
		tr.build(newBatch("mangle"))
	}
	b.ReportMetric(float64(len(tr.nodes)), "chains")
}
