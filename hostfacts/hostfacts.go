// Package hostfacts tells what this machine depends on: its own addresses and
// networks, gateways, resolvers and time servers. Whoever blocks must never
// block those.
//
// It only looks: it changes nothing and decides nothing.
package hostfacts

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
)

// Facts are what the machine depends on.
type Facts struct {
	Addrs     []netip.Prefix // its own addresses, single
	Networks  []netip.Prefix // the networks they are in
	Gateways  []netip.Addr
	Resolvers []netip.Addr
	// TimeServers are addresses, or names still to be resolved.
	TimeServers []string
}

// Prefixes returns every address and, where networks is set, every network in
// f, sorted and each once. Time servers given by name are not in it: see
// [Resolve].
func (f Facts) Prefixes(networks bool) []netip.Prefix {
	all := slices.Clone(f.Addrs)
	if networks {
		all = append(all, f.Networks...)
	}
	for _, a := range slices.Concat(f.Gateways, f.Resolvers) {
		all = append(all, single(a))
	}
	for _, s := range f.TimeServers {
		if a, err := netip.ParseAddr(s); err == nil {
			all = append(all, single(a))
		}
	}
	slices.SortFunc(all, netip.Prefix.Compare)
	return slices.Compact(all)
}

// Read asks the kernel, and the files of the usual resolvers and time daemons
// below root ("/" but in tests). What cannot be read is left out and named in
// the error; the rest is returned all the same.
func Read(root string) (Facts, error) {
	var f Facts
	errs := []error{f.addresses(), f.gateways()}
	for _, file := range []string{"etc/resolv.conf", "run/systemd/resolve/resolv.conf"} {
		errs = append(errs, eachLine(filepath.Join(root, file), func(line string) {
			if words := strings.Fields(line); len(words) >= 2 && words[0] == "nameserver" {
				if a, err := netip.ParseAddr(words[1]); err == nil && !a.IsLoopback() {
					f.Resolvers = append(f.Resolvers, a.Unmap().WithZone(""))
				}
			}
		}))
	}
	errs = append(errs, f.timeServers(root))
	return f, errors.Join(errs...)
}

func (f *Facts) addresses() error {
	addrs, err := netlink.AddrList(nil, netlink.FAMILY_ALL)
	if err != nil {
		return fmt.Errorf("own addresses: %w", err)
	}
	for _, a := range addrs {
		ip, ok := netip.AddrFromSlice(a.IP)
		if !ok {
			continue
		}
		ip = ip.Unmap()
		ones, _ := a.Mask.Size()
		f.Addrs = append(f.Addrs, single(ip))
		if n := netip.PrefixFrom(ip, ones).Masked(); ones > 0 && !n.IsSingleIP() {
			f.Networks = append(f.Networks, n)
		}
	}
	return nil
}

func (f *Facts) gateways() error {
	routes, err := netlink.RouteList(nil, netlink.FAMILY_ALL)
	if err != nil {
		return fmt.Errorf("routes: %w", err)
	}
	add := func(ip net.IP) {
		if gw, ok := netip.AddrFromSlice(ip); ok {
			f.Gateways = append(f.Gateways, gw.Unmap())
		}
	}
	for _, r := range routes {
		add(r.Gw)
		for _, hop := range r.MultiPath {
			add(hop.Gw)
		}
	}
	return nil
}

// timeServers reads timesyncd, ntp and chrony.
func (f *Facts) timeServers(root string) error {
	var errs []error
	for _, glob := range []string{
		"etc/systemd/timesyncd.conf", "etc/systemd/timesyncd.conf.d/*.conf",
		"etc/ntp.conf", "etc/ntpsec/ntp.conf", "etc/chrony.conf", "etc/chrony/chrony.conf", "etc/chrony/sources.d/*.sources",
	} {
		files, err := filepath.Glob(filepath.Join(root, glob))
		if err != nil {
			return err
		}
		for _, file := range files {
			errs = append(errs, eachLine(file, f.timeServer))
		}
	}
	return errors.Join(errs...)
}

func (f *Facts) timeServer(line string) {
	line, _, _ = strings.Cut(line, "#")
	if servers, ok := strings.CutPrefix(strings.TrimSpace(line), "NTP="); ok {
		f.TimeServers = append(f.TimeServers, strings.Fields(servers)...)
		return
	}
	if words := strings.Fields(line); len(words) >= 2 && slices.Contains([]string{"server", "pool", "peer"}, words[0]) {
		f.TimeServers = append(f.TimeServers, words[1])
	}
}

// maxFile bounds a configuration file that is read, in bytes.
const maxFile = 1 << 20

// eachLine calls use for each line of a file; a missing file has none.
func eachLine(path string, use func(string)) error {
	file, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer file.Close()
	s := bufio.NewScanner(io.LimitReader(file, maxFile))
	for s.Scan() {
		use(s.Text())
	}
	return s.Err()
}

// resolveTime bounds one look-up of a name.
const resolveTime = 5 * time.Second

// Resolve returns the addresses of names; an address stands for itself. Names
// that do not resolve are named in the error.
func Resolve(ctx context.Context, names []string) ([]netip.Prefix, error) {
	var all []netip.Prefix
	var errs []error
	for _, name := range names {
		if p, err := netip.ParsePrefix(name); err == nil {
			all = append(all, p.Masked())
			continue
		}
		if a, err := netip.ParseAddr(name); err == nil {
			all = append(all, single(a))
			continue
		}
		ctx, cancel := context.WithTimeout(ctx, resolveTime)
		addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", name)
		cancel()
		errs = append(errs, err)
		for _, a := range addrs {
			all = append(all, single(a))
		}
	}
	return all, errors.Join(errs...)
}

func single(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	return netip.PrefixFrom(a, a.BitLen())
}

// settle is how long changes of addresses and routes are gathered: an interface
// that comes up makes many at once.
const settle = time.Second

// Watch calls changed after addresses or routes of this machine have changed,
// until ctx ends.
func Watch(ctx context.Context, changed func()) error {
	done := make(chan struct{})
	defer close(done)
	addrs := make(chan netlink.AddrUpdate, 16)
	if err := netlink.AddrSubscribe(addrs, done); err != nil {
		return fmt.Errorf("watch addresses: %w", err)
	}
	routes := make(chan netlink.RouteUpdate, 16)
	if err := netlink.RouteSubscribe(routes, done); err != nil {
		return fmt.Errorf("watch routes: %w", err)
	}
	timer := time.NewTimer(time.Hour)
	timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case _, ok := <-addrs:
			if !ok {
				return errors.New("watch addresses: the kernel closed the subscription")
			}
			timer.Reset(settle)
		case _, ok := <-routes:
			if !ok {
				return errors.New("watch routes: the kernel closed the subscription")
			}
			timer.Reset(settle)
		case <-timer.C:
			changed()
		}
	}
}
