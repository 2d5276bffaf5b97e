package controller_test

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/controller"
	"github.com/tocsin-io/tocsin/controller/fleettrace"
)

// A run says how one invented fleet was ranked.
type run struct {
	rank     int  // of the true controller; 0 is not among the candidates
	vendor   bool // a server of the vendor was admitted
	payload  int
	class    tocsin.ControllerClass
	admitted bool
	propose  bool
}

func ranked(o fleettrace.Options) (r run) {
	t := fleettrace.New(o)
	for i, c := range controller.Rank(t.Input(o.Seed)).Candidates {
		switch to := netip.AddrPortFrom(c.Address, c.Port); {
		case to == t.Controller:
			r.rank, r.class, r.admitted, r.propose = i+1, c.Class, c.Admitted, c.MayPropose
		case to == t.Payload:
			r.payload = i + 1
		case t.Vendor[to] && c.Q <= controller.Level:
			r.vendor = true
		}
	}
	return r
}

// scenarios are those of docs/controllers.md.
var scenarios = []struct {
	name    string
	options fleettrace.Options
}{
	{"5bots", fleettrace.Options{Bots: 5}},
	{"8bots", fleettrace.Options{Bots: 8}},
	{"30bots", fleettrace.Options{Bots: 30}},
	{"30botsUninformative", fleettrace.Options{Bots: 30, Irregular: true, Untimed: true}},
	{"30botsUninformativeNoClock", fleettrace.Options{Bots: 30, Irregular: true, NoClock: true}},
}

// So few fleets prove no share (the benchmark does, with 200), but what is found
// in them stays found.
func TestTrueControllerComesFirst(t *testing.T) {
	for _, s := range scenarios {
		t.Run(s.name, func(t *testing.T) {
			for seed := range uint64(3) {
				s.options.Seed = seed + 1
				r := ranked(s.options)
				if r.rank != 1 {
					t.Errorf("seed %d: the true controller has rank %d", seed+1, r.rank)
				}
				if r.vendor {
					t.Errorf("seed %d: a server of the vendor was admitted", seed+1)
				}
			}
		})
	}
}

// BenchmarkTrueControllerComesFirst ranks 200 fleets a scenario: run it with
// -benchtime=1x.
func BenchmarkTrueControllerComesFirst(b *testing.B) {
	for _, s := range scenarios {
		b.Run(s.name, func(b *testing.B) {
			const seeds = 200
			for b.Loop() {
				var first, found, vendor, class, admitted float64
				for seed := range uint64(seeds) {
					s.options.Seed = seed + 1
					switch r := ranked(s.options); {
					case r.vendor:
						vendor++
						fallthrough
					default:
						first += one(r.rank == 1)
						found += one(r.rank > 0)
						class += one(r.class == tocsin.Commands)
						admitted += one(r.admitted)
					}
				}
				b.ReportMetric(100*first/seeds, "%first")
				b.ReportMetric(100*found/seeds, "%candidate")
				b.ReportMetric(100*class/seeds, "%class")
				b.ReportMetric(100*admitted/seeds, "%admitted")
				b.ReportMetric(vendor, "vendor-runs")
			}
		})
	}
}

