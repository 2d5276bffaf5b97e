package iptables

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/tocsin-io/tocsin/firewall"
	"github.com/tocsin-io/tocsin/internal/logkey"
)

// features are what kernels have or lack.
type features struct {
	time      bool // rules that end by themselves
	conntrack bool // telling replies from what a source starts
	log       bool // samples of what is dropped
	spare     bool // ports that blocked sources may open
}

// openSide finds out how one family can be filtered here.
func (f *Filter) openSide(ctx context.Context, fam family) (*side, error) {
	p, err := find(ctx, fam, f.opt)
	if err != nil {
		return nil, err
	}
	s := &side{programs: p, stale: true}
	for _, table := range f.opt.tables {
		s.table = table
		if _, err = f.look(ctx, s, nil); err == nil {
			err = f.probe(ctx, s)
		}
		if err == nil {
			break
		}
		if !errors.Is(err, errTable) {
			return nil, err
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", fam.name, err, firewall.ErrUnsupported)
	}
	s.hooks = []string{"PREROUTING"}
	if s.table == "filter" {
		s.hooks = []string{"INPUT", "FORWARD"}
		f.log.Warn("the kernel has no table mangle: filtering in table filter", logkey.Backend, fam.name)
	}
	n := f.names
	s.blocks = tree{family: fam, prefix: n.base + "-", top: n.base, target: n.block(), timed: s.have.time}
	s.passes = tree{
		family: fam, prefix: n.base + "-P", top: n.caught(), target: n.pass(), tail: "-g " + n.drop(), timed: s.have.time,
	}
	s.blocks.clear()
	s.passes.clear()
	if err := f.adopt(ctx, s); err != nil {
		return nil, err
	}
	return s, f.rewrite(ctx, s)
}

// trial is one rule for each feature, in the words of [Filter.ending].
func (f *Filter) trial(s *side, want features) []string {
	var rules []string
	if want.time {
		rules = append(rules, "-m time --datestop 2037-01-01T00:00:00 -g "+f.names.probe()+"2")
	}
	return append(rules, f.ending(s, want)...)
}

// ending is the last chain of a packet that no pass saved. Replies to what this
// device started pass. So does IPv6's way of finding neighbours, which no router
// lets in from afar: or a block that holds the router's address would cut off
// everybody behind it. So do connections to spared ports, and what begins one so
// often only.
func (f *Filter) ending(s *side, have features) []string {
	var rules []string
	if s.family.bits == 128 {
		for _, kind := range []string{"135", "136"} {
			rules = append(rules, "-p icmpv6 -m icmp6 --icmpv6-type "+kind+" -j RETURN")
		}
	}
	if have.conntrack {
		rules = append(rules, "-m conntrack --ctstate RELATED,ESTABLISHED --ctdir REPLY -j RETURN")
	}
	if have.spare {
		for _, port := range f.opt.Spare {
			// Not those that machines behind this one have under the same number.
			to := fmt.Sprintf("-p tcp -m tcp --dport %d -m addrtype --dst-type LOCAL ", port)
			rules = append(rules, to+"-m conntrack --ctstate ESTABLISHED -j RETURN", to+"-m limit --limit 20/sec --limit-burst 40 -j RETURN")
		}
	}
	if have.log {
		rules = append(rules, fmt.Sprintf("-m limit --limit 50/sec --limit-burst 50 -j NFLOG --nflog-group %d", f.opt.Group))
	}
	return append(rules, "-j DROP")
}

// probe tries what the kernel can do, by doing it in a chain that nothing leads
// to: first all at once, then one by one.
func (f *Filter) probe(ctx context.Context, s *side) error {
	want := features{time: !f.opt.lack.time, conntrack: !f.opt.lack.conntrack, log: !f.opt.lack.log,
		spare: len(f.opt.Spare) > 0 && !f.opt.lack.spare}
	err := f.try(ctx, s, want)
	if err == nil {
		s.have = want
		f.tellLack(s)
		return nil
	}
	if !errors.Is(err, errLine) {
		return err
	}
	// The bare rules must work: only then is a refusal about the feature.
	if err := f.try(ctx, s, features{}); err != nil {
		return err
	}
	s.have.time = want.time && f.try(ctx, s, features{time: true}) == nil
	s.have.conntrack = want.conntrack && f.try(ctx, s, features{conntrack: true}) == nil
	s.have.log = want.log && f.try(ctx, s, features{log: true}) == nil
	s.have.spare = want.spare && f.try(ctx, s, features{spare: true}) == nil
	f.tellLack(s)
	return nil
}

// try commits a chain with the rules of want, and removes it again.
func (f *Filter) try(ctx context.Context, s *side, want features) error {
	probe := f.names.probe()
	b := newBatch(s.table)
	b.chain(probe)
	b.chain(probe + "2")
	for _, r := range f.trial(s, want) {
		b.line("-A", probe, r)
	}
	if err := f.firstCommit(ctx, s, b); err != nil {
		return err
	}
	b = newBatch(s.table)
	b.line("-F", probe, "")
	b.line("-X", probe, "")
	b.line("-X", probe+"2", "")
	return s.commit(ctx, b)
}

// firstCommit hands a batch to the kernel. A user who may not open the lock of
// all gets one of their own, from then on.
func (f *Filter) firstCommit(ctx context.Context, s *side, b *batch) error {
	input := b.String()
	err := s.commit(ctx, b)
	if !errors.Is(err, os.ErrPermission) || s.env != nil {
		return err
	}
	s.env = ownLock()
	f.log.Warn("the lock of iptables may not be opened: changes by others at the very same moment may be lost; "+
		"make "+f.opt.Lock+" readable for this user", logkey.Path, strings.TrimPrefix(s.env[0], lockVariable))
	b = &batch{}
	b.WriteString(input)
	return s.commit(ctx, b)
}

func (f *Filter) tellLack(s *side) {
	for _, l := range []struct {
		have bool
		what string
	}{
		{s.have.time, "rules of a guard that dies stay in force until the next one starts (no xt_time)"},
		{s.have.conntrack, "answers of blocked sources to this device's own requests are dropped too (no xt_conntrack)"},
		{s.have.log, "what is dropped is not counted (no xt_NFLOG or xt_limit)"},
		{s.have.spare || len(f.opt.Spare) == 0, "blocked sources do not reach spared ports either (no xt_addrtype, xt_conntrack or xt_limit)"},
	} {
		if !l.have {
			f.log.Warn("the kernel lacks a part: "+l.what, logkey.Backend, s.family.name)
		}
	}
}

// adoptedFor is how long a rule stays whose end an earlier guard took with it.
// A guard that starts replaces all rules within seconds.
const adoptedFor = 10 * time.Minute

// adopt reads what an earlier guard left in the kernel.
func (f *Filter) adopt(ctx context.Context, s *side) error {
	now := time.Now()
	_, err := f.look(ctx, s, func(r found) {
		t := &s.blocks
		if r.pass {
			t = &s.passes
		}
		if r.until.IsZero() {
			r.until = now.Add(adoptedFor)
		}
		if len(t.rules) < f.opt.Most && now.Before(r.until) {
			t.rules[r.prefix] = r.until
		}
	})
	return err
}

// look reads the table, and tells chains of our name that somebody else made.
func (f *Filter) look(ctx context.Context, s *side, rule func(found)) (snapshot, error) {
	r := newReader(s.family, f.names, rule)
	if err := s.dump(ctx, s.table, r.line); err != nil {
		return snapshot{}, err
	}
	// What a guard left that was killed while it tried the kernel is ours.
	delete(r.chains, f.names.probe())
	delete(r.chains, f.names.probe()+"2")
	if len(r.chains) > 0 && !r.chains[f.names.marker()] {
		return snapshot{}, fmt.Errorf("%s: table %s has a chain %s that is not tocsin's; "+
			"rename or remove it, or choose another name for the chains of the guard: %w",
			s.family.name, s.table, anyOf(r.chains), firewall.ErrForeign)
	}
	return r.snapshot, nil
}

func anyOf(set map[string]bool) string {
	for k := range set {
		return k
	}
	return ""
}
