package main

import (
	"context"
	"fmt"
	"net/netip"
	"runtime"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/authlog/logmix"
	"github.com/tocsin-io/tocsin/detect"
)

// measureMemory fills a detector with a million sources, in a process that
// holds nothing else that grows.
func measureMemory(context.Context, *env) (section, error) {
	const million = 1_000_000
	before := heap()
	p := detect.Default()
	p.Sources = million
	d := detect.New(p)
	for i := range 2*million + 100_000 { // many more than it may remember
		a := tocsin.Attempt{
			At: logmix.Start, Service: "ssh", Outcome: tocsin.Failure, Account: "root", Provenance: tocsin.Attested,
			Source: netip.AddrPortFrom(logmix.Source(i), 40000),
		}
		if i%20 == 0 {
			a.Outcome = tocsin.Success
		}
		d.Observe(a, nil)
	}
	grown := heap() - before
	said, sources := d.Bytes(), d.Len()
	runtime.KeepAlive(d)
	most := max(said, grown)
	return section{rows: []row{{
		figure: fmt.Sprintf("%d sources remembered, 2.1 M seen", sources), must: "≤ 128 MiB, never more than the cap",
		measured: fmt.Sprintf("%.1f MiB (%d bytes each); heap grew by %.1f MiB", mib(said), said/sources, mib(grown)),
		verdict:  judge(most <= 128<<20 && sources <= million),
	}}}, nil
}

func heap() int {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

func mib(bytes int) float64 { return float64(bytes) / (1 << 20) }
