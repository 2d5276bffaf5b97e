package logmix_test

import (
	"bytes"
	"io"
	"net/netip"
	"testing"
	"time"

	"github.com/tocsin-io/tocsin/authlog"
	"github.com/tocsin-io/tocsin/authlog/logmix"
)

func TestSource(t *testing.T) {
	for i, want := range map[int]string{
		0: "198.18.0.0", 131071: "198.19.255.255", 131072: "2001:db8::1", 131073: "2001:db8:0:1::1", 400000: "2001:db8:4:1a80::1",
	} {
		if got := logmix.Source(i); got != netip.MustParseAddr(want) {
			t.Errorf("source %d: got %v, want %s", i, got, want)
		}
	}
}

func TestWrite(t *testing.T) {
	var a, b bytes.Buffer
	for _, w := range []io.Writer{&a, &b} {
		if err := logmix.Write(w, 30_000, 4000, 1); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(a.Bytes(), b.Bytes()) {
		t.Error("one seed, two logs")
	}
	if got := bytes.Count(a.Bytes(), []byte("\n")); got != 30_000 {
		t.Errorf("got %d lines", got)
	}
	p := authlog.Default().Parser(nil)
	sources := map[netip.Addr]bool{}
	received := logmix.Start.Add(365 * 24 * time.Hour)
	for line := range bytes.Lines(a.Bytes()) {
		if attempt, n := p.Parse(line, received); n > 0 {
			sources[attempt.Source.Addr()] = true
		}
	}
	if len(sources) < 3500 || len(sources) > 4000 {
		t.Errorf("got %d sources, want nearly 4000", len(sources))
	}
	if err := logmix.Write(&a, 1, 0, 1); err == nil {
		t.Error("no sources is no error")
	}
}
