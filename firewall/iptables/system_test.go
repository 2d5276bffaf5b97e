package iptables

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/firewall"
	"github.com/tocsin-io/tocsin/internal/testnet"
)

var (
	bad4 = netip.MustParsePrefix("203.0.113.7/32")
	bad6 = netip.MustParsePrefix("2001:db8:66::/64")
)

func block(p netip.Prefix, life time.Duration) tocsin.Rule {
	return tocsin.Rule{Prefix: p, Action: tocsin.Block, Until: time.Now().Add(life)}
}

func add(t testing.TB, f *Filter, rules ...tocsin.Rule) {
	t.Helper()
	if err := f.Change(t.Context(), tocsin.Change{Add: rules}); err != nil {
		t.Fatal(err)
	}
}

func wantHeld(t *testing.T, f *Filter, p netip.Prefix, want bool) {
	t.Helper()
	if got, err := f.Holds(t.Context(), p); got != want || err != nil {
		t.Errorf("Holds(%v): got %v, %v, want %v", p, got, err, want)
	}
}

// A journal is a log that several goroutines may use.
type journal struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.String()
}

func (j *journal) logger() *slog.Logger { return slog.New(slog.NewTextHandler(j, nil)) }

func TestForeignChain(t *testing.T) {
	for _, chain := range []string{"TOCSIN", "TOCSIN-MINE"} {
		b := newBench(t)
		b.sh(t, "iptables-legacy -t mangle -N "+chain+"; iptables-legacy -t mangle -A "+chain+" -s 203.0.113.1 -j ACCEPT")
		before := b.sh(t, "iptables-legacy -t mangle -S")
		f, err := b.tryOpen(Options{})
		if !errors.Is(err, firewall.ErrForeign) || !strings.Contains(fmt.Sprint(err), chain) {
			t.Errorf("%s: got %v, %v, want an error that names it", chain, f, err)
		}
		if diff := cmp.Diff(before, b.sh(t, "iptables-legacy -t mangle -S")); diff != "" {
			t.Errorf("the table has changed (-before +after):\n%s", diff)
		}
		// Another name is the way out.
		add(t, b.open(t, Options{Chain: "GUARD"}), block(bad4, time.Hour))
	}
}

func TestMissingPrograms(t *testing.T) {
	b := newBench(t)
	only := func(names ...string) func(string) (string, error) {
		return func(name string) (string, error) {
			if !slices.ContainsFunc(names, func(n string) bool { return strings.Contains(name, n) }) {
				return "", exec.ErrNotFound
			}
			return exec.LookPath(name)
		}
	}
	t.Run("no ip6tables", func(t *testing.T) {
		var log journal
		f := b.open(t, Options{Log: log.logger(), lookPath: only("iptables-legacy")})
		add(t, f, block(bad4, time.Hour), block(bad6, time.Hour))
		wantHeld(t, f, bad4, true)
		wantHeld(t, f, bad6, false)
		if !strings.Contains(log.String(), "IPv6 is not filtered") {
			t.Errorf("the log does not tell:\n%s", log.String())
		}
	})
	t.Run("none but those for nf_tables", func(t *testing.T) {
		testnet.Need(t, "iptables-nft")
		f, err := b.tryOpen(Options{lookPath: func(string) (string, error) { return exec.LookPath("iptables-nft") }})
		if !errors.Is(err, firewall.ErrUnsupported) {
			t.Errorf("got %v, %v, want unsupported", f, err)
		}
	})
}

