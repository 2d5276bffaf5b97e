package iptables

import (
	"context"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tocsin-io/tocsin/firewall"
	"github.com/tocsin-io/tocsin/firewall/firewalltest"
	"github.com/tocsin-io/tocsin/internal/testnet"
)

// A bench is a device with a lock of its own: that of the machine is for the
// machine's rules.
type bench struct {
	*testnet.Net
	lock string
}

func newBench(t testing.TB) bench {
	t.Helper()
	testnet.Need(t, "nsenter", "iptables-legacy", "ip6tables-legacy")
	return benchOf(t, testnet.New(t))
}

// benchOf gives a network a lock in the folder of the test that made it.
func benchOf(t testing.TB, n *testnet.Net) bench {
	lock := filepath.Join(t.TempDir(), "xtables.lock")
	if err := os.WriteFile(lock, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return bench{n, lock}
}

func (b bench) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := b.Device.Command(ctx, name, args...)
	cmd.Env = append(os.Environ(), "XTABLES_LOCKFILE="+b.lock)
	return cmd
}

// sh runs a script of the device's owner.
func (b bench) sh(t testing.TB, script string) string {
	t.Helper()
	out, err := b.command(t.Context(), "sh", "-ec", script).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", script, err, out)
	}
	return string(out)
}

func (b bench) options(o Options) Options {
	if o.Log == nil {
		o.Log = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	if o.Command == nil {
		o.Command = b.command
	}
	o.Lock = b.lock
	return o
}

func (b bench) tryOpen(o Options) (f *Filter, err error) {
	err = b.Device.Do(func() error {
		f, err = Open(b.options(o))
		return err
	})
	return f, err
}

// open opens a filter in the device, which closes with the test.
func (b bench) open(t testing.TB, o Options) *Filter {
	t.Helper()
	f, err := b.tryOpen(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

func TestFilter(t *testing.T) {
	t.Run("full", func(t *testing.T) { conform(t, Options{}) })
	t.Run("neither ends nor table mangle", func(t *testing.T) {
		conform(t, Options{lack: features{time: true}, tables: []string{"filter"}})
	})
}

func conform(t *testing.T, o Options) {
	testnet.Need(t, "nsenter", "iptables-legacy", "ip6tables-legacy")
	benches := newBenches()
	firewalltest.RunKernel(t, firewalltest.Kernel{
		Open: func(t *testing.T, n *testnet.Net, cut bool, spare ...uint16) firewall.Filter {
			o := o
			o.KeepSockets, o.Spare = !cut, spare
			return benches.of(t, n).open(t, o)
		},
		Wreck: func(t *testing.T, n *testnet.Net) {
			benches.of(t, n).sh(t, `for p in iptables-legacy ip6tables-legacy; do for t in mangle filter; do
				$p -t $t -F; $p -t $t -X; done; done`)
		},
		Plant:  func(t *testing.T, n *testnet.Net) { plant(t, benches.of(t, n)) },
		Others: func(t *testing.T, n *testnet.Net) string { return others(t, benches.of(t, n)) },
	})
}

// plant makes what fail2ban, Docker and a vendor's firewall make.
func plant(t *testing.T, b bench) {
	b.sh(t, `
iptables-legacy -N f2b-sshd
iptables-legacy -A f2b-sshd -s 203.0.113.66 -j REJECT
iptables-legacy -A f2b-sshd -j RETURN
iptables-legacy -I INPUT -p tcp --dport 22 -j f2b-sshd
iptables-legacy -N QUFIREWALL
iptables-legacy -A QUFIREWALL -m conntrack --ctstate ESTABLISHED -j ACCEPT
iptables-legacy -A QUFIREWALL -s 203.0.113.99 -j DROP
iptables-legacy -A INPUT -j QUFIREWALL
iptables-legacy -N DOCKER-USER
iptables-legacy -A DOCKER-USER -j RETURN
iptables-legacy -A FORWARD -j DOCKER-USER
iptables-legacy -t nat -A PREROUTING -p tcp --dport 8080 -j DNAT --to 172.30.0.2:8080
iptables-legacy -t mangle -A PREROUTING -p tcp --dport 22 -j MARK --set-mark 7
iptables-legacy -t mangle -N TOCSINGER
iptables-legacy -t mangle -A TOCSINGER -s 203.0.113.5 -j ACCEPT
ip6tables-legacy -t mangle -A PREROUTING -s 2001:db8:66::/48 -j MARK --set-mark 8
ip6tables-legacy -A INPUT -s 2001:db8:67::/48 -j DROP`)
}

// others returns all rules but those of the filter.
func others(t *testing.T, b bench) string {
	var keep []string
	for line := range strings.Lines(b.sh(t, "iptables-legacy-save; ip6tables-legacy-save; nft list ruleset")) {
		words := strings.FieldsFunc(line, func(r rune) bool { return r == ' ' || r == ':' || r == '\n' })
		own := strings.Contains(line, "-j TOCSIN\n") || len(words) > 0 && (names{"TOCSIN"}).own([]byte(words[0])) ||
			len(words) > 1 && (names{"TOCSIN"}).own([]byte(words[1]))
		if strings.HasPrefix(line, "#") || own {
			continue
		}
		// Counters move with the traffic of the tests.
		line, _, _ = strings.Cut(line, " [")
		keep = append(keep, strings.TrimSpace(line))
	}
	return strings.Join(keep, "\n")
}
