package campaign

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestFeaturesAreInOrder(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for _, n := range []int{0, 1, 2, 7, 100, 5000} {
		var x index
		for round := range 3 { // what is left of one pass does not disturb the next
			x.features = x.features[:0]
			for i := range n {
				h := r.Uint64()
				if i%3 == 0 { // common ones
					h = uint64(i%9) << 61
				}
				x.features = append(x.features, feature{hash: h, source: int32(i)})
			}
			want := slices.Clone(x.features)
			slices.SortFunc(want, func(a, b feature) int { return cmp.Or(cmp.Compare(a.hash, b.hash), cmp.Compare(a.source, b.source)) })
			x.sort()
			if !slices.Equal(x.features, want) {
				t.Fatalf("%d features, round %d: not in order", n, round)
			}
		}
	}
}
