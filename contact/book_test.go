package contact_test

import (
	"fmt"
	"math"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/contact"
)

var (
	noon   = time.Date(2023, 10, 14, 12, 0, 0, 0, time.UTC)
	server = netip.MustParseAddrPort("203.0.113.7:443")
)

func flow(at, lasted time.Duration) contact.Flow {
	return contact.Flow{To: server, Protocol: 6, Start: noon.Add(at), End: noon.Add(at + lasted), Sent: 10, Received: 100}
}

func TestBookSums(t *testing.T) {
	b := contact.NewBook(contact.Limits{})
	failed := flow(time.Minute, 0)
	failed.Failed = true
	mapped := flow(20*time.Minute, time.Second)
	mapped.To = netip.MustParseAddrPort("[::ffff:203.0.113.7]:443")
	again := flow(10*time.Minute, 40*time.Minute)
	again.Again = true
	for _, f := range []contact.Flow{flow(30*time.Minute, 3*time.Second), failed, mapped, flow(10*time.Minute, 0), again, flow(2*time.Hour, 0)} {
		b.Add("nas-1", f)
	}
	want := []tocsin.Contact{{
		Device: "nas-1", To: server, Protocol: 6, First: noon.Add(time.Minute), Last: noon.Add(50 * time.Minute),
		Count: 4, Failed: 1, Sent: 50, Received: 500, Longest: 40 * time.Minute,
		Starts: []tocsin.Start{
			{At: noon.Add(time.Minute), Sent: 10}, {At: noon.Add(10 * time.Minute), Sent: 10},
			{At: noon.Add(20 * time.Minute), Sent: 10}, {At: noon.Add(30 * time.Minute), Sent: 10},
		},
	}}
	if diff := cmp.Diff(want, b.Take(noon.Add(time.Hour)), cmpopts.EquateComparable(netip.AddrPort{})); diff != "" {
		t.Error(diff)
	}
	if got := b.Len(); got != 1 {
		t.Errorf("contacts of the window that goes on: got %d, want 1", got)
	}
	if got := b.TakeAll(); len(got) != 1 || !got[0].First.Equal(noon.Add(2*time.Hour)) {
		t.Errorf("the rest: got %v", got)
	}
}

// A connection that was told of before and outlives its window is seen in the
// next one, with its age, and not counted again.
func TestBookLongConnection(t *testing.T) {
	b := contact.NewBook(contact.Limits{})
	b.Add("nas-1", flow(0, 0))
	again := flow(0, 5*time.Hour)
	again.Again = true
	b.Add("nas-1", again)
	got := b.TakeAll()
	if len(got) != 2 || got[0].Count+got[1].Count != 1 || max(got[0].Longest, got[1].Longest) != 5*time.Hour {
		t.Errorf("got %+v, want two contacts, one connection, 5 h", got)
	}
}

func TestBookBounds(t *testing.T) {
	b := contact.NewBook(contact.Limits{Destinations: 8, Contacts: 20})
	for i := range 100 {
		f := flow(0, 0)
		f.To = netip.AddrPortFrom(server.Addr(), uint16(i))
		f.Failed = true
		b.Add("nas-1", f)
	}
	if got := b.Len(); got != 2 {
		t.Errorf("after a scan: got %d contacts, want 2: a quarter", got)
	}
	for i := range 100 {
		b.Add("nas-1", contact.Flow{To: netip.AddrPortFrom(server.Addr(), uint16(1000+i)), Start: noon, End: noon})
	}
	if got := b.Len(); got != 8 {
		t.Errorf("one device: got %d contacts, want 8", got)
	}
	for i := range 100 {
		b.Add(tocsin.DeviceID(fmt.Sprint("nas-", i)), flow(0, 0))
	}
	if got := b.Len(); got != 20 {
		t.Errorf("all devices: got %d contacts, want 20", got)
	}
	if got, want := b.Left().Flows, uint64(98+94+88); got != want {
		t.Errorf("left out: got %d flows, want %d", got, want)
	}
}

// The earliest starts are kept, whatever the order.
func TestBookStarts(t *testing.T) {
	b := contact.NewBook(contact.Limits{})
	const n = 3 * tocsin.MaxStarts
	for i := range n {
		f := flow(time.Duration(n-i)*time.Second, 0)
		f.Sent = math.MaxUint64
		b.Add("nas-1", f)
	}
	c := b.TakeAll()[0]
	if c.Count != n || len(c.Starts) != tocsin.MaxStarts || c.Sent != math.MaxUint64 {
		t.Errorf("got %d connections, %d starts, %d bytes", c.Count, len(c.Starts), c.Sent)
	}
	for i, s := range c.Starts {
		if want := noon.Add(time.Duration(i+1) * time.Second); !s.At.Equal(want) {
			t.Fatalf("start %d: got %v, want %v", i, s.At, want)
		}
	}
	if got, want := b.Left().Starts, uint64(n-tocsin.MaxStarts); got != want {
		t.Errorf("left out: got %d starts, want %d", got, want)
	}
}

func TestPublic(t *testing.T) {
	for a, want := range map[string]bool{
		"203.0.113.7": true, "2001:db8::7": true, "::ffff:203.0.113.7": true,
		"192.168.1.1": false, "::ffff:10.0.0.1": false, "100.64.0.1": false, "127.0.0.1": false, "224.0.0.251": false,
		"169.254.1.1": false, "255.255.255.255": false, "0.0.0.0": false, "fe80::1": false, "fd00::1": false, "ff02::2": false,
	} {
		if got := contact.Public(netip.MustParseAddr(a)); got != want {
			t.Errorf("Public(%s): got %t, want %t", a, got, want)
		}
	}
	if contact.Public(netip.Addr{}) {
		t.Error("no address is public")
	}
}

func BenchmarkBook(b *testing.B) {
	book := contact.NewBook(contact.Limits{})
	var devices [1000]tocsin.DeviceID
	for i := range devices {
		devices[i] = tocsin.DeviceID(fmt.Sprint("nas-", i))
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		f := flow(time.Duration(i)*time.Second/10, time.Second)
		f.To = netip.AddrPortFrom(server.Addr(), uint16(i%37))
		book.Add(devices[i%len(devices)], f)
		if i++; i%1_000_000 == 0 {
			book.TakeAll()
		}
	}
}