func TestMissingFeatures(t *testing.T) {
	b := newBench(t)
	var log journal
	f := b.open(t, Options{Log: log.logger(), Spare: []uint16{7443}, lack: features{time: true, conntrack: true, log: true, spare: true}})
	add(t, f, block(bad4, time.Hour))
	wantHeld(t, f, bad4, true)
	for _, what := range []string{"no xt_time", "no xt_conntrack", "no xt_NFLOG", "no xt_addrtype"} {
		if strings.Count(log.String(), what) != 2 { // for each family
			t.Errorf("the log does not tell of %s:\n%s", what, log.String())
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := f.Drops(ctx, func(firewall.Drop) { t.Error("a sample") }); err != nil {
		t.Error(err)
	}
}

// TestRefusedFeature has a kernel that lacks one part refuse the whole table:
// the others are found one by one.
func TestRefusedFeature(t *testing.T) {
	b := newBench(t)
	refuse := b
	o := Options{Command: func(ctx context.Context, name string, args ...string) *exec.Cmd {
		if !strings.HasSuffix(name, "-restore") {
			return refuse.command(ctx, name, args...)
		}
		// A kernel without xt_time refuses the whole table.
		return refuse.command(ctx, "sh", append([]string{"-c",
			`in=$(cat); case $in in *datestop*) echo "iptables-restore: line 4 failed" >&2; exit 1;; esac
			printf '%s\n' "$in" | "$0" "$@"`, name}, args...)...)
	}}
	f := b.open(t, o)
	if s := f.sides[0]; s.have != (features{conntrack: true, log: true}) {
		t.Errorf("features: got %+v, want all but time", s.have)
	}
	add(t, f, block(bad4, time.Hour))
	wantHeld(t, f, bad4, true)
}

// TestLockHeld has another program hold the lock of iptables for ever.
func TestLockHeld(t *testing.T) {
	b := newBench(t)
	f := b.open(t, Options{})
	add(t, f, block(bad4, time.Hour))
	lock, err := os.Open(b.lock)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := f.Change(short, tocsin.Change{Add: []tocsin.Rule{block(bad6, time.Hour)}}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("with a deadline: got %v, want it kept", err)
	}
	err = f.Change(t.Context(), tocsin.Change{Remove: []tocsin.Rule{block(bad4, 0)}})
	if !errors.Is(err, ErrBusy) {
		t.Errorf("got %v, want %v", err, ErrBusy)
	}
	wantHeld(t, f, bad4, true) // asking takes no lock
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_UN); err != nil {
		t.Fatal(err)
	}
	add(t, f, block(bad6, time.Hour))
	wantHeld(t, f, bad4, true)
	wantHeld(t, f, bad6, true)
}

// TestAdopted starts a second guard after the first was killed.
func TestAdopted(t *testing.T) {
	b := newBench(t)
	first := b.open(t, Options{})
	pass := tocsin.Rule{Prefix: netip.MustParsePrefix("203.0.113.9/32"), Action: tocsin.Pass, Until: time.Now().Add(time.Hour)}
	add(t, first, block(bad4, time.Hour), block(bad6, 3*time.Hour), pass, block(netip.MustParsePrefix("198.18.0.0/15"), 500*24*time.Hour))
	want := first.rules()
	second := b.open(t, Options{})
	if diff := cmp.Diff(want, second.rules()); diff != "" {
		t.Errorf("rules adopted (-left +adopted):\n%s", diff)
	}
	if err := second.Replace(t.Context(), slices.Values([]tocsin.Rule{block(bad6, time.Hour)})); err != nil {
		t.Fatal(err)
	}
	wantHeld(t, second, bad4, false)
	wantHeld(t, second, bad6, true)
}

// rules returns what the filter believes to be in the kernel, as the kernel
// knows it.
func (f *Filter) rules() map[string]string {
	<-f.turn
	defer f.give()
	all := map[string]string{}
	for _, s := range f.sides {
		for _, t := range []*tree{&s.blocks, &s.passes} {
			for p, until := range t.rules {
				all[t.target+" "+p.String()] = stopOf(until)
			}
		}
	}
	return all
}

func TestClear(t *testing.T) {
	b := newBench(t)
	plant(t, b)
	before := b.sh(t, "iptables-legacy -t mangle -S; ip6tables-legacy -t mangle -S")
	f := b.open(t, Options{})
	add(t, f, block(bad4, time.Hour), block(bad6, time.Hour))
	if err := f.Clear(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, b.sh(t, "iptables-legacy -t mangle -S; ip6tables-legacy -t mangle -S")); diff != "" {
		t.Errorf("something is left (-before +after):\n%s", diff)
	}
	add(t, f, block(bad4, time.Hour)) // and may go on
	wantHeld(t, f, bad4, true)
}

// TestNeighbours blocks the network of the router itself: it must still find
// the device, or nobody behind it can.
func TestNeighbours(t *testing.T) {
	b := newBench(t)
	testnet.Need(t, "ip")
	f := b.open(t, Options{})
	add(t, f, block(netip.PrefixFrom(testnet.Gateway6, 64), time.Hour))
	b.sh(t, "ip neigh flush all")
	if out, err := b.World.Command(t.Context(), "ip", "neigh", "flush", "all").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	l, err := b.Device.Listen(netip.AddrPortFrom(testnet.Device6, 2001))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	c, err := b.World.Dial(ctx, "tcp", netip.MustParseAddr("2001:db8:77::1"), netip.AddrPortFrom(testnet.Device6, 2001))
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}

func TestFull(t *testing.T) {
	b := newBench(t)
	f := b.open(t, Options{Most: 10})
	var rules []tocsin.Rule
	for i := range 11 {
		rules = append(rules, block(netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 18, 0, byte(i)}), 32), time.Hour))
	}
	add(t, f, rules[:10]...)
	if err := f.Change(t.Context(), tocsin.Change{Add: rules[10:]}); !errors.Is(err, ErrFull) {
		t.Errorf("got %v, want %v", err, ErrFull)
	}
	wantHeld(t, f, rules[0].Prefix, true)
	if err := f.Replace(t.Context(), slices.Values(append([]tocsin.Rule{block(bad4, time.Hour)}, rules...))); err != nil {
		t.Fatal(err)
	}
	wantHeld(t, f, bad4, true) // the first of all come first
	wantHeld(t, f, rules[10].Prefix, false)
}

