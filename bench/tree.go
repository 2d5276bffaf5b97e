package main

import (
	"context"
	"fmt"
)

// measureTree asks what the chain tree costs traffic that no rule names. Of its
// loss, most is connection tracking, which devices with containers or a vendor's
// firewall have switched on already: the ratio to it is told beside.
func measureTree(ctx context.Context, _ *env) (section, error) {
	const name = "BenchmarkPassing"
	// Where the devices of one run lie in memory is worth 2 %, however many
	// rounds there are: so rather many runs.
	r, cmd, err := goBench(ctx, "./firewall/iptables", "^"+name+"$", "120x", 9)
	if err != nil {
		return section{}, err
	}
	ratio := map[string]float64{}
	for _, of := range []string{"tree/none", "linear/none", "tracked/none", "again/none", "tree/tracked"} {
		if ratio[of], err = median(r, name, of); err != nil {
			return section{}, err
		}
	}
	return section{
		rows: []row{{
			figure: "chain tree with 20,000 rules: small datagrams that pass, to no filter", must: "≥ 0.9 ×",
			measured: fmt.Sprintf("%.3f × (%s); no filter to no filter %.3f ×", ratio["tree/none"], r.span(name, "tree/none"), ratio["again/none"]),
			verdict:  judge(ratio["tree/none"] >= 0.9), known: fmt.Sprintf("linear rules 0.22 ×; in this run %.3g ×", ratio["linear/none"]),
		}, {
			figure:   "… to no filter, but connection tracking on",
			measured: fmt.Sprintf("%.3f × (%s)", ratio["tree/tracked"], r.span(name, "tree/tracked")),
			known:    fmt.Sprintf("tracking alone, in this run %.3f × of no filter", ratio["tracked/none"]),
		}},
		commands: []string{cmd},
	}, nil
}
