package main

import (
	"context"
	"fmt"
	"slices"
)

// measureNFT loads rules into the kernel, in turn with the library alone.
func measureNFT(ctx context.Context, _ *env) (section, error) {
	const pkg = "./firewall/nft"
	load, loadCmd, err := goBench(ctx, pkg, "^BenchmarkLoad$", "1x", 3)
	if err != nil {
		return section{}, err
	}
	one, oneCmd, err := goBench(ctx, pkg, "^BenchmarkAddOneInto1M$", "5000x", 2)
	if err != nil {
		return section{}, err
	}
	small, err := load.best("BenchmarkLoad/20000", "s/load")
	if err != nil {
		return section{}, err
	}
	large, err := load.best("BenchmarkLoad/1000000", "s/load")
	if err != nil {
		return section{}, err
	}
	ratio, err := median(load, "BenchmarkLoad/1000000", "x-bare")
	if err != nil {
		return section{}, err
	}
	p50, err := one.best("BenchmarkAddOneInto1M", "p50-ns")
	if err != nil {
		return section{}, err
	}
	p99, err := one.best("BenchmarkAddOneInto1M", "p99-ns")
	if err != nil {
		return section{}, err
	}
	return section{
		rows: []row{
			{figure: "20,000 rules into the kernel (nft)", must: "≤ 0.15 s", measured: fmt.Sprintf("%.3f s (%s)", small, load.span("BenchmarkLoad/20000", "s/load")),
				verdict: judge(small <= 0.15), known: "CrowdSec bouncer 10 s"},
			{figure: "1,000,000 rules (nft), to a bare google/nftables loader", must: "≤ 1.3 ×",
				measured: fmt.Sprintf("%.2f × (%s), %.2f s", ratio, load.span("BenchmarkLoad/1000000", "x-bare"), large), verdict: judge(ratio <= 1.3)},
			{figure: "one more into 1,000,000", must: "≤ 100 µs", measured: fmt.Sprintf("median %.0f µs, p99 %.0f µs", p50/1e3, p99/1e3), verdict: judge(p50 <= 100e3)},
		},
		commands: []string{loadCmd, oneCmd},
	}, nil
}

// median returns the middle of the figures: a ratio of two noisy times has no
// best.
func median(r results, name, unit string) (float64, error) {
	if _, err := r.best(name, unit); err != nil {
		return 0, err
	}
	sorted := slices.Sorted(slices.Values(r[name+" "+unit]))
	return sorted[len(sorted)/2], nil
}
