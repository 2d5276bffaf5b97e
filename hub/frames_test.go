package hub

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/tocsin-io/tocsin"
)

func blocks(n int) (list []tocsin.Rule) {
	for i := range n {
		p := netip.MustParsePrefix(fmt.Sprintf("198.18.%d.%d/32", i>>8, i&255))
		list = append(list, tocsin.Rule{Prefix: p, Action: tocsin.Block, Until: time.Unix(2e9, 0)})
	}
	return list
}

func TestWhoIsToBeLetInDoesNotWaitForBulk(t *testing.T) {
	pass := blocks(1)[0]
	pass.Action = tocsin.Pass
	wide := tocsin.Rule{Prefix: netip.MustParsePrefix("203.0.113.0/24"), Action: tocsin.Block}
	for _, one := range []struct {
		name   string
		change tocsin.Change
		adds   []int  // of each frame
		bulk   []bool // of each frame
	}{
		{"nothing", tocsin.Change{}, nil, nil},
		{"one host", tocsin.Change{Add: blocks(1)}, []int{1}, []bool{false}},
		{"a host for another", tocsin.Change{Add: blocks(1), Remove: blocks(1)}, []int{1}, []bool{false}},
		{"a burst of hosts", tocsin.Change{Add: blocks(250)}, []int{100, 100, 50}, []bool{false, false, false}},
		{"more than a burst", tocsin.Change{Add: blocks(1001)}, []int{1001}, []bool{true}},
		{"a network", tocsin.Change{Add: []tocsin.Rule{wide}}, []int{1}, []bool{true}},
		{"a network, and one let in", tocsin.Change{Add: []tocsin.Rule{wide, pass}, Remove: blocks(2)}, []int{1, 1}, []bool{false, true}},
		{"a pass and a host", tocsin.Change{Add: append(blocks(1), pass)}, []int{2}, []bool{false}},
	} {
		t.Run(one.name, func(t *testing.T) {
			frames := inFrames(one.change)
			if len(frames) != len(one.adds) {
				t.Fatalf("%d frames, want %d", len(frames), len(one.adds))
			}
			removed := 0
			for i, f := range frames {
				removed += len(f.Remove)
				if len(f.Add) != one.adds[i] || f.bulk != one.bulk[i] {
					t.Errorf("frame %d: %d additions, bulk %v", i, len(f.Add), f.bulk)
				}
			}
			if removed != len(one.change.Remove) {
				t.Errorf("%d removals, want %d", removed, len(one.change.Remove))
			}
		})
	}
}
