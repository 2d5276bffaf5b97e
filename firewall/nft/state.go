package nft

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tocsin-io/tocsin/firewall"
)

// maxGens bounds generations: there are two while Replace runs, and one more
// if an earlier Replace was killed.
const maxGens = 9

// state is what is known about our table: its sets, never their elements.
type state struct {
	exists bool
	gens   []int // in force; rules are added to the last
	sets   map[setID]bool
}

func newState(gen int) state {
	return state{exists: true, gens: []int{gen}, sets: make(map[setID]bool)}
}

// next returns the number of a generation that is not in use.
func (s state) next() int {
	for g := 1; g < maxGens; g++ {
		if !slices.Contains(s.gens, g) {
			return g
		}
	}
	return maxGens
}

// current returns the generation that rules are added to. Without a table there
// is none, and the kernel will say so.
func (s state) current() int {
	if len(s.gens) == 0 {
		return 1
	}
	return s.gens[len(s.gens)-1]
}

// read asks the kernel for the state of our table.
func (f *Filter) read() (state, error) {
	ok, err := f.ask.hasTable()
	if err != nil || !ok {
		return state{}, explain("look for table inet "+f.table.Name, err)
	}
	if ok, err = f.ask.hasChain(chainMarker); err != nil {
		return state{}, explain("look for chain "+chainMarker, err)
	}
	if !ok {
		return state{}, fmt.Errorf("nft: table inet %s: %w: remove it with `nft delete table inet %s`, or choose another name for ours",
			f.table.Name, firewall.ErrForeign, f.table.Name)
	}
	names, err := f.ask.sets()
	if err != nil {
		return state{}, explain("list the sets of table inet "+f.table.Name, err)
	}
	return stateOf(names), nil
}

func stateOf(sets []string) state {
	s := state{exists: true, sets: make(map[setID]bool)}
	for _, name := range sets {
		id, ok := parseSet(name)
		if !ok {
			continue // somebody put it into our table: not ours to judge
		}
		s.sets[id] = true
		if !slices.Contains(s.gens, id.gen) {
			s.gens = append(s.gens, id.gen)
		}
	}
	if len(s.gens) == 0 {
		s.gens = []int{1}
	}
	slices.Sort(s.gens)
	return s
}

// patience is how long the kernel may take for one transaction. The library
// waits for an answer to each message, but the kernel sends only one when it
// has no memory left.
const patience = time.Minute

// flush sends what is queued as one transaction: all of it, or nothing.
func (f *Filter) flush() error {
	if err := f.nl.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	err := f.conn.Flush()
	if err != nil {
		f.drain()
	}
	return err
}

// drain throws away the answers that are left over after an error, or they
// would be taken for those of the next transaction. The kernel answers before
// it returns from a send, so whatever is left is there.
func (f *Filter) drain() {
	if f.nl.SetReadDeadline(time.Now().Add(20*time.Millisecond)) != nil {
		return // closed
	}
	for {
		_, err := f.nl.Receive()
		if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, os.ErrClosed) || errors.Is(err, unix.EBADF) {
			return
		}
	}
}

// explain says what went wrong in the words of package firewall.
func explain(doing string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("nft: %s: %w: run as root or give CAP_NET_ADMIN (%v)", doing, firewall.ErrPower, err)
	case errors.Is(err, unix.ENOENT):
		return fmt.Errorf("nft: %s: part of our table is gone, Replace mends it: %w", doing, err)
	case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.EPROTONOSUPPORT), errors.Is(err, unix.EAFNOSUPPORT):
		return fmt.Errorf("nft: %s: %w: nf_tables is missing or incomplete (%v)", doing, firewall.ErrUnsupported, err)
	}
	return fmt.Errorf("nft: %s: %w", doing, err)
}
