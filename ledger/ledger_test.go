package ledger

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func seq(all []Entry) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for _, e := range all {
			if !yield(e, nil) {
				return
			}
		}
	}
}

// chain returns a log of that many entries.
func chain(n int) (all []Entry) {
	var last Entry
	for i := range n {
		last = Link(last.Serial, last.Hash, Entry{
			At: time.Unix(1_697_300_000+int64(i), 7), By: "ada", How: Console, From: netip.MustParseAddr("192.0.2.1"),
			Did: fmt.Sprint("block 198.51.100.", i, "/32 for 1h"), Path: "POST /v1/orders", Outcome: "done",
		})
		all = append(all, last)
	}
	return all
}

func verify(t interface{ Fatal(...any) }, all []Entry, noted Hash) Report {
	r, err := Verify(seq(all), noted)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestVerify(t *testing.T) {
	all := chain(5)
	if r := verify(t, all, all[2].Hash); !r.Good() || r.Entries != 5 || r.Head != all[4].Hash || r.Noted != 3 || !r.At.Equal(all[4].At) {
		t.Errorf("got %+v", r)
	}
	if r := verify(t, nil, Hash{}); !r.Good() || r.Entries != 0 || r.Head != (Hash{}) || r.Noted != 0 {
		t.Errorf("an empty log: got %+v", r)
	}
	// The end cut off is a good chain: only a head from before tells.
	if r := verify(t, all[:3], all[4].Hash); !r.Good() || r.Noted != 0 {
		t.Errorf("cut off: got %+v", r)
	}
	broken := errors.New("the disk")
	if _, err := Verify(func(yield func(Entry, error) bool) { yield(Entry{}, broken) }, Hash{}); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}

func TestTexts(t *testing.T) {
	e := Link(0, Hash{}, Entry{At: time.Unix(1, 0), By: strings.Repeat("é", MaxText), Did: "\xff"})
	if len(e.By) != MaxText || e.Did != "?" {
		t.Errorf("got %d bytes, %q", len(e.By), e.Did)
	}
	if r := verify(t, []Entry{e}, Hash{}); !r.Good() {
		t.Errorf("got %+v", r)
	}
	h, err := ParseHash(" " + e.Hash.String() + "\n")
	if err != nil || h != e.Hash {
		t.Errorf("got %v, %v", h, err)
	}
	for _, bad := range []string{"", "abc", strings.Repeat("g", 64), strings.Repeat("a", 66)} {
		if _, err := ParseHash(bad); err == nil {
			t.Errorf("%q is a hash", bad)
		}
	}
}

// TestTampering: whatever is changed, removed, put in or moved is found, at the
// first entry that it touches.
func TestTampering(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(2, 12).Draw(t, "entries")
		all := chain(n)
		i := rapid.IntRange(0, n-1).Draw(t, "which")
		first := uint64(i + 1) // the serial that must be told
		more := uint64(0)      // entries of that serial that hold
		forged := slices.Clone(all)
		switch rapid.SampledFrom([]string{"text", "time", "serial", "from", "hash", "move bytes", "remove", "insert", "swap", "repeat"}).Draw(t, "how") {
		case "text":
			text := forged[i].texts()[rapid.IntRange(0, 4).Draw(t, "text")]
			*text = rapid.String().Filter(func(s string) bool { return s != *text }).Draw(t, "to")
		case "time":
			forged[i].At = forged[i].At.Add(time.Duration(rapid.Int64Range(1, 1<<40).Draw(t, "by")))
		case "serial":
			forged[i].Serial += rapid.Uint64Range(1, 1<<40).Draw(t, "by")
		case "from":
			forged[i].From = netip.Addr{}
		case "hash":
			forged[i].Hash[rapid.IntRange(0, 31).Draw(t, "byte")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		case "move bytes": // from one text to the next
			forged[i].By, forged[i].How = forged[i].By+forged[i].How[:1], forged[i].How[1:]
		case "remove":
			i = rapid.IntRange(0, n-2).Draw(t, "not the last")
			forged, first = slices.Delete(forged, i, i+1), uint64(i+1)
		case "insert":
			forged = slices.Insert(forged, i, Link(uint64(i), Hash{1}, Entry{At: time.Unix(1, 0), By: "eve"}))
		case "swap":
			i = rapid.IntRange(0, n-2).Draw(t, "first of two")
			forged[i], forged[i+1], first = forged[i+1], forged[i], uint64(i+1)
		case "repeat":
			forged, first = slices.Insert(forged, i, forged[i]), uint64(i+1)
			more = 1
		}
		r := verify(t, forged, Hash{})
		if r.Broken != first || r.Why == "" {
			t.Fatalf("got %+v, want it at %d", r, first)
		}
		if holds := first - 1 + more; holds > 0 && (r.Entries != holds || r.Head != all[holds-1].Hash) {
			t.Fatalf("what holds before: got %+v", r)
		}
	})
}

// TestMadeAnew: a chain that was made anew from some entry on is good in itself,
// and has no head that was noted after that entry.
func TestMadeAnew(t *testing.T) {
	all := chain(6)
	forged := slices.Clone(all[:2])
	for _, e := range all[3:] {
		last := forged[len(forged)-1]
		forged = append(forged, Link(last.Serial, last.Hash, e))
	}
	if r := verify(t, forged, all[5].Hash); !r.Good() || r.Noted != 0 {
		t.Errorf("got %+v", r)
	}
	if r := verify(t, forged, all[1].Hash); r.Noted != 2 {
		t.Errorf("got %+v", r)
	}
}

// FuzzDecode: what is read is what would be written.
func FuzzDecode(f *testing.F) {
	f.Add(chain(1)[0].Encode())
	f.Add(Entry{At: time.Unix(0, 0)}.Encode())
	f.Add([]byte(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := Decode(b)
		if err == nil && !bytes.Equal(e.Encode(), b) {
			t.Errorf("got %x from %x", e.Encode(), b)
		}
	})
}
