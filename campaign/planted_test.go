package campaign_test

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/campaign"
	"github.com/tocsin-io/tocsin/internal/accounts"
)

var start = time.Date(2023, 10, 9, 0, 0, 0, 0, time.UTC)

// A world is a fleet that is attacked: made up, but the same for the same seed.
type world struct {
	rand    *rand.Rand
	devices int
	list    []tocsin.Received
	truth   map[netip.Prefix]string // the campaign of a source; "" is nobody's
	next    uint32
	counter uint64
	pool    bool // sources made from now on are neighbours
	pooled  map[netip.Prefix]bool
	client  func(netip.Prefix) string // what the client of a source looks like
}

func newWorld(seed uint64, devices int) *world {
	return &world{rand: rand.New(rand.NewPCG(seed, 7)), devices: devices, truth: map[netip.Prefix]string{}, pooled: map[netip.Prefix]bool{}}
}

// source makes one of 198.18.0.0/15, no two of them neighbours unless there are
// more than 512: then some are.
func (w *world) source(of string) netip.Prefix {
	i := w.next
	w.next++
	lane, host := i%512, i/512
	a := netip.AddrFrom4([4]byte{198, byte(18 + lane/256), byte(lane), byte(1 + host)})
	if host > 250 { // of IPv6 each is a /64; no two in one /48
		a = netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, byte(i >> 8), byte(i), byte(i >> 16), 15: 1})
	}
	if w.pool {
		a = netip.AddrFrom4([4]byte{203, 0, 113, byte(len(w.pooled) + 1)})
	}
	p := tocsin.SourcePrefix(a)
	if w.pool {
		w.pooled[p] = true
	}
	w.truth[p] = of
	return p
}

const perOwner = 5

func device(i int) tocsin.DeviceID { return tocsin.DeviceID(fmt.Sprintf("device-%04d", i)) }

// tag is what the device i tells of an account: only public names in clear.
func tag(i int, account string) tocsin.AccountTag {
	if accounts.IsPublic(account) {
		return tocsin.AccountTag(account)
	}
	return tocsin.AccountTag(fmt.Sprintf("#%d/%s", i/perOwner, account))
}

// try adds one attempt.
func (w *world) try(at time.Time, source netip.Prefix, i int, account string, outcome tocsin.Outcome) {
	w.counter++
	r := tocsin.Received{
		Sighting: tocsin.Sighting{
			ID: tocsin.ID{Device: device(i), Boot: 1, Counter: w.counter}, Source: source, Service: "ssh",
			First: at, Last: at, Provenance: tocsin.Attested,
		},
		At: at.Add(time.Second), Channel: tocsin.Enrolled, Owner: tocsin.OwnerID(fmt.Sprint("owner-", i/perOwner)),
	}
	tried := tocsin.Tried{Tag: tag(i, account)}
	if outcome == tocsin.Success {
		r.Successes, tried.Successes = 1, 1
	} else {
		r.Failures, tried.Failures = 1, 1
	}
	r.Accounts = []tocsin.Tried{tried}
	w.list = append(w.list, r)
}

// dictionary is what everybody has: names that everybody knows, and others.
func dictionary(seed uint64, size int) []string {
	r := rand.New(rand.NewPCG(seed, 99))
	names := accounts.Public()
	for i := len(names); i < size; i++ {
		names = append(names, fmt.Sprint("name", i))
	}
	r.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	return names[:size]
}

// people log in at their own devices, and mistype one time in fourteen.
func (w *world) people(n int, from time.Time, length time.Duration) {
	sources := make([]netip.Prefix, w.devices)
	for i := range sources {
		sources[i] = w.source("")
	}
	for range n {
		i := w.rand.IntN(w.devices)
		at := from.Add(time.Duration(w.rand.Int64N(int64(length))))
		account := fmt.Sprint("person", i)
		if w.rand.IntN(14) == 0 {
			w.try(at, sources[i], i, account, tocsin.Failure)
			at = at.Add(20 * time.Second)
		}
		w.try(at, sources[i], i, account, tocsin.Success)
	}
}

// An order is how sources take accounts from a dictionary.
type order func(r *rand.Rand, dict []string, n int) []string

