package e2e_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tocsin-io/tocsin/internal/testnet"
	"github.com/tocsin-io/tocsin/operator"
)

// backends are the kernel back ends; every story is told on both.
var backends = []string{"nft", "iptables"}

// guesses are what attackers try.
var guesses = []string{"root", "admin", "oracle", "postgres", "test", "guest", "ubuntu", "pi"}

func TestAttack(t *testing.T) {
	for _, backend := range backends {
		t.Run(backend, func(t *testing.T) {
			b := newBox(t)
			b.startServers()
			g := b.startGuard(backend, "")
			b.leastPower(g)
			t.Run("ssh", b.sshAttack)
			t.Run("ssh by IPv6", b.ssh6Attack)
			t.Run("ftp", func(t *testing.T) {
				b.attack(t, "198.51.100.9", ftpPort, func(n int) { b.curl("198.51.100.9", "ftp://192.0.2.1/", guesses[n], "guess") })
			})
			t.Run("http", func(t *testing.T) {
				b.attack(t, "198.51.100.10", httpPort, func(n int) { b.curl("198.51.100.10", "http://192.0.2.1/", guesses[n], "guess") })
			})
			t.Run("smb", func(t *testing.T) {
				b.attack(t, "198.18.0.9", smbPort, func(n int) { b.smb("198.18.0.9", guesses[n], "guess") })
			})
			t.Run("person", b.person)
			t.Run("never blocked", b.neverBlocked)
			t.Run("forged by a user", b.forged)
			t.Run("valid low account", b.lowAccount)
			t.Run("second guard", b.secondGuard)
			t.Run("hits are counted", b.hits)
			g.stop(t)
			if b.reaches("203.0.113.7", sshPort) {
				t.Error("the attacker gets through once the guard has ended")
			}
		})
	}
}

// leastPower checks that the guard is not root any more.
func (b *box) leastPower(g *process) {
	b.t.Helper()
	status := b.run("cat", fmt.Sprintf("/proc/%d/status", g.Process.Pid))
	tocsin := strings.TrimSpace(b.run("id", "-u", "tocsin"))
	if !strings.Contains(status, "Uid:\t"+tocsin+"\t"+tocsin+"\t"+tocsin) {
		b.t.Errorf("the guard is not the user tocsin:\n%s", status)
	}
	st := b.status()
	if slices.ContainsFunc(st.Power, func(p string) bool { return strings.Contains(p, "others") }) || len(st.Power) < 2 {
		b.t.Errorf("the guard has %v", st.Power)
	}
}

func (b *box) status() (st operator.Status) {
	b.t.Helper()
	if err := json.Unmarshal([]byte(b.run(b.bin, "status", "--json")), &st); err != nil {
		b.t.Fatal(err)
	}
	return st
}

// rules asks the guard.
func (b *box) rules() (rules []operator.Rule) {
	b.t.Helper()
	dec := json.NewDecoder(strings.NewReader(b.run(b.bin, "rules", "--json")))
	for {
		var r operator.Rule
		err := dec.Decode(&r)
		if err == io.EOF {
			return rules
		}
		if err != nil {
			b.t.Fatal(err)
		}
		rules = append(rules, r)
	}
}

func (b *box) blocks(addr string) bool {
	b.t.Helper()
	return slices.ContainsFunc(b.rules(), func(r operator.Rule) bool {
		return r.Action == "block" && r.Prefix.Contains(netip.MustParseAddr(addr))
	})
}

// attack guesses until the kernel drops what comes from the source, and checks
// that an open connection dies with it and that others get through.
func (b *box) attack(t *testing.T, source string, port uint16, guess func(n int)) {
	t.Helper()
	if !b.reaches(source, port) {
		t.Fatal("blocked before it did anything")
	}
	open := b.open(t, source, port)
	for n := range guesses {
		guess(n)
		if b.blocks(source) {
			break
		}
	}
	until(t, "the kernel to drop "+source, func() bool { return b.blocks(source) && !b.reaches(source, port) })
	open.dies(t)
	neighbour := "198.51.100.200"
	if netip.MustParseAddr(source).Is6() {
		neighbour = "2001:db8:ffff::1"
	}
	if !b.reaches(neighbour, port) {
		t.Error("a neighbour is dropped, too")
	}
}

