package nft

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/firewall"
	"github.com/tocsin-io/tocsin/internal/testnet"
)

func TestForeignTable(t *testing.T) {
	testnet.Need(t, "nft")
	n := testnet.New(t)
	nft(t, n, "table inet tocsin {\n chain mine { type filter hook input priority 0; }\n}")
	before := nft(t, n, "list ruleset")
	_, err := openIn(n, Options{})
	if !errors.Is(err, firewall.ErrForeign) || !strings.Contains(err.Error(), "nft delete table inet tocsin") {
		t.Errorf("error: got %v, want ErrForeign and what to do", err)
	}
	if after := nft(t, n, "list ruleset"); after != before {
		t.Errorf("rules: got\n%s\nwant\n%s", after, before)
	}
	open(t, n, Options{Table: "tocsin-2"}) // beside it, under another name
	if _, err := openIn(n, Options{Table: "to; flush ruleset"}); err == nil {
		t.Error("a table name with a command in it was taken")
	}
}

func TestClearLeavesNothing(t *testing.T) {
	testnet.Need(t, "nft")
	n := testnet.New(t)
	f := open(t, n, Options{})
	for range 3 { // with one generation, or more, of sets
		if err := f.Replace(t.Context(), blocks(10)); err != nil {
			t.Fatal(err)
		}
	}
	if got := strings.Count(nft(t, n, "list chains"), "chain "); got != 9 {
		t.Errorf("chains after three times Replace: got %d, want 9", got)
	}
	for range 2 { // and again, when it is gone
		if err := f.Clear(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if got := nft(t, n, "list ruleset"); got != "" {
		t.Errorf("left behind: %s", got)
	}
	one := tocsin.Change{Add: []tocsin.Rule{{Prefix: netip.MustParsePrefix("192.0.2.9/32"), Action: tocsin.Block, Until: time.Now().Add(time.Hour)}}}
	if err := f.Change(t.Context(), one); err == nil {
		t.Error("Change without a table succeeded")
	} else if !strings.Contains(err.Error(), "Replace mends it") {
		t.Errorf("error does not say what to do: %v", err)
	}
	if err := f.Replace(t.Context(), blocks(10)); err != nil {
		t.Fatal(err)
	}
	if err := f.Change(t.Context(), one); err != nil {
		t.Error(err)
	}
}

func TestMissing(t *testing.T) {
	for _, tt := range []struct{ err, want error }{
		{unix.EINVAL, firewall.ErrUnsupported},
		{fmt.Errorf("x: %w", unix.EOPNOTSUPP), firewall.ErrUnsupported},
		{unix.EPROTONOSUPPORT, firewall.ErrUnsupported},
		{unix.EPERM, firewall.ErrPower},
		{unix.EACCES, firewall.ErrPower},
		{unix.ENOMEM, unix.ENOMEM},
	} {
		if got := missing(tt.err); !errors.Is(got, tt.want) {
			t.Errorf("missing(%v): got %v, want %v", tt.err, got, tt.want)
		}
	}
}

// TestSparesNothing has a kernel that cannot tell its own addresses: the device
// is protected all the same, on every port.
func TestSparesNothing(t *testing.T) {
	var log bytes.Buffer
	f := open(t, testnet.New(t), Options{Spare: []uint16{7443}, noFib: true, Log: slog.New(slog.NewTextHandler(&log, nil))})
	add(t, f, block(old, time.Hour))
	wantHeld(t, f, old, true)
	if f.spares || !f.sampled || strings.Count(log.String(), "cannot spare") != 1 {
		t.Errorf("spares %v, sampled %v, told: %s", f.spares, f.sampled, log.String())
	}
}

// TestPower runs this test in a child that is an ordinary user: with
// CAP_NET_ADMIN it blocks, closes sockets and samples; without, it says so.
func TestPower(t *testing.T) {
	if os.Getenv("NFT_TEST_CHILD") != "" {
		powerless(t)
		return
	}
	testnet.Need(t, "setpriv")
	// The child is another user and cannot enter the folders of this one.
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("/tmp", "tocsin-nft-test")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := errors.Join(os.Chmod(dir, 0o755), os.WriteFile(dir+"/child", self, 0o755)); err != nil {
		t.Fatal(err)
	}
	for caps, want := range map[string]string{"+net_admin": "blocked", "-all": "not permitted"} {
		n := testnet.New(t)
		cmd := n.Device.Command(t.Context(), "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
			"--inh-caps="+caps, "--ambient-caps="+caps, "--bounding-set="+strings.Replace(caps, "+", "-all,+", 1),
			"--no-new-privs", dir+"/child", "-test.run=^TestPower$", "-test.v")
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "NFT_TEST_CHILD=1")
		out, err := cmd.CombinedOutput()
		if err != nil || !bytes.Contains(out, []byte("child: "+want)) {
			t.Errorf("caps %s: got %v, want %q in:\n%s", caps, err, want, out)
		}
	}
}

func powerless(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Fatal("still root")
	}
	f, err := Open(Options{})
	if errors.Is(err, firewall.ErrPower) && strings.Contains(err.Error(), "CAP_NET_ADMIN") {
		fmt.Println("child: not permitted:", err)
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Replace(t.Context(), blocks(25_000)); err != nil {
		t.Fatal(err)
	}
	if held, err := f.Holds(t.Context(), netip.PrefixFrom(addr(24_999), 32)); !held || err != nil {
		t.Fatal(held, err)
	}
	if f.sampled != (f.nflog != nil) || !f.sampled {
		t.Error("no samples")
	}
	fmt.Println("child: blocked")
}

// TestEverything blocks and passes every address: no length is left out.
func TestEverything(t *testing.T) {
	f := open(t, testnet.New(t), Options{KeepSockets: true})
	var c tocsin.Change
	for _, a := range []string{"255.255.255.255", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"} {
		addr := netip.MustParseAddr(a)
		for bits := range addr.BitLen() + 1 {
			r := block(netip.PrefixFrom(addr, bits), time.Hour)
			c.Add = append(c.Add, r)
			r.Action = tocsin.Pass
			c.Add = append(c.Add, r)
		}
	}
	if err := f.Change(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	for _, r := range c.Add {
		wantHeld(t, f, r.Prefix, true)
	}
	if err := f.Replace(t.Context(), blocks(0)); err != nil {
		t.Fatal(err)
	}
	for _, r := range c.Add {
		wantHeld(t, f, r.Prefix, false)
	}
}

// TestNeighbours blocks the network that the router is in: sources behind the
// router must still get through, though it has to find our address again.
func TestNeighbours(t *testing.T) {
	testnet.Need(t, "ip")
	n := testnet.New(t)
	f := open(t, n, Options{})
	add(t, f, block(netip.MustParsePrefix("2001:db8:1::/64"), time.Hour), block(netip.MustParsePrefix("fe80::/10"), time.Hour))
	for _, h := range []*testnet.Host{n.World, n.Device} {
		if out, err := h.Command(t.Context(), "ip", "-6", "neigh", "flush", "dev", h.Link).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	l, err := n.Device.Listen(netip.AddrPortFrom(testnet.Device6, 0))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	c, err := n.World.Dial(ctx, "tcp", netip.MustParseAddr("2001:db8:77::1"), netip.MustParseAddrPort(l.Addr().String()))
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}
