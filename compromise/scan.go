package compromise

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/tocsin-io/tocsin"
)

// What a scan is: more than so many destinations within so long, on ports where
// others are let in.
const (
	scanDestinations = 50
	scanWindow       = 10 * time.Minute
	scanAgain        = 24 * time.Hour // one that goes on is told once a day
	webShare         = 4              // one of so many must fail where 443 is needed to make up the number
)

// A knock is one connection that a device opened to a port worth scanning.
type knock struct {
	at     time.Time
	to     netip.AddrPort
	failed bool
}

// OutgoingScans returns a clue for each device that tries many destinations, by
// device and time: the time is that of the first connection. Any device may open
// many connections to port 443, so those alone are a scan only where a quarter
// of the destinations refuses or does not answer.
//
// The clues have no ID: they are the hub's own.
func OutgoingScans(contacts []tocsin.Contact) []tocsin.Clue {
	knocks := map[tocsin.DeviceID][]knock{}
	for _, c := range contacts {
		if c.Protocol != 6 || !isScanned(c.To.Port()) || !c.To.Addr().IsValid() {
			continue
		}
		to := netip.AddrPortFrom(c.To.Addr().Unmap(), c.To.Port())
		knocks[c.Device] = append(knocks[c.Device], knock{c.First, to, c.Failed > 0})
		for _, s := range c.Starts[:min(len(c.Starts), tocsin.MaxStarts)] {
			if !s.At.Equal(c.First) {
				knocks[c.Device] = append(knocks[c.Device], knock{s.At, to, c.Failed > 0})
			}
		}
	}
	var clues []tocsin.Clue
	for device, all := range knocks {
		clues = append(clues, scansOf(device, all)...)
	}
	slices.SortFunc(clues, func(a, b tocsin.Clue) int {
		if c := strings.Compare(string(a.Device), string(b.Device)); c != 0 {
			return c
		}
		return a.At.Compare(b.At)
	})
	return clues
}

func isScanned(port uint16) bool { return port == 22 || port == 23 || port == 443 || port == 8080 }

// scansOf slides a window over the connections of one device.
func scansOf(device tocsin.DeviceID, all []knock) (clues []tocsin.Clue) {
	slices.SortFunc(all, func(a, b knock) int {
		if c := a.at.Compare(b.at); c != 0 {
			return c
		}
		return a.to.Compare(b.to)
	})
	w := fan{seen: map[netip.Addr]*reached{}}
	var quiet time.Time
	begin := 0
	for end, k := range all {
		w.add(k, 1)
		for k.at.Sub(all[begin].at) > scanWindow {
			w.add(all[begin], -1)
			begin++
		}
		if k.at.Before(quiet) || !w.scans() {
			continue
		}
		quiet = k.at.Add(scanAgain)
		clues = append(clues, tocsin.Clue{
			Device: device, At: all[begin].at, Fact: tocsin.OutgoingScan,
			Subject: fmt.Sprintf("%d destinations in %d minutes on port %s", len(w.seen), scanWindow/time.Minute, ports(all[begin:end+1])),
			Digest:  digest(readable(all[begin : end+1])),
		})
	}
	return clues
}

// A fan counts the destinations in a window.
type fan struct {
	seen   map[netip.Addr]*reached
	plain  int // on another port than 443
	failed int
}

// reached counts the connections to one destination.
type reached struct{ all, plain, failed int }

// add adds the connection k, or takes it away.
func (f *fan) add(k knock, n int) {
	r := f.seen[k.to.Addr()]
	if r == nil {
		r = &reached{}
		f.seen[k.to.Addr()] = r
	}
	count(&r.all, new(int), n)
	if k.to.Port() != 443 {
		count(&r.plain, &f.plain, n)
	}
	if k.failed {
		count(&r.failed, &f.failed, n)
	}
	if r.all == 0 {
		delete(f.seen, k.to.Addr())
	}
}

// count adds n to one destination's count, and keeps how many have any.
func count(own, having *int, n int) {
	before := *own > 0
	*own += n
	switch after := *own > 0; {
	case after && !before:
		*having++
	case before && !after:
		*having--
	}
}

func (f *fan) scans() bool {
	return f.plain > scanDestinations || len(f.seen) > scanDestinations && f.failed*webShare >= len(f.seen)
}

func ports(all []knock) string {
	have := map[uint16]bool{}
	for _, k := range all {
		have[k.to.Port()] = true
	}
	var words []string
	for _, p := range []uint16{22, 23, 443, 8080} {
		if have[p] {
			words = append(words, fmt.Sprint(p))
		}
	}
	return strings.Join(words, ", ")
}

// readable returns what is hashed as the evidence of a scan.
func readable(all []knock) []string {
	lines := make([]string, len(all))
	for i, k := range all {
		lines[i] = fmt.Sprintf("%s %s %t", k.at.UTC().Format(time.RFC3339Nano), k.to, k.failed)
	}
	return lines
}
