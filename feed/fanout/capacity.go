package fanout

import "golang.org/x/sys/unix"

// Reserve is how many descriptors stay for files, the database and the API.
const Reserve = 512

// Capacity returns how many connections fit into the descriptors that this
// process may have: what LimitNOFILE= of its unit says, less [Reserve]. Go
// raises the soft limit to the hard one at start.
func Capacity() int {
	var r unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &r); err != nil {
		return 1024 / 2 // the smallest limit in use anywhere
	}
	const enough = 1 << 20 // one process with more than that has other limits
	n := int(min(r.Max, enough))
	if r.Cur < r.Max {
		n = int(min(r.Cur, enough))
	}
	return max(n/2, n-Reserve)
}