func one(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// The order of the input does not matter, and the seed is all there is of chance.
func TestSameInputSameRanking(t *testing.T) {
	in := fleettrace.New(fleettrace.Options{Seed: 3, Devices: 200, Bots: 10, Private: 5}).Input(7)
	want := controller.Rank(in)
	r := rand.New(rand.NewPCG(1, 2))
	in.Contacts, in.Devices = slices.Clone(in.Contacts), slices.Clone(in.Devices)
	r.Shuffle(len(in.Contacts), func(i, j int) { in.Contacts[i], in.Contacts[j] = in.Contacts[j], in.Contacts[i] })
	r.Shuffle(len(in.Devices), func(i, j int) { in.Devices[i], in.Devices[j] = in.Devices[j], in.Devices[i] })
	if diff := cmp.Diff(want, controller.Rank(in), cmpopts.EquateComparable(netip.Addr{})); diff != "" {
		t.Error(diff)
	}
	if want.Seed != 7 || want.Rounds != 999 || want.Observed < 1000 || len(want.Candidates) == 0 {
		t.Errorf("got seed %d, %d rounds, %d destinations, %d candidates", want.Seed, want.Rounds, want.Observed, len(want.Candidates))
	}
	if got := want.Controllers(); len(got) != len(want.Candidates) || got[0].Address != want.Candidates[0].Address {
		t.Errorf("Controllers: got %d", len(got))
	}
}

var (
	start  = time.Date(2023, 10, 10, 0, 0, 0, 0, time.UTC)
	attack = start.Add(102 * time.Hour)
	master = netip.MustParseAddrPort("203.0.113.7:4433")
)

// small returns a fleet of n devices of which the first bots are labelled, and
// which contact what the caller adds.
func small(n, bots int) controller.Input {
	in := controller.Input{Seed: 1}
	for i := range n {
		d := controller.Device{ID: device(i), Model: "A", Firmware: "1", Owner: "ada"}
		if i < bots {
			d.Compromised, d.FirstAttack = true, attack
		}
		in.Devices = append(in.Devices, d)
	}
	return in
}

func device(i int) tocsin.DeviceID { return tocsin.DeviceID(fmt.Sprintf("nas-%03d", i)) }

func meet(in *controller.Input, i int, to netip.AddrPort, at time.Time, more func(*tocsin.Contact)) {
	c := tocsin.Contact{Device: device(i), To: to, Protocol: 6, First: at, Last: at, Count: 1, Starts: []tocsin.Start{{At: at}}}
	if more != nil {
		more(&c)
	}
	in.Contacts = append(in.Contacts, c)
}

func TestFilters(t *testing.T) {
	hour := attack.Add(-time.Hour)
	for _, tt := range []struct {
		name string
		fill func(*controller.Input)
		want bool
	}{
		{"two before the attack", func(in *controller.Input) {
			meet(in, 0, master, hour, nil)
			meet(in, 1, master, attack.Add(time.Hour), nil)
		}, true},
		{"one device only", func(in *controller.Input) {
			meet(in, 0, master, hour, nil)
			meet(in, 0, master, hour.Add(-time.Hour), nil)
			meet(in, 50, master, hour, nil)
		}, false},
		{"both after the attack", func(in *controller.Input) {
			meet(in, 0, master, attack, nil)
			meet(in, 1, master, attack.Add(time.Hour), nil)
		}, false},
		{"both after, of one the attack is not known", func(in *controller.Input) {
			in.Devices[1].FirstAttack = time.Time{}
			meet(in, 0, master, attack, nil)
			meet(in, 1, master, attack.Add(time.Hour), nil)
		}, true},
		{"allowed", func(in *controller.Input) {
			in.Allow = []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}
			meet(in, 0, master, hour, nil)
			meet(in, 1, master, hour, nil)
		}, false},
		{"inside of a network", func(in *controller.Input) {
			to := netip.MustParseAddrPort("192.168.1.1:4433")
			meet(in, 0, to, hour, nil)
			meet(in, 1, to, hour, nil)
		}, false},
		{"part of a scan", func(in *controller.Input) {
			for n := range 101 {
				to := netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, 100, byte(n)}), 4433)
				meet(in, 0, to, hour, func(c *tocsin.Contact) { c.Failed = 1 })
			}
			meet(in, 0, master, hour, nil)
			meet(in, 1, master, hour, nil)
		}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in := small(60, 3)
			tt.fill(&in)
			r := controller.Rank(in)
			if got := len(r.Candidates) > 0; got != tt.want {
				t.Errorf("a candidate: got %t, want %t", got, tt.want)
			}
			if (r.Lacking == "") != tt.want {
				t.Errorf("what is lacking: got %q", r.Lacking)
			}
		})
	}
}

func TestNotEnoughEvidence(t *testing.T) {
	for _, tt := range []struct {
		name string
		in   controller.Input
	}{
		{"nothing", controller.Input{}}, {"one device", small(1, 1)}, {"no label", small(60, 0)},
		{"one label", small(60, 1)}, {"no contacts", small(60, 3)},
	} {
		if r := controller.Rank(tt.in); r.Lacking == "" || len(r.Candidates) > 0 {
			t.Errorf("%s: got %+v", tt.name, r)
		}
	}
}

