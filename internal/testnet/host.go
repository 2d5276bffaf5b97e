package testnet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// A Host is one network namespace: interfaces, routes, firewall and sockets of
// its own, the files and users of the machine.
type Host struct {
	Name string // device, world or container
	Link string // the interface that leads to the other host

	ns netns.NsHandle
}

// newHost makes an empty namespace with its loopback up. It has no name in the
// file system: it goes with its last descriptor, socket and process.
func newHost(name, link string) (*Host, error) {
	h := &Host{Name: name, Link: link, ns: netns.None()}
	err := onThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("unshare: %w", err)
		}
		var err error
		h.ns, err = netns.Get()
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("testnet: %s: %w", name, err)
	}
	// Nobody else can have our addresses, and the check would take a second.
	if err := h.Sysctl("net/ipv6/conf/default/accept_dad", "0"); err != nil {
		return nil, err
	}
	err = h.edit(func(nl *netlink.Handle) error {
		lo, err := nl.LinkByName("lo")
		if err != nil {
			return err
		}
		return nl.LinkSetUp(lo)
	})
	return h, err
}

// onThread runs f on a thread that no other goroutine will ever use: it dies
// with the goroutine, since what f does to its namespace cannot be undone
// safely. The first thread of the process is spared, for /proc/self is its.
func onThread(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() {
			// This one is locked and waiting, so the next gets another thread.
			done <- onThread(f)
			runtime.UnlockOSThread()
			return
		}
		done <- f()
	}()
	return <-done
}

// Do runs f on a thread inside the namespace. Sockets opened by f stay in the
// namespace and may be used anywhere afterwards; goroutines that f starts are
// outside of it.
func (h *Host) Do(f func() error) error {
	return onThread(func() error {
		if err := netns.Set(h.ns); err != nil {
			return fmt.Errorf("testnet: enter %s: %w", h.Name, err)
		}
		return f()
	})
}

// NS returns the descriptor of the namespace, for libraries that take one. It
// belongs to the Net.
func (h *Host) NS() int { return int(h.ns) }

// Command returns a command that will run inside the namespace. Its process is
// the program itself: signals and exit status are those of name.
func (h *Host) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	// nsenter replaces itself by the program. A thread of ours would do too,
	// but a caller who starts the command elsewhere would then change the
	// firewall of the machine.
	ns := "--net=/proc/" + strconv.Itoa(os.Getpid()) + "/fd/" + strconv.Itoa(int(h.ns))
	return exec.CommandContext(ctx, "nsenter", append([]string{ns, "--", name}, args...)...)
}

// Listen opens a TCP listener on an address of the host.
func (h *Host) Listen(at netip.AddrPort) (*net.TCPListener, error) {
	var l *net.TCPListener
	err := h.Do(func() (err error) {
		l, err = net.ListenTCP("tcp", net.TCPAddrFromAddrPort(at))
		return err
	})
	return l, err
}

// ListenUDP opens a UDP socket on an address of the host.
func (h *Host) ListenUDP(at netip.AddrPort) (*net.UDPConn, error) {
	var c *net.UDPConn
	err := h.Do(func() (err error) {
		c, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(at))
		return err
	})
	return c, err
}

// Dial connects from a source address of the host (the zero Addr lets the
// kernel choose) by "tcp" or "udp". The end of ctx ends the waiting.
func (h *Host) Dial(ctx context.Context, network string, from netip.Addr, to netip.AddrPort) (net.Conn, error) {
	var d net.Dialer
	if from.IsValid() {
		switch network {
		case "tcp":
			d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0))
		case "udp":
			d.LocalAddr = net.UDPAddrFromAddrPort(netip.AddrPortFrom(from, 0))
		default:
			return nil, fmt.Errorf("testnet: dial %q: want tcp or udp", network)
		}
	}
	var c net.Conn
	err := h.Do(func() (err error) {
		// A literal address is dialled on this very goroutine.
		c, err = d.DialContext(ctx, network, to.String())
		return err
	})
	return c, err
}

// AddAddr gives the host one more address on its link, usable at once. One
// that is there already is no error.
func (h *Host) AddAddr(p netip.Prefix) error {
	return h.edit(func(nl *netlink.Handle) error { return addAddr(nl, h.Link, p) })
}

func addAddr(nl *netlink.Handle, link string, p netip.Prefix) error {
	l, err := nl.LinkByName(link)
	if err != nil {
		return err
	}
	a := &netlink.Addr{IPNet: ipNet(p)}
	if p.Addr().Is6() {
		a.Flags = unix.IFA_F_NODAD // or it is unusable for a second
	}
	if err := nl.AddrAdd(l, a); err != nil && !errors.Is(err, syscall.EEXIST) {
		return fmt.Errorf("address %v on %s: %w", p, link, err)
	}
	return nil
}

// Sysctl sets a kernel parameter of the host, such as net/ipv4/ip_forward.
func (h *Host) Sysctl(name, value string) error {
	return h.Do(func() error { return os.WriteFile("/proc/sys/"+name, []byte(value), 0) })
}

// edit runs f with a route netlink socket of the namespace.
func (h *Host) edit(f func(*netlink.Handle) error) error {
	nl, err := netlink.NewHandleAt(h.ns, unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("testnet: %s: %w", h.Name, err)
	}
	defer nl.Close()
	if err := f(nl); err != nil {
		return fmt.Errorf("testnet: %s: %w", h.Name, err)
	}
	return nil
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