// TestOtherTimeZone has programs that believe to be far away.
func TestOtherTimeZone(t *testing.T) {
	b := newBench(t)
	f := b.open(t, Options{Command: func(ctx context.Context, name string, args ...string) *exec.Cmd {
		cmd := b.command(ctx, name, args...)
		cmd.Env = append(cmd.Env, "TZ=Asia/Taipei")
		return cmd
	}})
	add(t, f, block(bad4, time.Minute), block(bad6, -time.Minute))
	wantHeld(t, f, bad4, true)
	if got := b.sh(t, "TZ=UTC iptables-legacy -t mangle -S"); !strings.Contains(got, time.Now().Add(time.Minute).UTC().Format("--datestop 2006-01-02T15:")) {
		t.Errorf("the kernel holds another time:\n%s", got)
	}
}

// TestWatchByLock proves that a change by others is told by the lock, long
// before the slow look.
func TestWatchByLock(t *testing.T) {
	for name, wreck := range map[string]string{
		"jump gone":     "iptables-legacy -t mangle -D PREROUTING ! -i lo -j TOCSIN",
		"chain emptied": "ip6tables-legacy -t mangle -F TOCSIN",
		"overtaken":     "iptables-legacy -t mangle -I PREROUTING -s 203.0.113.0/24 -j ACCEPT",
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			f := b.open(t, Options{})
			add(t, f, block(bad4, time.Hour), block(bad6, time.Hour))
			told := make(chan struct{}, 10)
			ctx, cancel := context.WithTimeout(t.Context(), checkBlind-5*time.Second)
			defer cancel()
			done := make(chan error, 1)
			go func() { done <- f.Watch(ctx, func() { told <- struct{}{} }) }()
			b.sh(t, wreck)
			// Watch may have begun after: whoever uses the lock next tells.
			tick := time.NewTicker(200 * time.Millisecond)
			defer tick.Stop()
			for told := told; told != nil; {
				select {
				case <-told:
					told = nil
				case <-tick.C:
					b.sh(t, "iptables-legacy -L -n >/dev/null")
				case err := <-done:
					t.Fatalf("not told: %v", err)
				}
			}
			if err := f.Replace(t.Context(), slices.Values([]tocsin.Rule{block(bad4, time.Hour)})); err != nil {
				t.Fatal(err)
			}
			if got := b.sh(t, "iptables-legacy -t mangle -S PREROUTING"); !strings.HasPrefix(got, "-P PREROUTING ACCEPT\n-A PREROUTING ! -i lo -j TOCSIN\n") {
				t.Errorf("the jump is not first again:\n%s", got)
			}
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
}

// TestOldRestore has the programs of 2015, which cannot wait for the lock.
func TestOldRestore(t *testing.T) {
	b := newBench(t)
	f := b.open(t, Options{Command: func(ctx context.Context, name string, args ...string) *exec.Cmd {
		return b.command(ctx, "sh", append([]string{"-c", `for a in "$@"; do case $a in --wait*)
			echo "iptables-restore: unrecognized option '$a'" >&2; exit 1;; esac; done; exec "$0" "$@"`, name}, args...)...)
	}})
	add(t, f, block(bad4, time.Hour), block(bad6, time.Hour))
	wantHeld(t, f, bad4, true)
	wantHeld(t, f, bad6, true)
}
