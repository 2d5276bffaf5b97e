package nft

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"time"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"

	"github.com/tocsin-io/tocsin/firewall"
	"github.com/tocsin-io/tocsin/internal/logkey"
)

// probe makes a throw-away table with all that the real one needs, but for the
// hook, looks an element up in it, and deletes it: what a kernel can do is not
// to be told from its version. A kernel without log groups only costs samples,
// one that cannot tell its own addresses the spared ports.
func (f *Filter) probe() error {
	if _, err := f.ask.hasTable(); err != nil {
		return missing(err)
	}
	real := f.table
	defer func() { f.table, f.ask.table = real, real.Name }()
	f.table = &nftables.Table{Name: real.Name + ".probe", Family: real.Family}
	f.ask.table = f.table.Name

	held, err := f.tryMost()
	if err != nil {
		return missing(err)
	}
	if !held {
		return fmt.Errorf("nft: probe: %w: a set forgot its element", firewall.ErrUnsupported)
	}
	return nil
}

// tryMost tries with as much of what can be done without as the kernel takes.
func (f *Filter) tryMost() (held bool, err error) {
	spare := len(f.opt.Spare) > 0
	var why error // what the kernel has against all of it
	for _, with := range []struct{ samples, spare bool }{{true, spare}, {true, false}, {false, spare}, {false, false}} {
		f.sampled, f.spares = with.samples, with.spare
		if held, err = f.try(); err == nil || errors.Is(err, os.ErrPermission) {
			break
		}
		why = cmp.Or(why, err)
	}
	if err == nil && !f.sampled {
		f.log.Warn("this kernel cannot sample what it drops", logkey.Err, why)
	}
	if err == nil && f.spares != spare {
		f.log.Warn("this kernel cannot spare single ports: blocked sources reach none", logkey.Err, why)
	}
	return held, err
}

// try makes the table, asks, and deletes it.
func (f *Filter) try() (held bool, err error) {
	if f.spares && f.opt.noFib {
		return false, unix.EOPNOTSUPP
	}
	f.conn.AddTable(f.table) // one may be left of a process that was killed here
	f.conn.DelTable(f.table)
	f.skeleton(false)
	f.generation(1)
	f.dispatch(1)
	p := netip.MustParsePrefix("192.0.2.1/32")
	id := setID{gen: 1, bits: 32}
	if err := f.addSet(id); err != nil {
		return false, err
	}
	// Twice: a kernel before 6.12 keeps the first end.
	for _, d := range []time.Duration{time.Minute, 24 * time.Hour} {
		e := nftables.SetElement{Key: p.Addr().AsSlice(), Timeout: d}
		if err := f.conn.SetAddElements(f.set(id), []nftables.SetElement{e}); err != nil {
			return false, err
		}
		if err := f.flush(); err != nil {
			return false, err
		}
	}
	d, err := f.ask.life(id, p)
	f.renews = err == nil && d > time.Minute && !f.opt.oldKernel
	held, err = f.ask.holds(id, p)
	f.conn.DelTable(f.table)
	return held, errors.Join(err, f.flush())
}

// missing explains an error of the first questions: a kernel without nf_tables
// does not know the message at all.
func missing(err error) error {
	for _, no := range []error{unix.EINVAL, unix.ENOENT, unix.ENOSYS} {
		if errors.Is(err, no) {
			return fmt.Errorf("nft: probe: %w: nf_tables is missing or incomplete (%v)", firewall.ErrUnsupported, err)
		}
	}
	return explain("probe", err)
}
