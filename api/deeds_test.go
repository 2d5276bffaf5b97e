package api

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"github.com/tocsin-io/tocsin/ledger"
)

// TestStrangersHideNoRefusal: however many guess from wherever, what is refused to
// somebody who is known is written down.
func TestStrangersHideNoRefusal(t *testing.T) {
	d, now := newDeeds(), time.Now()
	written := 0
	for i := range uint32(2 * refusedMost) {
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], 198<<24|18<<16|i)
		if d.room(&call{at: now, from: netip.AddrFrom4(b), by: "?", how: ledger.Console}) {
			written++
		}
	}
	if written != refusedMost {
		t.Errorf("%d guesses are written down, want %d", written, refusedMost)
	}
	if !d.room(&call{at: now, by: "bob", how: ledger.Token, role: viewer}) {
		t.Error("what bob was refused is not")
	}
}
