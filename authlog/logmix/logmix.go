// Package logmix invents logs of OpenSSH servers under attack, for benchmarks
// and for comparisons with other tools: every line has a form that real servers
// write, in whole sessions that run beside each other, and in about the shares
// of a real log (logpai/loghub, OpenSSH). The same seed gives the same log.
//
// It is for measuring, not for training: passwords, names and intervals follow
// no real attacker.
package logmix

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"time"
)

// Start is the time of the first line. Line follows line after 0 to 4 seconds.
var Start = time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)

// v4Sources is how many addresses 198.18.0.0/15 has: the range set aside for
// measurements, which nobody can be reached at.
const v4Sources = 1 << 17

// Source returns the address of the i-th source: first all of 198.18.0.0/15,
// then one address in each /64 of 2001:db8::/32.
func Source(i int) netip.Addr {
	if i < v4Sources {
		return netip.AddrFrom4([4]byte{198, byte(18 + i>>16), byte(i >> 8), byte(i)})
	}
	i -= v4Sources
	return netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, byte(i >> 24), byte(i >> 16), byte(i >> 8), byte(i), 15: 1})
}

// running is how many sessions write at the same time.
const running = 12

// A session is the lines that one connection still has to write.
type session struct {
	pid   int
	lines []string
}

// A mixer writes one log.
type mixer struct {
	out      *bufio.Writer
	random   *rand.Rand
	sources  int
	stride   int // from one source to the next
	sessions int // begun so far
	pid      int
	at       time.Time
	open     []session
}

// Write writes the given number of lines to w, of connections from the given
// number of sources: each comes once before any comes twice, so a log with
// fewer connections than sources has fewer sources.
func Write(w io.Writer, lines, sources int, seed uint64) error {
	return WriteOf(w, lines, sources, sources, seed)
}

// WriteOf is Write with the sources spread evenly over the first so many of
// [Source]: logs of few and of many sources then have the same share of IPv6,
// which takes longer to read, and can be compared.
func WriteOf(w io.Writer, lines, sources, universe int, seed uint64) error {
	if sources < 1 || universe < sources {
		return fmt.Errorf("logmix: %d sources of %d: at least 1, and no more than there are", sources, universe)
	}
	m := &mixer{
		out: bufio.NewWriterSize(w, 1<<16), random: rand.New(rand.NewPCG(seed, 0)),
		sources: sources, stride: universe / sources, pid: 24200, at: Start,
	}
	for range running {
		m.open = append(m.open, m.session())
	}
	for range lines {
		if err := m.line(); err != nil {
			return fmt.Errorf("logmix: %w", err)
		}
	}
	if err := m.out.Flush(); err != nil {
		return fmt.Errorf("logmix: %w", err)
	}
	return nil
}

// line writes the next line of one of the open sessions.
func (m *mixer) line() error {
	if m.random.IntN(40) == 0 {
		m.at = m.at.Add(time.Duration(m.random.IntN(100)) * time.Second)
	} else {
		m.at = m.at.Add(time.Duration(m.random.IntN(3)) * time.Second)
	}
	s := &m.open[m.random.IntN(running)]
	text := s.lines[0]
	program := "sshd"
	if text[0] == '!' {
		program, text = "CRON", text[1:]
	}
	_, err := fmt.Fprintf(m.out, "%s nas01 %s[%d]: %s\n", m.at.Format("Jan _2 15:04:05"), program, s.pid, text)
	if s.lines = s.lines[1:]; len(s.lines) == 0 {
		*s = m.session()
	}
	return err
}

var names = []string{
	"admin", "test", "oracle", "guest", "ubuntu", "postgres", "user", "ftpuser", "git", "pi", "nagios", "support",
	"webmaster", "0101", "backup", "deploy", "www", "mysql", "minecraft", "jenkins",
}

// session invents a connection.
func (m *mixer) session() session {
	source := m.sessions
	if source >= m.sources {
		// The few busiest sources make most of the connections.
		f := m.random.Float64()
		source = int(f * f * f * float64(m.sources))
	}
	m.sessions++
	m.pid += 1 + m.random.IntN(3)
	if m.pid > 4_000_000 {
		m.pid = 1000
	}
	c := conn{addr: Source(source * m.stride).String(), port: 1024 + m.random.IntN(60000), name: names[m.random.IntN(len(names))]}
	return session{pid: m.pid, lines: c.lines(m.random.IntN(100), m.random.IntN(1000))}
}
