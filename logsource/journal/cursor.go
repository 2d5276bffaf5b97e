package journal

import (
	"fmt"
	"sort"
)

// A cursor walks the entries of a file in the order they were written: along a
// chain of arrays of offsets. Both the arrays and the entries only ever lie
// further on in the file, so that no damage makes it walk in a circle.
type cursor struct {
	array uint64 // offset of the array, 0 before the first
	n, i  uint64 // its items, and those passed
	done  uint64 // entries passed in all
	last  uint64 // offset of the last entry
	bad   int    // entries passed over
}

// step returns the offset of the next entry; ok is false after the last. An
// offset that leads back is passed over. An error says that the chain of arrays
// ends here: nothing behind it can be found.
func (f *file) step(c *cursor, h header) (off uint64, ok bool, err error) {
	for c.done < h.entries {
		for c.i >= c.n {
			if ok, err := f.nextArray(c, h); !ok {
				return 0, false, err
			}
		}
		off, err = f.arrayItem(c, c.i)
		switch {
		case err != nil:
			return 0, false, err
		case off == 0:
			return 0, false, nil // counted already, but not written yet
		case off > c.last:
			return off, true, nil
		}
		c.bad++
		c.pass(off)
	}
	return 0, false, nil
}

// pass goes on behind the entry that step returned.
func (c *cursor) pass(off uint64) {
	c.i++
	c.done++
	c.last = max(c.last, off)
}

// nextArray goes to the next array; ok is false after the last.
func (f *file) nextArray(c *cursor, h header) (ok bool, err error) {
	to := h.array
	if c.array != 0 {
		// The array may have been the last one when it was first read.
		b, _, err := f.object(&f.array, c.array, typeEntryArray, arrayLen, 0)
		if err != nil {
			return false, err
		}
		to = le.Uint64(b[16:])
	}
	if to == 0 {
		return false, nil
	}
	if to <= c.array {
		return false, fmt.Errorf("%w: array at %d after %d", errDamaged, to, c.array)
	}
	_, size, err := f.object(&f.array, to, typeEntryArray, arrayLen, 0)
	if err != nil {
		return false, err
	}
	c.array, c.i = to, 0
	c.n = (size - arrayLen) / f.itemLen(8)
	return true, nil
}

func (f *file) arrayItem(c *cursor, i uint64) (uint64, error) {
	step := f.itemLen(8)
	b, err := f.at(&f.array, c.array+arrayLen+i*step, int(step), 0)
	if err != nil {
		return 0, err
	}
	return f.item(b), nil
}

// seek passes the entries that are before what is looked for, without reading
// them all. before must hold for a beginning of the file's entries; damage only
// makes it stop early.
func (f *file) seek(c *cursor, h header, before func(entry) bool) {
	earlier := func(i uint64) bool {
		off, err := f.arrayItem(c, i)
		if err != nil {
			return false
		}
		e, err := f.entry(off)
		return err == nil && before(e)
	}
	for c.done < h.entries {
		if c.i >= c.n {
			if ok, err := f.nextArray(c, h); !ok || err != nil {
				return
			}
			continue
		}
		n := min(c.n, h.entries-c.done)
		if earlier(n - 1) {
			c.i, c.done = n, c.done+n
			continue
		}
		skip := sort.Search(int(min(n, 1<<31)), func(i int) bool { return !earlier(uint64(i)) })
		c.i, c.done = uint64(skip), c.done+uint64(skip)
		return
	}
}

// toEnd passes all entries there are.
func (f *file) toEnd(c *cursor, h header) {
	f.seek(c, h, func(entry) bool { return true })
}
