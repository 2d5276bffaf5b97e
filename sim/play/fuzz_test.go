package play

import (
	"bytes"
	"testing"
	"time"
)

// FuzzRestamp wants a time that was found to be moved, and nothing else of the
// line to change.
func FuzzRestamp(f *testing.F) {
	for _, line := range []string{
		"Oct 14 18:00:00 nas-0001 sshd[1]: Failed password for root from 203.0.113.7 port 1 ssh2",
		"<28>Oct  4 18:00:00 nas-0001 qlogd[3310]: conn log",
		"<38>1 2023-10-14T18:00:00.000000Z nas-0001 sshd 7 - - Failed",
		"<30>1 2023-10-14T20:00:00+02:00 nas-0001 qulogd: 14387 - -",
		"2023-10-14T20:00:00.000000+02:00 nas-0001 sshd[1]: Failed",
		"[2023/10/14 18:00:00.000000,  2] ../../source3/auth/auth_log.c:749(log_json)",
		`  Auth: [SMB2,(null)] user [WORKGROUP]\[x] at [Sat, 14 Oct 2023 18:00:00.000000 UTC] with [NTLMv2]`,
		`  {"timestamp": "2023-10-14T18:00:00.000000+0000", "type": "Authentication"}`,
		"Sat Oct 14 18:00:00 2023 [pid 3] CONNECT: Client \"::ffff:203.0.113.7\"",
		"", "[", "<", "<1>1 ", "  Auth: [", "no time at all",
	} {
		f.Add([]byte(line))
	}
	end := time.Date(2023, 10, 14, 20, 0, 0, 0, time.UTC)
	to := time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)
	zone := time.FixedZone("", 5*3600+1800)
	f.Fuzz(func(t *testing.T, line []byte) {
		s, ok := findStamp(line, end)
		if !ok {
			return
		}
		out := restamp(nil, line, s, to, zone)
		if !bytes.HasPrefix(out, line[:s.from]) || !bytes.HasSuffix(out, line[s.to:]) {
			t.Fatalf("%q became %q", line, out)
		}
		again, ok := findStamp(out, to)
		if !ok || again.from != s.from || len(out)-again.to != len(line)-s.to {
			t.Fatalf("%q became %q, in which there is no time, or elsewhere", line, out)
		}
		want := to
		if s.zone == nil { // read as UTC, written in zone
			want = to.Add(5*time.Hour + 30*time.Minute)
		}
		if d := want.Sub(again.at).Abs(); d > time.Second && d < 300*24*time.Hour { // else it is not believed, or of another year
			t.Fatalf("%q became %q, at %v, not %v", line, out, again.at, want)
		}
	})
}
