package quorum

import (
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-io/tocsin"
)

var update = flag.Bool("update", false, "write docs/quorum.md anew")

// P2: what a wrong block costs. Of a fleet of a thousand owners, a share are the
// attacker's, spread over some networks. For some days they behave and repeat
// what honeypots see, to be trusted; then each of them has its device say that
// it blocked addresses which never did anything, as many owners about each
// address as it takes.

const (
	fleetOwners   = 1000
	fleetNetworks = 300
	falseReports  = 6000 // a cell, over a day; figures are for a million
	costStart     = "<!-- cost: written by go test ./quorum -run TestCost -update -->"
	costEnd       = "<!-- end of cost -->"
)

var (
	costShares   = []float64{0.1, 1, 5, 20} // percent of the owners
	costNetworks = []int{2, 3, 10, 0}       // 0 is as many as there are
	costDays     = []int{0, 3, 17, 60}
)

// wrongBlocks returns how many of a million false reports become blocks for
// everybody, and how many do of addresses where somebody belongs.
func wrongBlocks(share float64, networks, days int) (strangers, friends int) {
	for _, together := range []int{3, 6} { // the attacker takes what works best
		s, f := campaign(share, networks, days, together)
		strangers, friends = max(strangers, s), max(friends, f)
	}
	return strangers, friends
}

func campaign(share float64, networks, days, together int) (strangers, friends int) {
	tally, owners := New(Default()), max(int(share*fleetOwners/100), 1)
	if networks == 0 {
		networks = min(owners, fleetNetworks)
	}
	liar := func(i int, source string, after time.Duration) tocsin.Received {
		i %= owners
		r := blocked(from(told(fmt.Sprint("liar", i), fmt.Sprint("liar", i), source, after, "root", "admin", "pi"), i%networks))
		r.Network = uint32(64500 + i%networks)
		r.Enrolled = day0
		return r
	}
	for d := range days {
		for k := range 2 {
			source := fmt.Sprintf("198.51.100.%d", 1+(2*d+k)%250)
			after := time.Duration(d)*24*time.Hour + time.Duration(k)*time.Hour
			tally.Observe(honeypot(told("", "", source, after, "root")))
			for i := range owners {
				tally.Observe(liar(i, source, after+time.Minute))
			}
		}
	}
	start := time.Duration(days) * 24 * time.Hour
	belongs := fmt.Sprintf("203.0.113.%d", 7)
	for i := range 3 { // honest, old, and in networks of their own
		o := fmt.Sprint("honest", i)
		tally.Observe(from(in(told(o, o, belongs, start), "#me"), 200+i))
	}
	for n := range falseReports {
		victim := n / together
		source := fmt.Sprintf("198.18.%d.%d", victim/250, 1+victim%250)
		if victim%50 == 0 {
			source = belongs
		}
		after := start + time.Duration(n)*24*time.Hour/falseReports
		for _, r := range only("", tally.Observe(liar(n+victim, source, after))) {
			if r.Prefix == host(belongs) {
				friends++
			} else {
				strangers++
			}
		}
	}
	return strangers * 1_000_000 / falseReports, friends * 1_000_000 / falseReports
}

// TestCost measures P2 and fails if a cell is worse than what is published.
func TestCost(t *testing.T) {
	const file = "../docs/quorum.md"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), costStart)
	published, after, ok2 := strings.Cut(rest, costEnd)
	if !ok || !ok2 {
		t.Fatalf("%s does not hold the table of costs", file)
	}
	old := cells(published)
	var b strings.Builder
	b.WriteString("\n\n| share of owners | networks | 0 days | 3 days | 17 days | 60 days |\n|---|---|---|---|---|---|\n")
	n := 0
	for _, share := range costShares {
		for _, networks := range costNetworks {
			name := strconv.Itoa(networks)
			if networks == 0 {
				name = "all"
			}
			fmt.Fprintf(&b, "| %g %% | %s |", share, name)
			for _, days := range costDays {
				strangers, friends := wrongBlocks(share, networks, days)
				fmt.Fprintf(&b, " %d |", strangers)
				if friends > 0 {
					t.Errorf("%g %% in %s networks after %d days: an address where somebody belongs was blocked", share, name, days)
				}
				if !*update && (n >= len(old) || strangers > old[n]) {
					t.Errorf("%g %% in %s networks after %d days: %d wrong blocks in a million reports, more than is published; with -update, say so in the commit",
						share, name, days, strangers)
				}
				n++
			}
			b.WriteString("\n")
		}
	}
	b.WriteString("\n")
	if *update {
		if err := os.WriteFile(file, []byte(before+costStart+b.String()+costEnd+after), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// cells reads the figures of a table.
func cells(table string) (list []int) {
	for line := range strings.Lines(table) {
		columns := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if len(columns) != 2+len(costDays) {
			continue
		}
		for _, c := range columns[2:] {
			if n, err := strconv.Atoi(strings.TrimSpace(c)); err == nil {
				list = append(list, n)
			}
		}
	}
	return list
}
