package authlog_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/tocsin-io/tocsin/authlog"
	"github.com/tocsin-io/tocsin/authlog/logmix"
)

// run reads lines over and over; one operation is one line.
func run(b *testing.B, lines [][]byte) {
	b.ReportAllocs()
	p := authlog.Default().Parser(time.UTC)
	received := logmix.Start.Add(300 * 24 * time.Hour)
	i, attempts, size := 0, 0, 0
	for b.Loop() {
		_, n := p.Parse(lines[i], received)
		for _, ok := p.Overdue(received); ok; _, ok = p.Overdue(received) {
			n++
		}
		attempts += n
		size += len(lines[i])
		if i++; i == len(lines) {
			i = 0
		}
	}
	b.SetBytes(int64(size / max(1, b.N)))
	b.ReportMetric(float64(attempts)/float64(b.N), "attempts/line")
}

func mix(b *testing.B, n, sources int) [][]byte {
	var buf bytes.Buffer
	if err := logmix.Write(&buf, n, sources, 1); err != nil {
		b.Fatal(err)
	}
	return bytes.Split(bytes.TrimSpace(buf.Bytes()), []byte("\n"))
}

func BenchmarkParseSSHD(b *testing.B) { run(b, mix(b, 100_000, 4433)) }

func BenchmarkParseSSHDManySources(b *testing.B) { run(b, mix(b, 300_000, 400_000)) }

// Every sample of every service, as lines of one stream.
func BenchmarkParseMixed(b *testing.B) {
	var lines [][]byte
	for _, d := range authlog.All() {
		for i, s := range d.Samples {
			line := s.Line
			if line == "" {
				line = fmt.Sprintf("Jan 15 20:54:02 host1 %s[%d]: %s", s.Program, 4000+i, s.Message)
			}
			lines = append(lines, []byte(line))
		}
	}
	run(b, lines)
}

// Lines of programs that are no service.
func BenchmarkParseForeign(b *testing.B) {
	var lines [][]byte
	for i := range 1000 {
		lines = append(lines,
			fmt.Appendf(nil, "Jan 15 20:54:%02d host1 CRON[%d]: pam_unix(cron:session): session opened for user root by (uid=0)", i%60, i),
			fmt.Appendf(nil, "Jan 15 20:54:%02d host1 systemd[1]: Started Session %d of User root.", i%60, i),
			fmt.Appendf(nil, "Jan 15 20:54:%02d host1 kernel: [%d.100168] eth0: link up", i%60, i))
	}
	run(b, lines)
}
