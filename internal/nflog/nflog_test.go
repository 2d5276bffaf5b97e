package nflog

import (
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// inNamespace runs the rest of the test in a network namespace of its own, with
// loopback up. The thread stays locked, so it dies with the test's goroutine.
func inNamespace(t *testing.T, programs ...string) {
	t.Helper()
	fail := t.Skipf
	if os.Getenv("CI") == "true" {
		fail = t.Fatalf
	}
	if os.Getuid() != 0 {
		fail("needs root")
	}
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			fail("needs %s: %v", p, err)
		}
	}
	runtime.LockOSThread()
	h, err := netns.New()
	if err != nil {
		fail("needs network namespaces: %v", err)
	}
	t.Cleanup(func() { h.Close() })
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		t.Fatal(err)
	}
}

func TestRead(t *testing.T) {
	inNamespace(t, "iptables-legacy", "ip6tables-legacy")
	const group = 0x1234
	for _, tables := range []string{"iptables-legacy", "ip6tables-legacy"} {
		out, err := exec.Command(tables, "-A", "INPUT", "-p", "udp", "-j", "NFLOG", "--nflog-group", "4660").CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	r, err := Open(group)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	second, err := Open(group)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	for range 2 { // a Reader can be read again
		readsBoth(t, r, second)
	}
}

func readsBoth(t *testing.T, r, second *Reader) {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	got := make(chan netip.Addr, 100)
	done := make(chan error, 1)
	go func() {
		done <- r.Read(ctx, func(source netip.Addr, at time.Time) {
			if d := time.Since(at); d < -time.Second || d > time.Minute {
				t.Errorf("time of the sample: got %v, want about now", at)
			}
			select {
			case got <- source:
			default:
			}
		})
	}()
	want := map[netip.Addr]bool{netip.MustParseAddr("127.0.0.1"): true, netip.IPv6Loopback(): true}
	knock := time.NewTicker(100 * time.Millisecond) // what came before the group was bound is lost
	defer knock.Stop()
	for len(want) > 0 {
		select {
		case <-knock.C:
			sendTo(t, "127.0.0.1:9", "[::1]:9")
		case a := <-got:
			delete(want, a)
		case err := <-done:
			t.Fatalf("Read ended: %v", err)
		}
	}
	if err := second.Read(ctx, func(netip.Addr, time.Time) {}); err == nil {
		t.Error("a second reader of the group: got no error")
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Read after its context ended: %v", err)
	}
}

func sendTo(t *testing.T, addrs ...string) {
	for _, to := range addrs {
		c, err := net.Dial("udp", to)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write([]byte("knock")); err != nil {
			t.Error(err)
		}
		c.Close()
	}
}

func TestClosedReaderEnds(t *testing.T) {
	inNamespace(t)
	r, err := Open(7)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if err := r.Read(t.Context(), func(netip.Addr, time.Time) {}); err == nil {
		t.Error("Read of a closed Reader: got no error")
	}
}

// sample builds one message body as the kernel sends it.
func sample(attrs ...[]byte) []byte {
	b := []byte{2, 0, 0, 7}
	for _, a := range attrs {
		b = append(b, a...)
		for len(b)%4 != 0 {
			b = append(b, 0)
		}
	}
	return b
}

func attr(kind uint16, value []byte) []byte {
	b := binary.NativeEndian.AppendUint16(nil, uint16(4+len(value)))
	b = binary.NativeEndian.AppendUint16(b, kind)
	return append(b, value...)
}

func packet4(a string) []byte {
	b := make([]byte, 20)
	b[0] = 0x45
	copy(b[12:], netip.MustParseAddr(a).AsSlice())
	return b
}

func packet6(a string) []byte {
	b := make([]byte, 40)
	b[0] = 0x60
	as := netip.MustParseAddr(a).As16()
	copy(b[8:], as[:])
	return b
}

func stamp(at time.Time) []byte {
	b := binary.BigEndian.AppendUint64(nil, uint64(at.Unix()))
	return binary.BigEndian.AppendUint64(b, uint64(at.Nanosecond()/1000))
}

func TestParse(t *testing.T) {
	now := time.Date(2023, 10, 14, 6, 0, 0, 0, time.UTC)
	before := now.Add(-time.Second)
	tests := []struct {
		name string
		data []byte
		from string // "" when nothing is to be read
		at   time.Time
	}{
		{"IPv4", sample(attr(10, []byte("a prefix\x00")), attr(9, packet4("203.0.113.7"))), "203.0.113.7", now},
		{"IPv6", sample(attr(9, packet6("2001:db8::7"))), "2001:db8::7", now},
		{"IPv4-mapped", sample(attr(9, packet6("::ffff:203.0.113.7"))), "203.0.113.7", now},
		{"with its time", sample(attr(3, stamp(before)), attr(9, packet4("203.0.113.7"))), "203.0.113.7", before},
		{"time of another clock", sample(attr(3, stamp(time.Unix(77, 0))), attr(9, packet4("203.0.113.7"))), "203.0.113.7", now},
		{"time too large", sample(attr(3, append([]byte{0xff}, make([]byte, 15)...)), attr(9, packet4("203.0.113.7"))), "203.0.113.7", now},
		{"time too short", sample(attr(3, []byte{1}), attr(9, packet4("203.0.113.7"))), "203.0.113.7", now},
		{"flags in the kind", sample(attr(9|0x8000, packet4("203.0.113.7"))), "203.0.113.7", now},
		{"nothing", nil, "", now},
		{"no attributes", sample(), "", now},
		{"short IPv4", sample(attr(9, packet4("203.0.113.7")[:19])), "", now},
		{"short IPv6", sample(attr(9, packet6("2001:db8::7")[:39])), "", now},
		{"not IP", sample(attr(9, make([]byte, 64))), "", now},
		{"attribute longer than the message", append(sample(), 0xff, 0xff, 9, 0, 1), "", now},
		{"attribute shorter than its head", append(sample(), 1, 0, 9, 0), "", now},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			from, at, ok := parse(tt.data, now)
			if ok != (tt.from != "") || ok && (from.String() != tt.from || !at.Equal(tt.at)) {
				t.Errorf("got %v %v %v, want %q %v", from, at, ok, tt.from, tt.at)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add(sample(attr(9, packet4("203.0.113.7"))))
	f.Add(sample(attr(3, stamp(time.Now())), attr(9, packet6("2001:db8::7"))))
	f.Add([]byte{2, 0, 0, 7, 1, 0, 9, 0})
	now := time.Date(2023, 10, 14, 6, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, data []byte) {
		from, at, ok := parse(data, now)
		if !ok {
			return
		}
		if !from.IsValid() || from.Is4In6() || from.Zone() != "" {
			t.Errorf("source %v: want a plain address", from)
		}
		if d := at.Sub(now); d > skew || d < -skew {
			t.Errorf("time %v: want one near %v", at, now)
		}
	})
}

func BenchmarkParse(b *testing.B) {
	data := sample(attr(10, []byte("tocsin\x00")), attr(3, stamp(time.Now())), attr(9, packet6("2001:db8::7")))
	now := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		if _, _, ok := parse(data, now); !ok {
			b.Fatal("not read")
		}
	}
}