// A case is proposed for an admitted candidate of two devices, and not if they
// are all of one kind and owner.
func TestMayPropose(t *testing.T) {
	for _, tt := range []struct {
		name    string
		change  func(*controller.Input)
		propose bool
	}{
		{"one model, one owner", func(*controller.Input) {}, false},
		{"two owners", func(in *controller.Input) { in.Devices[0].Owner = "grace" }, true},
		{"two models", func(in *controller.Input) {
			for i := range 30 {
				in.Devices[3*i].Model = "B"
			}
		}, true},
		{"an owner nobody knows", func(in *controller.Input) { in.Devices[0].Owner = "" }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in := small(300, 12)
			for i := range 12 {
				for n := range 5 {
					meet(&in, i, master, attack.Add(time.Duration(n-5)*time.Hour), nil)
				}
				meet(&in, i, netip.MustParseAddrPort("198.51.100.1:443"), start, nil)
			}
			tt.change(&in)
			r := controller.Rank(in)
			if len(r.Candidates) == 0 || netip.AddrPortFrom(r.Candidates[0].Address, r.Candidates[0].Port) != master {
				t.Fatalf("got %+v", r.Candidates)
			}
			c := r.Candidates[0]
			if !c.Admitted || c.MayPropose != tt.propose {
				t.Errorf("admitted %t (q %g), may propose %t, want %t", c.Admitted, c.Q, c.MayPropose, tt.propose)
			}
		})
	}
}

// Where one day only was observed, no other day can be drawn: precedence is the
// sign test then, however many devices there are.
func TestPrecedence(t *testing.T) {
	for _, tt := range []struct {
		name  string
		since time.Duration
		want  float64
	}{{"half a day", 12 * time.Hour, 1.0 / 64}, {"four days", 96 * time.Hour, 0.001}} {
		in := small(60, 6)
		for i := range 6 {
			meet(&in, i, netip.MustParseAddrPort("198.51.100.1:443"), attack.Add(-tt.since), nil)
			meet(&in, i, master, attack.Add(-time.Hour), nil)
			meet(&in, i, netip.MustParseAddrPort("198.51.100.1:443"), attack.Add(time.Hour), nil)
		}
		for _, c := range controller.Rank(in).Candidates {
			if c.Address == master.Addr() && math.Abs(c.Precedence-tt.want) > tt.want {
				t.Errorf("%s: got p %g, want about %g", tt.name, c.Precedence, tt.want)
			}
			if c.Address == master.Addr() && (c.Before != 6 || c.LabelledTimed != 6) {
				t.Errorf("%s: %d of %d before", tt.name, c.Before, c.LabelledTimed)
			}
		}
	}
}

