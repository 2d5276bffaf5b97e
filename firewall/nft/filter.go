// Package nft is a firewall.Filter in nf_tables, by netlink: one table of our
// own, hash sets with deadlines in the kernel, one for each prefix length in
// use. Rules go on being enforced, and go on ending, when the process is gone.
//
// It keeps no copy of the rules: it knows which sets there are, and asks the
// kernel for the rest. It never touches, nor lists, what others made. Kernels
// without nf_tables are the business of package iptables.
package nft

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"sync"

	"github.com/google/nftables"
	"github.com/mdlayher/netlink"

	"github.com/tocsin-io/tocsin/firewall"
	"github.com/tocsin-io/tocsin/internal/nflog"
	"github.com/tocsin-io/tocsin/internal/sockcut"
)

// Options say how to open a [Filter]. The zero Options are those of a guard.
type Options struct {
	// Table is the name of our table, of family inet; "" is "tocsin".
	Table string
	// Group is the netfilter log group of the samples; 0 is [DefaultGroup].
	Group uint16
	// SampleRate is how many dropped packets a second are sampled at most; 0
	// is 50.
	SampleRate uint64
	// KeepSockets leaves open connections of a blocked source standing: it is
	// silenced only. Otherwise the ones that this device accepted are closed.
	KeepSockets bool
	// Spare are TCP ports of this machine that blocked sources may open all the
	// same, such as the page of the one-time passes: 20 packets a second that
	// begin a connection, for each port. A table that an earlier Filter left
	// has them from Replace on.
	Spare []uint16
	// Log is told what the kernel cannot do; nil is [slog.Default].
	Log *slog.Logger

	oldKernel bool // for tests: as if adding an element again did not renew it
	noFib     bool // for tests: as if the kernel could not spare ports
}

// DefaultGroup is the netfilter log group used for samples: few programs use
// such a high one.
const DefaultGroup = 0x70c5

const (
	defaultTable  = "tocsin"
	defaultSample = 50
)

// A Filter enforces rules by nf_tables in the network namespace of the thread
// that opened it. It may be used by several goroutines.
type Filter struct {
	opt     Options
	log     *slog.Logger
	table   *nftables.Table
	sampled bool // this kernel can log to a group
	spares  bool // there are ports to spare, and this kernel can
	renews  bool // adding an element again renews it: Linux 6.12 or later
	cutter  *sockcut.Cutter
	nflog   *nflog.Reader
	ask     *asker
	events  *netlink.Conn

	mu    sync.Mutex // guards the fields below, and is held during a change
	conn  *nftables.Conn
	nl    *netlink.Conn // what conn uses
	most  int           // rules that fit into one transaction
	state state
}

var (
	_ firewall.Filter  = (*Filter)(nil)
	_ firewall.Sampler = (*Filter)(nil)
)

// tableName is what nft accepts without quotes.
var tableName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_.-]{0,63}$`)

// Open returns a Filter for the network namespace of the calling thread. A
// table that an earlier Filter left goes on enforcing until Replace. The errors
// are [firewall.ErrUnsupported], [firewall.ErrPower] and [firewall.ErrForeign].
func Open(opt Options) (*Filter, error) {
	if opt.Table == "" {
		opt.Table = defaultTable
	}
	if !tableName.MatchString(opt.Table) {
		return nil, fmt.Errorf("nft: table name %q: want a letter, then letters, digits, _ . or -, at most 64", opt.Table)
	}
	if opt.Group == 0 {
		opt.Group = DefaultGroup
	}
	if opt.SampleRate == 0 {
		opt.SampleRate = defaultSample
	}
	f := &Filter{opt: opt, log: opt.Log}
	if f.log == nil {
		f.log = slog.Default()
	}
	f.table = &nftables.Table{Name: opt.Table, Family: nftables.TableFamilyINet}
	if err := f.open(); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func (f *Filter) open() (err error) {
	if err := f.dial(); err != nil {
		return explain("open", err)
	}
	if err := f.probe(); err != nil {
		return err
	}
	if f.state, err = f.read(); err != nil {
		return err
	}
	if !f.state.exists {
		f.skeleton(true)
		f.generation(1)
		f.dispatch(1)
		if err := f.flush(); err != nil {
			return explain("make table inet "+f.table.Name, err)
		}
		f.state = newState(1)
	}
	if !f.opt.KeepSockets {
		f.cutter = sockcut.New(f.log, f.spared)
	}
	if !f.sampled {
		return nil
	}
	f.nflog, err = nflog.Open(f.opt.Group)
	return err
}

// dial opens every socket now: later calls may come from threads that are in
// other network namespaces.
func (f *Filter) dial() (err error) {
	f.conn, err = nftables.New(nftables.AsLasting(), nftables.WithSockOptions(func(c *netlink.Conn) error {
		f.nl = c
		f.most = enlarge(c)
		return nil
	}))
	if err != nil {
		return err
	}
	if f.ask, err = newAsker(f.table.Name); err != nil {
		return err
	}
	f.events, err = openEvents(f.nl.PID())
	return err
}

// One rule takes up to 3 elements of 40 bytes on its way to the kernel, and a
// transaction is one message to the socket.
const (
	perFlush    = 20_000 // rules in one transaction: more costs memory, and wins nothing
	perCall     = 1_000  // elements in one attribute, whose length has 16 bits
	bytesPerOne = 128
)

// enlarge makes room for a transaction of perFlush rules, and returns how many
// fit: without the power to force it, the system's limit holds.
func enlarge(c *netlink.Conn) int {
	// What the kernel grants is read back, so its answer is of no interest.
	_ = c.SetWriteBuffer(perFlush * bytesPerOne)
	_ = c.SetReadBuffer(1 << 20)
	got, err := c.WriteBuffer()
	if err != nil {
		got = 1 << 16
	}
	return max(perCall/4, min(perFlush, got/2/bytesPerOne))
}

// Close frees what the process holds. The rules stay in force until they end.
func (f *Filter) Close() error {
	var errs []error
	if f.cutter != nil {
		errs = append(errs, f.cutter.Close())
	}
	if f.nflog != nil {
		errs = append(errs, f.nflog.Close())
	}
	if f.events != nil {
		errs = append(errs, f.events.Close())
	}
	if f.ask != nil {
		errs = append(errs, f.ask.close())
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.conn != nil {
		errs = append(errs, f.conn.CloseLasting())
	}
	return errors.Join(errs...)
}

// Clear removes our table, and with it every rule. One that is gone already is
// no error. Only Replace makes it again.
func (f *Filter) Clear(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("nft: clear: %w", err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	s, err := f.read()
	if err != nil || !s.exists {
		return err
	}
	f.conn.DelTable(f.table)
	if err := f.flush(); err != nil {
		return explain("delete table inet "+f.table.Name, err)
	}
	f.state = state{}
	return nil
}
