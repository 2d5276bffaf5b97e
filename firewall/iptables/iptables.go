// Package iptables is a firewall.Filter for kernels without nf_tables, as those
// of many NAS: the legacy programs of iptables keep a tree of chains, by four
// bits of the source each where rules crowd, so that traffic that passes walks a
// few dozen rules where a list would cost it thousands. The chains are
// its own; of the chains of others it touches none but for one jump at the head
// of PREROUTING of table mangle (or, where that is missing, of INPUT and FORWARD
// of table filter).
//
// Such kernels end no rule by themselves, but most of them can be told in the
// rule until when it matches, so that blocks end even when the guard has died;
// the filter sweeps up what has ended. Where the kernel cannot, the filter
// removes rules in time, and rules of a guard that died stay until the next one
// starts: New says so in the log.
//
// It needs the legacy programs: those that translate to nf_tables belong to
// package nft's kernels.
package iptables

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os/exec"
	"slices"
	"sync"
	"time"

	"github.com/tocsin-io/tocsin/firewall"
	"github.com/tocsin-io/tocsin/internal/logkey"
	"github.com/tocsin-io/tocsin/internal/nflog"
	"github.com/tocsin-io/tocsin/internal/sockcut"
)

// DefaultGroup is the netfilter log group of the samples.
const DefaultGroup = 0x70c6

// DefaultMost bounds the rules of a filter: each change hands the whole table
// to the kernel, which takes longer the more there is.
const DefaultMost = 100_000

// openWithin bounds how long Open may take: a dozen runs of the programs, each
// of which may wait for the lock.
const openWithin = time.Minute

// Options says how a filter is opened. The zero value is good.
type Options struct {
	// Log is told what the kernel cannot do; nil is [slog.Default].
	Log   *slog.Logger
	Chain string // the word that all chain names start with; "" is TOCSIN, at most 8 letters
	Group uint16 // netfilter log group of the samples; 0 is [DefaultGroup]
	Most  int    // rules kept at most; 0 is [DefaultMost]
	// KeepSockets leaves open connections of a blocked source standing: it is
	// silenced only. Otherwise the ones that this device accepted are closed.
	KeepSockets bool
	// Spare are TCP ports of this machine that blocked sources may open all the
	// same, such as the page of the one-time passes: 20 packets a second that
	// begin a connection, for each port and family.
	Spare []uint16
	// Lock is the file that the programs of iptables lock, watched to learn
	// that others have been at work; "" is /run/xtables.lock.
	Lock string
	// Command makes the programs' processes; nil is exec.CommandContext. Tests
	// run them in a network namespace with it.
	Command func(ctx context.Context, name string, args ...string) *exec.Cmd

	lack     features                     // pretend that the kernel lacks these
	lookPath func(string) (string, error) // nil is [lookPath]
	tables   []string                     // nil is mangle, then filter
}

// A Filter keeps rules in the chains of legacy iptables.
type Filter struct {
	log   *slog.Logger
	opt   Options
	names names
	sides [2]*side        // IPv4, IPv6; one of them may be nil
	cut   *sockcut.Cutter // nil where sockets are kept
	drops *nflog.Reader   // nil where samples cannot be had

	// turn holds one token: whoever has it may use the fields below and run
	// programs, which must not run side by side. A mutex would not let a caller
	// give up waiting.
	turn    chan struct{}
	closed  bool
	wake    chan struct{} // to the sweeper: look at the deadlines again
	stop    chan struct{}
	stopped sync.WaitGroup
	drifted chan struct{} // to Watch: the kernel is not as it was left
}

// A side is one family: its programs, and the mirror of what is in the kernel,
// which tells where each rule sits.
type side struct {
	*programs
	table  string
	hooks  []string // chains of others that jump to ours
	have   features
	blocks tree
	passes tree
	stale  bool // the kernel may differ from the trees: write all of it anew
}

var (
	_ firewall.Filter  = (*Filter)(nil)
	_ firewall.Sampler = (*Filter)(nil)
)