func (b *box) sshAttack(t *testing.T) {
	b.attack(t, "203.0.113.7", sshPort, func(n int) { b.ssh("203.0.113.7", guesses[n], "guess") })
	if b.ssh("203.0.113.7", "anna", "right horse") {
		t.Error("a blocked source logs in")
	}
}

// ssh6Attack comes from many addresses of one /64.
func (b *box) ssh6Attack(t *testing.T) {
	b.attack(t, "2001:db8:66::99", sshPort, func(n int) {
		b.ssh(fmt.Sprintf("2001:db8:66::%x", n+1), guesses[n], "guess")
	})
}

// connection is one that is open when the block falls.
type connection struct{ net.Conn }

func (b *box) open(t *testing.T, source string, port uint16) connection {
	t.Helper()
	to := testnet.Device4
	src := netip.MustParseAddr(source)
	if src.Is6() {
		to = testnet.Device6
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	c, err := b.net.World.Dial(ctx, "tcp", src, netip.AddrPortFrom(to, port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return connection{c}
}

// dies checks that the server's end is gone: nothing sent is answered any more.
func (c connection) dies(t *testing.T) {
	t.Helper()
	if err := c.SetDeadline(time.Now().Add(2 * time.Second)); err != nil {
		t.Fatal(err)
	}
	greeting := bufio.NewReader(c)
	for { // what came before the block
		if _, err := greeting.ReadByte(); err != nil {
			break
		}
	}
	if err := c.SetDeadline(time.Now().Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write([]byte("GET / HTTP/1.0\r\n\r\n")); err != nil {
		return
	}
	if n, err := c.Read(make([]byte, 100)); n > 0 {
		t.Errorf("an open connection is still answered: %d bytes, %v", n, err)
	}
}

// person mistypes four times, then remembers.
func (b *box) person(t *testing.T) {
	const home = "203.0.113.50"
	for _, account := range []string{"anna", "root"} {
		for range 4 {
			if b.ssh(home, account, "rihgt hrose") {
				t.Fatal("let in with a wrong password")
			}
		}
		if account == "anna" && !b.ssh(home, account, "right horse") {
			t.Fatal("the person is locked out")
		}
		until(t, "all of it to be read", func() bool { return b.failures(home) >= 4 })
		if b.blocks(home) || !b.reaches(home, sshPort) {
			t.Fatalf("the person is blocked after mistyping %s", account)
		}
	}
}

// failures counts what was seen of a source.
func (b *box) failures(source string) (n uint32) {
	b.t.Helper()
	dec := json.NewDecoder(strings.NewReader(b.run(b.bin, "sightings", "--json")))
	for {
		var s struct {
			Source   netip.Prefix
			Failures uint32
		}
		err := dec.Decode(&s)
		if err == io.EOF {
			return n
		}
		if err != nil {
			b.t.Fatal(err)
		}
		if s.Source.Contains(netip.MustParseAddr(source)) {
			n += s.Failures
		}
	}
}

// neverBlocked guesses from addresses that the device needs.
func (b *box) neverBlocked(t *testing.T) {
	for _, source := range []string{
		"198.51.100.20",   // allowlist
		"2001:db8:20::99", // allowlist
		"198.51.100.53",   // resolver
		testnet.Gateway4.String(),
	} {
		for n := range guesses {
			b.ssh(source, guesses[n], "guess")
		}
		until(t, "all of it to be read", func() bool { return b.failures(source) >= uint32(len(guesses)) })
		if b.blocks(source) || !b.reaches(source, sshPort) {
			t.Errorf("%s is blocked", source)
		}
		if out, err := b.command(b.net.Device, b.bin, "block", source).CombinedOutput(); err == nil {
			t.Errorf("an order blocks %s: %s", source, out)
		}
	}
}

// forged has an ordinary user write what sshd would.
func (b *box) forged(t *testing.T) {
	const victim = "203.0.113.77"
	for n := range 20 {
		b.run("setpriv", "--reuid=nobody", "--clear-groups", "logger", "-p", "auth.info", "-t", "sshd",
			fmt.Sprintf("Failed password for root from %s port %d ssh2", victim, 40000+n))
	}
	// A line of sshd itself, to know that the journal was read up to here.
	b.ssh("203.0.113.78", "root", "guess")
	until(t, "the journal to be read", func() bool { return b.failures("203.0.113.78") >= 1 })
	if b.blocks(victim) || !b.reaches(victim, sshPort) {
		t.Error("an ordinary user has a stranger blocked")
	}
}

// lowAccount logs in as one user and guesses at another's name.
func (b *box) lowAccount(t *testing.T) {
	const source = "203.0.113.60"
	for n := range 20 {
		if n%3 == 0 && !b.blocks(source) {
			b.ssh(source, "bert", "low battery")
		}
		b.ssh(source, "admin", "guess")
		if b.blocks(source) {
			return
		}
	}
	until(t, "a block", func() bool { return b.blocks(source) })
}

// secondGuard must end at once and say why.
func (b *box) secondGuard(t *testing.T) {
	cmd := b.command(b.net.Device, "timeout", "20", b.bin, "guard")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	if cmd.ProcessState.ExitCode() != 1 || !strings.Contains(out.String(), "another guard runs on this machine") {
		t.Errorf("%v\n%s", err, out.String())
	}
	if !b.blocks("203.0.113.7") || b.reaches("203.0.113.7", sshPort) {
		t.Error("the second guard unblocked what the first one blocks")
	}
}

// hits looks for the sampled drops of a source that still knocks.
func (b *box) hits(t *testing.T) {
	until(t, "sampled drops", func() bool {
		b.reaches("203.0.113.7", sshPort)
		return slices.ContainsFunc(b.rules(), func(r operator.Rule) bool {
			return r.Prefix == netip.MustParsePrefix("203.0.113.7/32") && r.Hits > 0 && r.LastHit != nil
		})
	})
}

func TestBlockEndsAndOrdersWork(t *testing.T) {
	for _, backend := range backends {
		t.Run(backend, func(t *testing.T) {
			b := newBox(t)
			b.startServers()
			g := b.startGuard(backend, "[detect]\nfirst_block = \"3s\"\n")
			const source = "203.0.113.7"
			for n := range guesses {
				if b.curl(source, "http://192.0.2.1/", guesses[n], "guess"); b.blocks(source) {
					break // a guess that waits in vain would outlast the block
				}
			}
			until(t, "a block", func() bool { return !b.reaches(source, httpPort) })
			until(t, "the block to end by itself", func() bool { return b.reaches(source, httpPort) })

			b.run(b.bin, "block", source, "--for", "1h", "--note", "a test")
			if b.reaches(source, httpPort) {
				t.Error("blocked by order, but it gets through")
			}
			b.run(b.bin, "unblock", source)
			if !b.reaches(source, httpPort) {
				t.Error("unblocked, but it does not get through")
			}
			for n := range guesses {
				b.curl(source, "http://192.0.2.1/", guesses[n], "guess")
			}
			if !b.reaches(source, httpPort) {
				t.Error("blocked again in spite of the pass")
			}
			if rules := b.run(b.bin, "rules"); !strings.Contains(rules, "unblocked by root") {
				t.Errorf("rules:\n%s", rules)
			}
			b.drift(t, backend)
			b.reload(t, g)
			g.stop(t)
		})
	}
}

// drift has somebody flush the firewall.
func (b *box) drift(t *testing.T, backend string) {
	t.Helper()
	const source = "203.0.113.8"
	b.run(b.bin, "block", source)
	for range 3 {
		if backend == "nft" {
			b.run("nft", "flush", "ruleset")
		} else {
			b.run("iptables-legacy", "-t", "mangle", "-F")
		}
		until(t, "the firewall to be mended", func() bool { return !b.reaches(source, httpPort) })
	}
	until(t, "the drift to be counted", func() bool { return b.status().Drifts >= 1 })
}

// reload takes a source into the allowlist without a restart.
func (b *box) reload(t *testing.T, g *process) {
	t.Helper()
	const source = "203.0.113.9"
	b.run(b.bin, "block", source)
	b.write("/etc/tocsin/guard.toml", "[guard]\nstate = \""+b.dir+"/state\"\nmistake = 1\n")
	syscall.Kill(g.Process.Pid, syscall.SIGHUP)
	until(t, "the mistake to be told", func() bool { return strings.Contains(g.output(), "guard.mistake is not known") })
	if b.reaches(source, httpPort) {
		t.Error("a file with a mistake changed something")
	}
	b.write("/etc/tocsin/guard.toml", "[guard]\nstate = \""+b.dir+"/state\"\n[never_block]\nallow = [\""+source+"\"]\n")
	syscall.Kill(g.Process.Pid, syscall.SIGHUP)
	until(t, "the allowlist", func() bool { return b.reaches(source, httpPort) })
}

// TestKilledAtRandom kills the guard thirty times in the middle of its work.
// After each restart kernel and state agree, and nobody blocked before gets
// through.
func TestKilledAtRandom(t *testing.T) {
	for _, backend := range backends {
		t.Run(backend, func(t *testing.T) {
			b := newBox(t)
			const log = "/var/log/vsftpd.log"
			b.write(log, "")
			g := b.startGuard(backend, "")
			rng := rand.New(rand.NewPCG(1, uint64(len(backend))))
			feed := b.command(b.net.Device, "tee", "-a", log)
			feed.Stdout = nil
			in, err := feed.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := feed.Start(); err != nil {
				t.Fatal(err)
			}
			defer feed.Wait()
			defer in.Close()
			next := 0
			for round := range 30 {
				for range 5 + rng.IntN(20) {
					b.ftpFailures(t, in, attacker(next))
					next++
				}
				time.Sleep(time.Duration(rng.IntN(60)) * time.Millisecond)
				g.kill(syscall.SIGKILL)
				before := b.kernel(backend)
				g = b.start(b.bin, "guard")
				b.awaitGuard(g)
				b.agree(t, backend, round)
				after := b.kernel(backend)
				for addr := range before {
					if !after[addr] {
						t.Fatalf("round %d: %s was blocked before the kill and is not any more", round, addr)
					}
				}
			}
			until(t, "every attacker to be blocked", func() bool { return len(b.kernel(backend)) == next })
			b.agree(t, backend, 30)
		})
	}
}

func attacker(n int) string { return fmt.Sprintf("198.18.%d.%d", n/250, n%250+1) }

// ftpFailures writes what vsftpd would write of five guesses.
func (b *box) ftpFailures(t *testing.T, w io.Writer, source string) {
	t.Helper()
	if _, err := io.WriteString(w, ftpLines(source)); err != nil {
		t.Fatal(err)
	}
}

// kernel lists the blocked single addresses as the kernel's own tools tell them.
func (b *box) kernel(backend string) map[string]bool {
	b.t.Helper()
	held := map[string]bool{}
	if backend == "iptables" {
		for line := range strings.Lines(b.run("iptables-legacy-save", "-t", "mangle")) {
			words := strings.Fields(line)
			if i := slices.Index(words, "-s"); i > 0 && strings.HasSuffix(words[i+1], "/32") && strings.HasPrefix(words[i+1], "198.18.") {
				held[strings.TrimSuffix(words[i+1], "/32")] = true
			}
		}
		return held
	}
	for word := range strings.FieldsSeq(b.run("nft", "list", "table", "inet", "tocsin")) {
		if a, err := netip.ParseAddr(strings.Trim(word, ",{}")); err == nil && netip.MustParsePrefix("198.18.0.0/15").Contains(a) {
			held[a.String()] = true
		}
	}
	return held
}

// agree compares what the guard says with what the kernel holds.
func (b *box) agree(t *testing.T, backend string, round int) {
	t.Helper()
	var diff string
	for range 100 { // lines go on being read between the two looks
		said := map[string]bool{}
		for _, r := range b.rules() {
			if r.Action == "block" {
				said[r.Prefix.Addr().String()] = true
			}
		}
		held := b.kernel(backend)
		if diff = difference(said, held); diff == "" {
			return
		}
	}
	t.Fatalf("round %d: %s", round, diff)
}

func difference(said, held map[string]bool) string {
	for a := range said {
		if !held[a] {
			return "the guard says " + a + ", the kernel does not hold it"
		}
	}
	for a := range held {
		if !said[a] {
			return "the kernel holds " + a + ", the guard does not know it"
		}
	}
	return ""
}
