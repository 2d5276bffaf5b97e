package footprints

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tocsin-io/tocsin"
)

// A listener is a port that takes connections from elsewhere.
type listener struct {
	port uint16
	line string // as the kernel tells it
}

// parseListeners reads /proc/net/tcp or tcp6. The kernel tells listening sockets
// before all others, so that a device with many connections need not tell them.
func parseListeners(r io.Reader) (all []listener) {
	s := bufio.NewScanner(r)
	for s.Scan() {
		f := strings.Fields(s.Text())
		if len(f) < 4 || f[0] == "sl" {
			continue
		}
		if f[3] != "0A" {
			return all
		}
		at, ok := parseEnd(f[1])
		if ok && at.Port() != 0 && !at.Addr().IsLoopback() {
			all = append(all, listener{at.Port(), strings.Join(f[1:4], " ")})
		}
	}
	return all
}

// parseEnd reads an address as the kernel writes it: words of 32 bits in the
// order of the machine, and the port.
func parseEnd(s string) (netip.AddrPort, bool) {
	words, digits, ok := strings.Cut(s, ":")
	raw, err := hex.DecodeString(words)
	if !ok || err != nil || len(raw)%4 != 0 {
		return netip.AddrPort{}, false
	}
	port, err := strconv.ParseUint(digits, 16, 16)
	if err != nil {
		return netip.AddrPort{}, false
	}
	for i := 0; i < len(raw); i += 4 {
		binary.NativeEndian.PutUint32(raw[i:], binary.BigEndian.Uint32(raw[i:]))
	}
	a, ok := netip.AddrFromSlice(raw)
	return netip.AddrPortFrom(a.Unmap(), uint16(port)), ok
}

// comparePorts tells which ports take connections that never did before.
func (w *Watch) comparePorts(next *baseline, now time.Time) (clues []tocsin.Clue) {
	for _, name := range []string{"proc/net/tcp", "proc/net/tcp6"} {
		var all []listener
		err := read(w.path(name), func(r io.Reader) error { all = parseListeners(r); return nil })
		if err != nil {
			if !missing(err) {
				w.noSee(w.path(name), reason(err))
			}
			continue
		}
		for _, l := range all {
			i, known := slices.BinarySearch(next.Ports, l.port)
			if known {
				continue
			}
			next.Ports = slices.Insert(next.Ports, i, l.port)
			if w.fresh {
				continue
			}
			clues = append(clues, tocsin.Clue{
				At: now, Fact: tocsin.PortOpened, Subject: fmt.Sprintf("tcp %d", l.port), Digest: sha256.Sum256([]byte(l.line)),
			})
		}
	}
	return clues
}
