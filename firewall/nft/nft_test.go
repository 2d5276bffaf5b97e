package nft

import (
	"io"
	"log/slog"
	"strings"
	"testing"

	"github.com/tocsin-io/tocsin/firewall"
	"github.com/tocsin-io/tocsin/firewall/firewalltest"
	"github.com/tocsin-io/tocsin/internal/testnet"
)

func TestFilter(t *testing.T) { runSuite(t, Options{}) }

// TestFilterOldKernel renews as kernels before 6.12 need it.
func TestFilterOldKernel(t *testing.T) { runSuite(t, Options{oldKernel: true}) }

func runSuite(t *testing.T, opt Options) {
	testnet.Need(t, "nft")
	firewalltest.RunKernel(t, firewalltest.Kernel{
		Open: func(t *testing.T, n *testnet.Net, cut bool, spare ...uint16) firewall.Filter {
			own := opt // of this test: others run beside it
			own.KeepSockets, own.Spare = !cut, spare
			return open(t, n, own)
		},
		Wreck:  func(t *testing.T, n *testnet.Net) { nft(t, n, "flush ruleset") },
		Plant:  plant,
		Others: others,
	})
}

// open opens a filter in the device, which closes with the test.
func open(t testing.TB, n *testnet.Net, opt Options) *Filter {
	t.Helper()
	f, err := openIn(n, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func openIn(n *testnet.Net, opt Options) (f *Filter, err error) {
	if opt.Log == nil {
		opt.Log = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	err = n.Device.Do(func() error {
		f, err = Open(opt)
		return err
	})
	return f, err
}

// nft runs the owner's command in the device.
func nft(t testing.TB, n *testnet.Net, script string) string {
	t.Helper()
	cmd := n.Device.Command(t.Context(), "nft", "-f", "-")
	cmd.Stdin = strings.NewReader(script)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("nft %s: %v\n%s", script, err, out)
	}
	return string(out)
}

// plant makes what fail2ban, Docker and a person make.
func plant(t *testing.T, n *testnet.Net) {
	testnet.Need(t, "iptables-nft", "ip6tables-nft")
	for _, program := range []string{"iptables-nft", "ip6tables-nft"} {
		cmd := n.Device.Command(t.Context(), program, "-A", "INPUT", "-p", "tcp", "--dport", "23", "-j", "DROP")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", program, err, out)
		}
	}
	nft(t, n, `
table inet f2b-table {
	set addr-set-sshd { type ipv4_addr; elements = { 203.0.113.66, 203.0.113.67 }; }
	chain f2b-chain {
		type filter hook input priority filter - 1; policy accept;
		tcp dport 22 ip saddr @addr-set-sshd reject
	}
}
table ip nat {
	chain DOCKER { type nat hook prerouting priority dstnat; tcp dport 8080 dnat to 172.30.0.2:8080; }
}
table ip docker {
	chain DOCKER-USER { type filter hook forward priority filter; ip saddr 198.51.100.99 drop; }
}
table inet mine {
	chain input { type filter hook input priority filter; ct state established,related accept; }
}
`)
}

// others returns the rules of everybody else.
func others(t *testing.T, n *testnet.Net) string {
	var rest []string
	out, err := n.Device.Command(t.Context(), "nft", "-s", "list", "ruleset").Output() // without counters
	if err != nil {
		t.Fatal(err)
	}
	for table := range strings.SplitSeq(string(out), "\ntable ") {
		if table = strings.TrimPrefix(strings.TrimSpace(table), "table "); table != "" && !strings.HasPrefix(table, "inet tocsin ") {
			rest = append(rest, table)
		}
	}
	return strings.Join(rest, "\ntable ")
}