// shuffled is an order of each source's own.
func shuffled(r *rand.Rand, dict []string, n int) (list []string) {
	for _, i := range r.Perm(len(dict))[:n] {
		list = append(list, dict[i])
	}
	return list
}

// popular prefers the first names, as most tools do.
func popular(r *rand.Rand, dict []string, n int) (list []string) {
	for range n {
		list = append(list, dict[int(float64(len(dict))*math.Pow(r.Float64(), 3))])
	}
	return list
}

// popularOfFew does so often enough that names come again.
func popularOfFew(r *rand.Rand, dict []string, n int) (list []string) {
	return append(popular(r, dict, n), popular(r, dict, n/2)...)
}

// fromTop runs through the list from its start.
func fromTop(_ *rand.Rand, dict []string, n int) []string { return slices.Clone(dict[:n]) }

// chunk runs through a part of the list, one in five names replaced.
func chunk(r *rand.Rand, dict []string, n int) (list []string) {
	at := r.IntN(len(dict))
	for i := range n {
		name := dict[(at+i)%len(dict)]
		if r.IntN(5) == 0 {
			name = dict[r.IntN(len(dict))]
		}
		list = append(list, name)
	}
	return list
}

// scanners are unrelated: each comes at a time of its own, to devices by chance.
func (w *world) scanners(n int, dict []string, by order, from time.Time, length time.Duration) {
	for range n {
		s := w.source("")
		at := from.Add(time.Duration(w.rand.Int64N(int64(length))))
		for _, name := range by(w.rand, dict, 4+w.rand.IntN(12)) {
			w.try(at, s, w.rand.IntN(w.devices), name, tocsin.Failure)
			at = at.Add(time.Duration(w.rand.Int64N(int64(3 * time.Hour))))
		}
	}
}

// campaign is n sources that try between eight and twelve devices once each,
// within the length, at devices by chance of some.
func (w *world) campaign(name string, n int, dict []string, by order, targets []int, from time.Time, length time.Duration) {
	for range n {
		s := w.source(name)
		k := 8 + w.rand.IntN(5)
		at := make([]time.Duration, k)
		for i := range at {
			at[i] = time.Duration(w.rand.Int64N(int64(length)))
		}
		slices.Sort(at)
		where := w.rand.Perm(len(targets))[:k]
		for i, account := range by(w.rand, dict, k) {
			w.try(from.Add(at[i]), s, targets[where[i]], account, tocsin.Failure)
		}
	}
}

func (w *world) all() []int {
	list := make([]int, w.devices)
	for i := range list {
		list[i] = i
	}
	return list
}

func (w *world) sort() {
	slices.SortStableFunc(w.list, func(a, b tocsin.Received) int { return a.At.Compare(b.At) })
}

// play has a tracker see everything in the order of time.
func (w *world) play(p campaign.Policy) (*campaign.Tracker, []campaign.Event) {
	w.sort()
	t := campaign.New(p)
	var events []campaign.Event
	for _, r := range w.list {
		events = append(events, t.Observe(r)...)
		if w.client != nil {
			t.Describe(r.Source, w.client(r.Source))
		}
	}
	return t, events
}

func (w *world) end() time.Time { return w.list[len(w.list)-1].At }

// A quality says how well what was found agrees with what was planted.
type quality struct {
	Purity, Inverse, Rand float64
	Planted, Found        int
	Split, Merged         int
	Recall, Precision     float64 // of sources attributed to any campaign
	Late                  time.Duration
	attributed, bad       int
}

func (q quality) String() string {
	return fmt.Sprintf("planted %d, found %d: purity %.3f, inverse purity %.3f, adjusted Rand index %.3f, split %d, merged %d, recall %.3f, precision %.3f, first attempt to record %v",
		q.Planted, q.Found, q.Purity, q.Inverse, q.Rand, q.Split, q.Merged, q.Recall, q.Precision, q.Late.Round(time.Minute))
}