// Open finds the programs, tries what the kernel can do, and makes the chains,
// with the rules that an earlier guard left in them, which stay until
// [Filter.Replace]. From then on the kernel tracks connections: one that it saw
// begin cannot pass for an answer later. It works in the network namespace of the calling thread.
// Errors are [firewall.ErrUnsupported], [firewall.ErrForeign] and
// [firewall.ErrPower]; a device without ip6tables is filtered for IPv4 only,
// which the log says.
func Open(o Options) (*Filter, error) {
	ctx, cancel := context.WithTimeout(context.Background(), openWithin)
	defer cancel()
	if err := o.complete(); err != nil {
		return nil, err
	}
	f := &Filter{
		log: o.Log, opt: o, names: names{o.Chain},
		turn: make(chan struct{}, 1), wake: make(chan struct{}, 1),
		stop: make(chan struct{}), drifted: make(chan struct{}, 1),
	}
	for i, fam := range []family{ipv4, ipv6} {
		s, err := f.openSide(ctx, fam)
		switch {
		case err == nil:
			f.sides[i] = s
		case i == 0 || !errors.Is(err, firewall.ErrUnsupported):
			return nil, fmt.Errorf("iptables: %w", err)
		default:
			f.log.Warn("IPv6 is not filtered: sources with IPv6 addresses get through", logkey.Err, err)
		}
	}
	f.openDrops()
	if !o.KeepSockets {
		f.cut = sockcut.New(f.log, f.spared)
	}
	f.stopped.Go(f.sweepUp)
	f.turn <- struct{}{}
	f.lookAgain()
	return f, nil
}

func (o *Options) complete() error {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Chain == "" {
		o.Chain = "TOCSIN"
	}
	if len(o.Chain) > maxBase {
		return fmt.Errorf("iptables: chain %q: at most %d letters", o.Chain, maxBase)
	}
	for _, c := range []byte(o.Chain) {
		if (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' {
			return fmt.Errorf("iptables: chain %q: only letters, digits and _", o.Chain)
		}
	}
	if o.Group == 0 {
		o.Group = DefaultGroup
	}
	if o.Most == 0 {
		o.Most = DefaultMost
	}
	if o.Lock == "" {
		o.Lock = "/run/xtables.lock"
	}
	if o.Command == nil {
		o.Command = exec.CommandContext
	}
	if o.lookPath == nil {
		o.lookPath = lookPath
	}
	if o.tables == nil {
		o.tables = []string{"mangle", "filter"}
	}
	return nil
}

// openDrops opens the reader of samples where the kernel can log. Doing
// without is no reason to leave a device unprotected.
func (f *Filter) openDrops() {
	for _, s := range f.sides {
		if s == nil || !s.have.log || f.drops != nil {
			continue
		}
		r, err := nflog.Open(f.opt.Group)
		if err != nil {
			f.log.Warn("what is dropped is not counted", logkey.Err, err)
			return
		}
		f.drops = r
	}
}

// Close stops the sweeper and frees what the filter holds. The rules stay in
// force: they end by themselves where the kernel can be told their end.
func (f *Filter) Close() error {
	<-f.turn
	first := !f.closed
	f.closed = true
	f.turn <- struct{}{}
	if !first {
		return nil
	}
	close(f.stop)
	f.stopped.Wait()
	var err error
	if f.cut != nil {
		err = f.cut.Close()
	}
	if f.drops != nil {
		err = errors.Join(err, f.drops.Close())
	}
	return err
}

// take waits for the turn; the caller gives it back.
func (f *Filter) take(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case <-f.turn:
	case <-ctx.Done():
		return ctx.Err()
	}
	if f.closed {
		f.give()
		return io.ErrClosedPipe
	}
	return nil
}

func (f *Filter) give() { f.turn <- struct{}{} }

// spared tells the cutter which connections to leave alone.
func (f *Filter) spared(local netip.AddrPort, a netip.Addr) bool {
	s := f.sides[familyOf(a)]
	if s == nil {
		return false
	}
	if s.have.spare && slices.Contains(f.opt.Spare, local.Port()) {
		return true
	}
	<-f.turn
	defer f.give()
	return s.passes.covers(a, time.Now())
}

// Drops implements [firewall.Sampler]. Where the kernel cannot log it only
// waits: the log has said so.
func (f *Filter) Drops(ctx context.Context, dropped func(firewall.Drop)) error {
	if f.drops == nil {
		<-ctx.Done()
		return nil
	}
	return f.drops.Read(ctx, func(source netip.Addr, at time.Time) {
		dropped(firewall.Drop{Source: source, At: at, Count: 1})
	})
}