// A connection that stays open all the time counts as regular.
func TestClasses(t *testing.T) {
	payload := netip.MustParseAddrPort("203.0.113.8:80")
	in := small(100, 6)
	for i := range 6 {
		meet(&in, i, master, start, func(c *tocsin.Contact) { c.Last = start.Add(150 * time.Hour); c.Longest = 150 * time.Hour })
		meet(&in, i, payload, attack.Add(-2*time.Hour), func(c *tocsin.Contact) { c.Received = 1 << 20 })
		for n := range 20 {
			to := netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, 100, byte(n)}), 8080)
			at := attack.Add(time.Duration(n+i) * time.Minute)
			if i == 5 && n == 0 {
				at = attack.Add(-time.Minute)
			}
			meet(&in, i, to, at, func(c *tocsin.Contact) { c.Failed = 1 })
		}
	}
	got := map[string]tocsin.ControllerClass{}
	for _, c := range controller.Rank(in).Candidates {
		got[netip.AddrPortFrom(c.Address, c.Port).String()] = c.Class
	}
	want := map[string]tocsin.ControllerClass{
		master.String(): tocsin.Commands, payload.String(): tocsin.Payload, "198.51.100.0:8080": tocsin.Target,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// BenchmarkRankMillion: 10,000 devices and more than a million destinations.
func BenchmarkRankMillion(b *testing.B) {
	in := fleettrace.New(fleettrace.Options{Seed: 1, Devices: 10_000, Bots: 300, Private: 100}).Input(1)
	b.ReportAllocs()
	for b.Loop() {
		r := controller.Rank(in)
		b.ReportMetric(float64(r.Observed), "destinations")
		b.ReportMetric(float64(len(in.Contacts)), "contacts")
	}
}

func BenchmarkRankThousand(b *testing.B) {
	in := fleettrace.New(fleettrace.Options{Seed: 1, Bots: 30}).Input(1)
	b.ReportAllocs()
	for b.Loop() {
		controller.Rank(in)
	}
}

// BenchmarkCorrelation says how the two tests that are combined correlate where
// labels mean nothing: dealt at random among the devices of each kind, with the
// times of the first attack. Combining them takes for granted that they do not.
func BenchmarkCorrelation(b *testing.B) {
	for b.Loop() {
		var x, y []float64
		for seed := range uint64(40) {
			in := fleettrace.New(fleettrace.Options{Seed: seed, Bots: 30}).Input(seed)
			r := rand.New(rand.NewPCG(seed, 5))
			kinds := map[string][]int{}
			for i, d := range in.Devices {
				kinds[d.Model+d.Firmware] = append(kinds[d.Model+d.Firmware], i)
			}
			dealt := slices.Clone(in.Devices)
			for _, kind := range slices.Sorted(maps.Keys(kinds)) {
				list := kinds[kind]
				for i, from := range r.Perm(len(list)) {
					to, from := &dealt[list[i]], in.Devices[list[from]]
					to.Compromised, to.FirstAttack = from.Compromised, from.FirstAttack
				}
			}
			in.Devices = dealt
			for _, c := range controller.Rank(in).Candidates {
				if c.LabelledTimed > 0 && c.Devices < len(in.Devices)/4 {
					x, y = append(x, c.Prevalence), append(y, c.Precedence)
				}
			}
		}
		b.ReportMetric(pearson(x, y), "correlation")
		b.ReportMetric(float64(len(x)), "candidates")
	}
}

func pearson(x, y []float64) float64 {
	var mx, my, xy, xx, yy float64
	n := float64(len(x))
	for i := range x {
		mx, my = mx+x[i]/n, my+y[i]/n
	}
	for i := range x {
		xy += (x[i] - mx) * (y[i] - my)
		xx += (x[i] - mx) * (x[i] - mx)
		yy += (y[i] - my) * (y[i] - my)
	}
	return xy / math.Sqrt(xx*yy)
}

// Whatever contacts tell, every number stays in its bounds and the order is that
// of the scores.
func FuzzRank(f *testing.F) {
	f.Add([]byte{3, 0, 1, 9, 1, 1, 20, 2, 2, 1, 0, 0})
	f.Add([]byte("a fleet of devices that contact one another all the time, and a master"))
	f.Fuzz(func(t *testing.T, data []byte) {
		in := controller.Input{Rounds: 19}
		for i := range 50 {
			in.Devices = append(in.Devices, controller.Device{ID: device(i), Model: string(rune('A' + i%2)), Compromised: i%5 == 0})
			if i%10 == 0 {
				in.Devices[i].FirstAttack = attack
			}
		}
		for ; len(data) >= 4; data = data[4:] {
			to := netip.AddrPortFrom(netip.AddrFrom4([4]byte{203, 0, 113, data[1]}), uint16(data[2]&3))
			meet(&in, int(data[0])%60, to, start.Add(time.Duration(data[3])*time.Hour), func(c *tocsin.Contact) {
				c.Count, c.Failed, c.Received = uint32(data[2])<<24, uint32(data[3])<<24, math.MaxUint64
				c.Longest = time.Duration(data[1]) << 55
				if data[2] > 200 {
					c.Starts = nil
				}
			})
		}
		last := 1.0
		for _, c := range controller.Rank(in).Candidates {
			for _, v := range []float64{c.Score, c.Q, c.P, c.Prevalence, c.Precedence, c.PRegularity, c.Regularity, c.Rarity, c.Gates[0], c.Gates[1], c.Gates[2]} {
				if !(v >= 0 && v <= 1) {
					t.Fatalf("a number out of bounds: %+v", c)
				}
			}
			if c.Score > last || c.Labelled < 2 || c.Labelled > c.Devices || c.Class.String() == "invalid" {
				t.Fatalf("got %+v", c)
			}
			last = c.Score
		}
	})
}
