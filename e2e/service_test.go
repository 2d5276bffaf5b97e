package e2e_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestReadBack starts for the first time beside rotated logs full of attacks.
// They are remembered and told, and lead to no block; one more guess does.
func TestReadBack(t *testing.T) {
	b := newBox(t)
	const old, older, ancient = "203.0.113.1", "203.0.113.2", "203.0.113.3"
	at := func(ago time.Duration, source string, n int) string {
		var w strings.Builder
		stamp := time.Now().Add(-ago).Format(time.ANSIC)
		for i := range n {
			fmt.Fprintf(&w, "%s [pid %d] [%s] FAIL LOGIN: Client \"%s\"\n", stamp, 1000+i, guesses[i], source)
		}
		return w.String()
	}
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	if _, err := z.Write([]byte(at(26*time.Hour, older, 8))); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	b.write("/var/log/vsftpd.log.3", at(20*24*time.Hour, ancient, 8))
	b.run("touch", "-d", "19 days ago", "/var/log/vsftpd.log.3")
	b.write("/var/log/vsftpd.log.2.gz", packed.String())
	b.run("touch", "-d", "25 hours ago", "/var/log/vsftpd.log.2.gz")
	b.write("/var/log/vsftpd.log.1", at(3*time.Hour+7*time.Minute, old, 4))
	b.run("touch", "-d", "3 hours ago", "/var/log/vsftpd.log.1")
	b.write("/var/log/vsftpd.log", "")
	b.write("/etc/tocsin/guard.toml", "[guard]\nstate = \""+b.dir+"/state\"\n")
	g := b.start(b.bin, "guard", "--since", "3d")
	b.awaitGuard(g)
	until(t, "the rotated logs", func() bool { return b.failures(old) == 4 && b.failures(older) == 8 })
	if rules := b.rules(); len(rules) != 0 {
		t.Errorf("old lines led to %v", rules)
	}
	if n := b.failures(ancient); n != 0 {
		t.Errorf("%d failures from before --since", n)
	}
	b.append("/var/log/vsftpd.log", at(0, old, 1))
	until(t, "a block for the fifth failure within a day", func() bool { return b.blocks(old) })
	g.stop(t)
}

// TestServiceManager has the guard tell systemd and Prometheus how it is.
func TestServiceManager(t *testing.T) {
	b := newBox(t)
	dir, err := os.MkdirTemp("", "tocsin-notify")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "notify")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := os.Chmod(socket, 0o777); err != nil {
		t.Fatal(err)
	}
	told := make(chan string, 100)
	go func() {
		buf := make([]byte, 1000)
		for {
			n, err := l.Read(buf)
			if err != nil {
				close(told)
				return
			}
			told <- string(buf[:n])
		}
	}()
	expect := func(what string) {
		t.Helper()
		for {
			select {
			case got := <-told:
				if strings.Contains(got, what) {
					return
				}
			case <-time.After(30 * time.Second):
				t.Fatalf("systemd was never told %s", what)
			}
		}
	}
	b.write("/var/log/vsftpd.log", "")
	b.write("/etc/tocsin/guard.toml", "[guard]\nstate = \""+b.dir+"/state\"\nmetrics = \"127.0.0.1:9470\"\n")
	g := b.start("env", "NOTIFY_SOCKET="+socket, "WATCHDOG_USEC=2000000", b.bin, "guard")
	expect("READY=1")
	expect("WATCHDOG=1")
	b.append("/var/log/vsftpd.log", ftpLines("203.0.113.1"))
	until(t, "a block", func() bool { return b.blocks("203.0.113.1") })
	metrics := b.run("curl", "-sf", "http://127.0.0.1:9470/metrics")
	for _, want := range []string{
		`tocsin_attempts_total{outcome="failure",service="vsftpd"} 5`, `tocsin_decisions_total{action="block",origin="device"} 1`,
		"tocsin_blocks 1", "tocsin_enforce_seconds_count 1", "go_goroutines",
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("%s is missing in\n%s", want, metrics)
		}
	}
	if strings.Contains(metrics, "203.0.113.1") {
		t.Error("a label holds what an attacker chose")
	}
	g.stop(t)
	expect("STOPPING=1")
}
