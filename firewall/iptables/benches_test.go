package iptables

import (
	"sync"
	"testing"

	"github.com/tocsin-io/tocsin/internal/testnet"
)

// benches remembers the lock of each network of the conformance tests.
type benches struct {
	mu  sync.Mutex // guards all
	all map[*testnet.Net]bench
}

func newBenches() *benches { return &benches{all: map[*testnet.Net]bench{}} }

func (bs *benches) of(t *testing.T, n *testnet.Net) bench {
	t.Helper()
	bs.mu.Lock()
	defer bs.mu.Unlock()
	b, ok := bs.all[n]
	if !ok {
		b = benchOf(t, n)
		bs.all[n] = b
	}
	return b
}
