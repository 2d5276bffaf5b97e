package authlog

import "net/netip"

// A visitor is what the lines of one process told of last. A session takes
// several lines of the same process with the same address, and to see that an
// address is the same costs a tenth of reading it. It only saves work: whatever
// it answers, reading the text would answer the same.
type visitor struct {
	text [45]byte // the address as it was written
	n    uint8    // 0: none
	addr netip.Addr
	slot int32 // of its session
}

// visitors is how many are remembered: one for each process number, modulo.
const visitors = 64

// keep remembers that text was read as addr.
func (v *visitor) keep(text []byte, addr netip.Addr) {
	// A colon at the end may belong to the sentence: that is to be looked at.
	if v != nil && len(text) <= len(v.text) && text[len(text)-1] != ':' {
		v.n, v.addr = uint8(copy(v.text[:], text)), addr
	}
}

// after returns where the address ends, if it stands at m[i:j].
func (v *visitor) after(m []byte, i, j int) (end int, ok bool) {
	if v == nil || v.n == 0 {
		return 0, false
	}
	end = i + int(v.n)
	ok = end <= j && string(m[i:end]) == string(v.text[:v.n]) && (end == j || !goesOn(m[end:j]))
	return end, ok
}

// before returns where the address starts, if it ends at m[j], not before floor.
func (v *visitor) before(m []byte, floor, j int) (start int, ok bool) {
	if v == nil || v.n == 0 {
		return 0, false
	}
	start = j - int(v.n)
	ok = start >= floor && string(m[start:j]) == string(v.text[:v.n]) && (start == floor || class[m[start-1]]&(1<<addr) == 0)
	return start, ok
}