// judge compares: clusters against planted campaigns, over the sources that are
// in either; nobody's sources are each on their own.
func (w *world) judge(t *campaign.Tracker) (q quality) {
	found := map[netip.Prefix]string{}
	planted := map[string]int{}
	for _, name := range w.truth {
		if name != "" {
			planted[name]++
		}
	}
	q.Planted = len(planted)
	mostIn := map[string]map[string]int{} // by found campaign, by planted one
	first := map[string]time.Time{}
	for _, r := range w.list {
		if name := w.truth[r.Source]; name != "" && first[name].IsZero() {
			first[name] = r.At
		}
	}
	var opened = map[string]time.Time{}
	for _, c := range t.Campaigns(w.end()) {
		if len(c.Sources) == 0 {
			continue
		}
		q.Found++
		mostIn[string(c.ID)] = map[string]int{}
		for _, m := range c.Sources {
			found[m.Source] = string(c.ID)
			name := w.truth[m.Source]
			mostIn[string(c.ID)][name]++
			q.attributed++
			if name == "" {
				q.bad++
			}
		}
		for _, m := range c.Timeline {
			if name := most(mostIn[string(c.ID)]); strings.Contains(string(m.Text), "sources a") && (opened[name].IsZero() || m.At.Before(opened[name])) {
				opened[name] = m.At // attributed: an alarm may have opened it before
			}
		}
	}
	total, hit := 0, 0
	for p, name := range w.truth {
		if name != "" {
			total++
			if found[p] != "" {
				hit++
			}
		}
	}
	q.Recall, q.Precision = ratio(hit, total), ratio(q.attributed-q.bad, q.attributed)
	for name := range planted {
		if d := opened[name].Sub(first[name]); !opened[name].IsZero() && d > q.Late {
			q.Late = d
		}
	}
	q.purity(w.truth, found, mostIn, planted)
	q.Rand = adjustedRand(w.truth, found)
	return q
}

func most(m map[string]int) (best string) {
	for _, k := range slices.Sorted(maps.Keys(m)) {
		if best == "" || m[k] > m[best] {
			best = k
		}
	}
	return best
}

func ratio(a, b int) float64 {
	if b == 0 {
		return 0
	}
	return float64(a) / float64(b)
}

// purity is the share of attributed sources that are in the campaign which most
// of their cluster are of; inverse purity that of planted sources in the cluster
// which most of their campaign are in.
func (q *quality) purity(truth, found map[netip.Prefix]string, mostIn map[string]map[string]int, planted map[string]int) {
	pure := 0
	for _, in := range mostIn {
		best, big := 0, 0
		for name, n := range in {
			if name != "" {
				best = max(best, n)
				if 10*n >= planted[name] {
					big++
				}
			}
		}
		pure += best
		if big > 1 {
			q.Merged++
		}
	}
	q.Purity = ratio(pure, q.attributed)
	inverse, total := 0, 0
	for name, n := range planted {
		in := map[string]int{}
		for p, of := range truth {
			if of == name && found[p] != "" {
				in[found[p]]++
			}
		}
		best, parts := 0, 0
		for _, k := range in {
			best = max(best, k)
			if 10*k >= n {
				parts++
			}
		}
		if parts > 1 {
			q.Split++
		}
		inverse, total = inverse+best, total+n
	}
	q.Inverse = ratio(inverse, total)
}

// adjustedRand is over all sources; who is in no campaign is on its own.
func adjustedRand(truth, found map[netip.Prefix]string) float64 {
	type cell struct{ a, b string }
	cells, rows, columns := map[cell]int{}, map[string]int{}, map[string]int{}
	n := 0
	for p, a := range truth {
		b := found[p]
		if a == "" {
			a = p.String()
		}
		if b == "" {
			b = p.String()
		}
		n++
		cells[cell{a, b}]++
		rows[a]++
		columns[b]++
	}
	pairs := func(k int) float64 { return float64(k) * float64(k-1) / 2 }
	var same, inRows, inColumns float64
	for _, k := range cells {
		same += pairs(k)
	}
	for _, k := range rows {
		inRows += pairs(k)
	}
	for _, k := range columns {
		inColumns += pairs(k)
	}
	expected := inRows * inColumns / max(pairs(n), 1)
	if d := (inRows+inColumns)/2 - expected; d != 0 {
		return (same - expected) / d
	}
	return 1
}
