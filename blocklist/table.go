package blocklist

import (
	"net/netip"
	"slices"
	"time"

	"github.com/tocsin-io/tocsin"
)

// A key is a prefix in 17 bytes and without a pointer, so that a million of
// them cost the garbage collector nothing.
type key struct {
	addr [16]byte
	bits uint8 // of an IPv4 prefix: 128 more, to tell 192.0.2.0/24 from its mapped form
}

const v4 = 128

func keyOf(p netip.Prefix) key {
	k := key{addr: p.Addr().As16(), bits: uint8(p.Bits())}
	if p.Addr().Is4() {
		k.bits += v4 + 1 // 129..161, above every IPv6 length
	}
	return k
}

func (k key) prefix() netip.Prefix {
	a := netip.AddrFrom16(k.addr)
	if k.bits > v4 {
		return netip.PrefixFrom(a.Unmap(), int(k.bits)-v4-1)
	}
	return netip.PrefixFrom(a, int(k.bits))
}

// A row is what the origins decided about one prefix, in seconds since 1970.
type row struct {
	at    uint32          // of the newest decision
	until [origins]uint32 // by origin; 0 is no decision
	hits  uint32          // packets dropped, by sample
	last  uint32          // when the last sample came, 0 is never
	due   uint32          // minute at which Expire looks at it, 0 is none
}

func (r *row) set(d tocsin.Decision) {
	r.at = seconds(d.At)
	r.until[d.Origin] = seconds(d.Until)
}

func (r row) end() uint32 { return slices.Max(r.until[:]) }

func (r row) live(now time.Time) bool { return int64(r.end()) > now.Unix() }

func (r row) rule(k key, a tocsin.Action) tocsin.Rule {
	return tocsin.Rule{Prefix: k.prefix(), Action: a, Until: time.Unix(int64(r.end()), 0)}
}

// seconds rounds up: a rule never ends before its decision says.
func seconds(t time.Time) uint32 {
	s := t.Unix()
	if t.Nanosecond() > 0 {
		s++
	}
	return uint32(min(max(s, 1), 1<<32-1))
}

// A table finds rows by exact prefix, and by address: one look-up per prefix
// length in use.
type table struct {
	rows    map[key]row
	lengths [2 * v4]int // rows by key.bits
	used    []uint8     // key.bits in use, in order
}

func newTable() table { return table{rows: make(map[key]row)} }

func (t *table) has(k key) bool { _, held := t.rows[k]; return held }

func (t *table) put(k key, r row) {
	if !t.has(k) {
		if t.lengths[k.bits]++; t.lengths[k.bits] == 1 {
			i, _ := slices.BinarySearch(t.used, k.bits)
			t.used = slices.Insert(t.used, i, k.bits)
		}
	}
	t.rows[k] = r
}

func (t *table) drop(k key) {
	if t.has(k) {
		if t.lengths[k.bits]--; t.lengths[k.bits] == 0 {
			i, _ := slices.BinarySearch(t.used, k.bits)
			t.used = slices.Delete(t.used, i, i+1)
		}
		delete(t.rows, k)
	}
}

// covering returns the widest prefix in force that holds all of p.
func (t *table) covering(p netip.Prefix, now time.Time) (key, bool) {
	narrowest := keyOf(p)
	family := narrowest.bits > v4
	for _, bits := range t.used {
		if bits > v4 != family || bits > narrowest.bits {
			continue
		}
		if k := narrowest.widen(bits); t.rows[k].live(now) {
			return k, true
		}
	}
	return key{}, false
}

// widen returns the prefix of the given k.bits that holds k.
func (k key) widen(bits uint8) key {
	keep := int(bits)
	if bits > v4 {
		keep += 96 - v4 - 1 // the mapped form has 96 bits before an IPv4 address
	}
	k.bits = bits
	for i := range k.addr {
		switch rest := keep - 8*i; {
		case rest <= 0:
			k.addr[i] = 0
		case rest < 8:
			k.addr[i] &= ^byte(0) << (8 - rest)
		}
	}
	return k
}

// newest returns the keys in force, the newest decision first. It sorts plain
// numbers, because a million rules must be on their way to the kernel within a
// fraction of a second after somebody flushed it.
func (t *table) newest(now time.Time) []key {
	keys := make([]key, 0, len(t.rows))
	order := make([]uint64, 0, len(t.rows)) // age, then place in keys
	for k, r := range t.rows {
		if r.live(now) {
			order = append(order, uint64(^r.at)<<32|uint64(len(keys)))
			keys = append(keys, k)
		}
	}
	slices.Sort(order)
	sorted := make([]key, len(keys))
	for i, o := range order {
		sorted[i] = keys[uint32(o)]
	}
	return sorted
}
