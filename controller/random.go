package controller

// A random is a stream of numbers made from a seed (SplitMix64): the same in
// every version of Go, for a ranking must be the same when it is made again.
type random uint64

func (r *random) next() uint64 {
	*r += 0x9e3779b97f4a7c15
	z := uint64(*r)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// below returns a number from 0 to n-1; that it prefers some by 2^-32 is of no
// account here.
func (r *random) below(n int) int { return int((r.next() >> 32) * uint64(n) >> 32) }

// stream returns the numbers of one name, whatever is drawn for others.
func stream(seed uint64, name string) random {
	h := uint64(14695981039346656037) // FNV-1a
	for i := range len(name) {
		h = (h ^ uint64(name[i])) * 1099511628211
	}
	r := random(seed ^ h)
	return random(r.next())
}
