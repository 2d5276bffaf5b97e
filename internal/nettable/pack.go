package nettable

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// maxText bounds what Pack reads, in bytes.
const maxText = 256 << 20

// A span is one line of the source: addresses from first to last, IPv6 by their
// upper half.
type span struct {
	first, last uint64
	entry
}

// Pack reads lines "first,last,as,…" of IPv4 and IPv6 addresses in any order, as
// in the asn-ipv4.csv and asn-ipv6.csv of ip-location-db, and returns the packed
// table. A fourth column of two capital letters is taken for the country; any
// other is ignored. Empty lines and lines that start with # are ignored; any
// other line that cannot be read is an error that tells its number. Where ranges
// overlap, the one that starts later wins, and what follows it is unknown.
func Pack(r io.Reader, info Info) ([]byte, error) {
	var v4, v6 []span
	text, err := io.ReadAll(io.LimitReader(r, maxText+1))
	if err != nil {
		return nil, fmt.Errorf("nettable: %w", err)
	}
	if len(text) > maxText {
		return nil, fmt.Errorf("nettable: more than %d bytes", maxText)
	}
	n := 0
	for line := range bytes.Lines(text) {
		n++
		line := strings.TrimSpace(string(line))
		if line == "" || line[0] == '#' {
			continue
		}
		s, is4, err := parse(line)
		if err != nil {
			return nil, fmt.Errorf("nettable: line %d: %w", n, err)
		}
		if is4 {
			v4 = append(v4, s)
		} else {
			v6 = append(v6, s)
		}
		if len(v4)+len(v6) > MaxRanges/2 {
			return nil, fmt.Errorf("nettable: line %d: more than %d ranges", n, MaxRanges/2)
		}
	}
	if len(v4)+len(v6) == 0 {
		return nil, errors.New("nettable: no ranges: expected lines such as 192.0.2.0,192.0.2.255,64496")
	}
	return encode(v4, v6, info)
}

func parse(line string) (s span, is4 bool, err error) {
	cells := strings.SplitN(line, ",", 4)
	if len(cells) < 3 {
		return s, false, errors.New("expected first address, last address, number of the network")
	}
	for i := range cells {
		cells[i] = strings.Trim(cells[i], `" `)
	}
	first, err := netip.ParseAddr(cells[0])
	if err != nil {
		return s, false, err
	}
	last, err := netip.ParseAddr(cells[1])
	if err != nil {
		return s, false, err
	}
	as, err := strconv.ParseUint(strings.TrimPrefix(cells[2], "AS"), 10, 32)
	if err != nil {
		return s, false, err
	}
	if first.BitLen() != last.BitLen() || last.Less(first) {
		return s, false, fmt.Errorf("%v to %v is no range", first, last)
	}
	s = span{number(first), number(last), entry{as: uint32(as)}}
	if len(cells) == 4 && isCountry(cells[3]) {
		copy(s.country[:], cells[3])
	}
	return s, first.Is4(), nil
}

func isCountry(s string) bool {
	return len(s) == 2 && 'A' <= s[0] && s[0] <= 'Z' && 'A' <= s[1] && s[1] <= 'Z'
}

func number(a netip.Addr) uint64 {
	if a.Is4() {
		b := a.As4()
		return uint64(binary.BigEndian.Uint32(b[:]))
	}
	b := a.As16()
	return binary.BigEndian.Uint64(b[:8])
}

func encode(v4, v6 []span, info Info) ([]byte, error) {
	plain := []byte(magic)
	date := uint64(0)
	if !info.Date.IsZero() {
		date = uint64(max(info.Date.Unix(), 0))
	}
	plain = binary.AppendUvarint(plain, date)
	for _, text := range []string{info.Source, info.Quality} {
		text = text[:min(len(text), 1<<12)]
		plain = append(binary.AppendUvarint(plain, uint64(len(text))), text...)
	}
	plain = appendRanges(plain, flatten(v4, 1<<32-1))
	plain = appendRanges(plain, flatten(v6, 1<<64-1))
	w, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(8<<20))
	if err != nil {
		return nil, fmt.Errorf("nettable: %w", err)
	}
	return w.EncodeAll(plain, nil), nil
}

// A mark says what is known from an address on.
type mark struct {
	from uint64
	entry
}

// flatten turns spans into marks: each starts where what is known changes, also
// to nothing.
func flatten(list []span, end uint64) (marks []mark) {
	slices.SortStableFunc(list, func(a, b span) int { return cmp.Compare(a.first, b.first) })
	put := func(from uint64, e entry) {
		if n := len(marks); n > 0 && marks[n-1].from == from {
			marks = marks[:n-1]
		}
		if n := len(marks); n > 0 && marks[n-1].entry == e || n == 0 && e == (entry{}) {
			return
		}
		marks = append(marks, mark{from, e})
	}
	for i, s := range list {
		put(s.first, s.entry)
		if s.last < end && (i+1 == len(list) || list[i+1].first > s.last) {
			put(s.last+1, entry{})
		}
	}
	return marks
}

// appendRanges writes what ranges of a reader reads.
func appendRanges(b []byte, marks []mark) []byte {
	shift := 63
	var known []entry
	for _, m := range marks {
		if m.from != 0 {
			shift = min(shift, bits.TrailingZeros64(m.from))
		}
		known = append(known, m.entry)
	}
	if len(marks) == 0 || marks[len(marks)-1].from < 1<<32 {
		shift = min(shift, 31)
	}
	slices.SortFunc(known, func(a, b entry) int {
		return cmp.Or(cmp.Compare(a.as, b.as), cmp.Compare(string(a.country[:]), string(b.country[:])))
	})
	known = slices.Compact(known)
	place := make(map[entry]uint64, len(known))
	b = binary.AppendUvarint(b, uint64(shift))
	b = binary.AppendUvarint(b, uint64(len(known)))
	as := uint32(0)
	for i, e := range known {
		place[e] = uint64(i)
		b = binary.AppendUvarint(b, uint64(e.as-as))
		b = append(b, e.country[:]...)
		as = e.as
	}
	b = binary.AppendUvarint(b, uint64(len(marks)))
	at := uint64(0)
	for _, m := range marks {
		b = binary.AppendUvarint(b, m.from>>shift-at)
		at = m.from >> shift
	}
	for _, m := range marks {
		b = binary.AppendUvarint(b, place[m.entry])
	}
	return b
}
