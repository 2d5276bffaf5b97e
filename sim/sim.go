// Package sim is an invented fleet for a real hub: many guards that each make a
// key of their own, enrol over HTTPS, hold a connection to the feed, verify and
// apply what comes, and report it; on demand they also tell of an attack. It
// promises that nothing is skipped which costs a hub anything, and that sources
// are only of networks that nobody owns (198.18.0.0/15, 2001:db8::/32).
//
// It enforces nothing, keeps nothing, and is no test: it measures. What a guard
// does only for itself, such as fetching the signing keys that all are shown
// alike, is done once a process.
package sim

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/feed/fanout"
)

// Config says what to invent. Admin and Devices must be set.
type Config struct {
	Admin   *api.Client // of the hub, with the role of an administrator
	Hub     string      // host:port that guards connect to; "" is what their tokens say
	Devices int
	Owners  int           // 0 is one for ten devices
	Attack  float64       // sightings a second, all devices together; 0 is no attack
	For     time.Duration // how long orders, and the attack, go on; 0 is ten seconds

	Reconnect bool // have all guards lose the hub at once
	// Share starts a process that runs [Serve] on its standard input and output,
	// for guards that do not fit into this one.
	Share []string
	Apart bool // have no guard in this process
	Each  int  // guards of one process; 0 is as many as descriptors allow
	// Progress is told how far a phase is; nil is nobody.
	Progress func(phase string, done, of int)
}

// A Phase is something that all guards did.
type Phase struct {
	Done    int     `json:"done"` // guards
	Seconds float64 `json:"seconds"`
	Rate    float64 `json:"per_second"`
	Tries   int     `json:"tries,omitempty"` // connections begun
}

// Published is how long rules took to the guards: from the moment that a person
// orders one until a guard has verified and applied it. Times are those of the
// order in the middle.
type Published struct {
	Orders int     `json:"orders"`
	Missed int     `json:"missed"` // guards, summed over the orders, that did not hear within ten seconds
	P50    float64 `json:"p50_ms"`
	P99    float64 `json:"p99_ms"`
	Last   float64 `json:"last_ms"`
}

// Attack is what became of sightings.
type Attack struct {
	Sent     int     `json:"sent"`
	Accepted int     `json:"accepted"` // committed
	Refused  int     `json:"refused"`  // told to wait
	Rate     float64 `json:"accepted_per_second"`
	P50      float64 `json:"p50_ms"` // of a batch, connection included
	P99      float64 `json:"p99_ms"`
}

// A Result is what was measured.
type Result struct {
	Devices     int            `json:"devices"`
	Owners      int            `json:"owners"`
	Processes   int            `json:"processes"`
	Enrolled    Phase          `json:"enrolled"`
	Connected   Phase          `json:"connected"`
	Published   Published      `json:"published"`
	Attack      *Attack        `json:"attack,omitempty"`
	Reconnected *Phase         `json:"reconnected,omitempty"`
	Left        int            `json:"connected_at_the_end"`
	Errors      map[string]int `json:"errors,omitempty"` // by kind; most were tried again
}

// Bounds of patience.
const (
	connectWithin = 3 * time.Minute
	hearWithin    = 10 * time.Second
	orderEvery    = time.Second // but at most [mostOrders] of them, evenly: each is a new rule
	mostOrders    = 60
	orderLasts    = 60 // seconds
)

// Run invents the fleet, measures, and lets go of it. What the hub has enrolled
// stays enrolled. Guards that fail are counted, and only a fleet that cannot be
// had at all is an error.
func Run(ctx context.Context, c Config) (Result, error) {
	f, err := Start(ctx, c)
	if err != nil {
		return Result{}, err
	}
	defer f.Close()
	steps := []func(context.Context) error{f.Enrol, f.Connect, f.Watch}
	if c.Reconnect {
		steps = append(steps, f.Reconnect)
	}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return f.Result(), err
		}
	}
	return f.Result(), nil
}

// A Fleet is invented guards, step by step: [Run] takes all steps.
type Fleet struct {
	cfg    Config
	shares []*process
	result Result
	mu     sync.Mutex // guards the errors in result, and who tells progress
}

// Start makes the processes of a fleet that has not enrolled yet. The caller
// closes it.
func Start(ctx context.Context, c Config) (*Fleet, error) {
	if c.Devices < 1 || c.Admin == nil {
		return nil, errors.New("a fleet needs devices, and a hub's administrator")
	}
	if c.Owners <= 0 {
		c.Owners = (c.Devices + 9) / 10
	}
	c.Owners = min(c.Owners, c.Devices)
	if c.For <= 0 {
		c.For = 10 * time.Second
	}
	if c.Progress == nil {
		c.Progress = func(string, int, int) {}
	}
	each := c.Each
	if each <= 0 {
		each = fanout.Capacity()
	}
	n := (c.Devices + each - 1) / each
	if n == 1 && !c.Apart {
		c.Share = nil
	} else if len(c.Share) == 0 {
		return nil, fmt.Errorf("%d devices: one process has descriptors for %d: raise the limit (ulimit -n)", c.Devices, each)
	}
	f := &Fleet{cfg: c, result: Result{Devices: c.Devices, Owners: c.Owners, Processes: n, Errors: map[string]int{}}}
	for range n {
		p, err := begin(ctx, c.Share)
		if err != nil {
			f.Close()
			return nil, err
		}
		f.shares = append(f.shares, p)
	}
	return f, nil
}

// Close ends all guards.
func (f *Fleet) Close() {
	for _, p := range f.shares {
		p.close()
	}
}

// Result returns what was measured so far.
func (f *Fleet) Result() Result {
	r := f.result
	r.Errors = maps.Clone(r.Errors)
	return r
}

// all gives each share an order and waits for its last report; part hears of the
// others. A phase with a name is shown.
func (f *Fleet) all(ctx context.Context, phase string, of func(share int) order, part func()) ([]report, error) {
	last := make([]report, len(f.shares))
	errs := make([]error, len(f.shares))
	done := make([]int, len(f.shares))
	var wg sync.WaitGroup
	for i, p := range f.shares {
		wg.Go(func() {
			last[i], errs[i] = p.order(ctx, of(i), func(r report) {
				f.mu.Lock()
				defer f.mu.Unlock()
				if part != nil {
					part()
				}
				done[i] = r.Done
				if phase != "" {
					sum := 0
					for _, n := range done {
						sum += n
					}
					f.cfg.Progress(phase, sum, f.cfg.Devices)
				}
			})
		})
	}
	wg.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range last {
		for text, n := range r.Failed {
			f.result.Errors[text] += n
		}
	}
	return last, errors.Join(errs...)
}

// Enrol has the hub make tokens, and the guards redeem them.
func (f *Fleet) Enrol(ctx context.Context) error {
	tickets, err := f.tickets(ctx)
	if err != nil {
		return err
	}
	each := (len(tickets) + len(f.shares) - 1) / len(f.shares)
	begun := time.Now()
	reports, err := f.all(ctx, "enrolling", func(i int) order {
		return order{Do: "enrol", Hub: f.cfg.Hub, Tickets: tickets[min(i*each, len(tickets)):min((i+1)*each, len(tickets))]}
	}, nil)
	f.result.Enrolled = phaseOf(reports, begun)
	f.result.Enrolled.Tries = 0
	if err == nil && f.result.Enrolled.Done == 0 {
		err = fmt.Errorf("no guard could enrol: %v", f.result.Errors)
	}
	return err
}

func (f *Fleet) tickets(ctx context.Context) ([]ticket, error) {
	tickets := make([]ticket, f.cfg.Devices)
	errs := make([]error, 4)
	var wg sync.WaitGroup
	var made sync.Mutex
	n := 0
	for w := range errs {
		wg.Go(func() {
			for i := w; i < len(tickets) && errs[w] == nil; i += len(errs) {
				owner := tocsin.OwnerID(fmt.Sprintf("sim-%d", i%f.cfg.Owners))
				token, err := f.cfg.Admin.NewToken(ctx, api.TokenWish{Owner: owner})
				tickets[i], errs[w] = ticket{i, token.Token}, err
				made.Lock()
				if n++; n%100 == 0 {
					f.cfg.Progress("making tokens", n, len(tickets))
				}
				made.Unlock()
			}
		})
	}
	wg.Wait()
	return tickets, errors.Join(errs...)
}

// Connect has all guards connect, and waits until all are served.
func (f *Fleet) Connect(ctx context.Context) error {
	begun := time.Now()
	reports, err := f.all(ctx, "connecting", func(int) order { return order{Do: "connect", For: connectWithin} }, nil)
	f.result.Connected = phaseOf(reports, begun)
	f.result.Left = f.result.Connected.Done
	return err
}

// Reconnect has all guards lose the hub at once and come back at once.
func (f *Fleet) Reconnect(ctx context.Context) error {
	begun := time.Now()
	reports, err := f.all(ctx, "reconnecting", func(int) order { return order{Do: "drop", For: connectWithin} }, nil)
	p := phaseOf(reports, begun)
	f.result.Reconnected, f.result.Left = &p, p.Done
	return err
}

func phaseOf(reports []report, begun time.Time) Phase {
	p := Phase{Seconds: time.Since(begun).Seconds()}
	for _, r := range reports {
		p.Done += r.Done
		p.Tries += r.Tries
	}
	p.Rate = float64(p.Done) / p.Seconds
	return p
}

// Watch gives orders and times them, during an attack if there is one, for as
// long as the configuration says.
func (f *Fleet) Watch(ctx context.Context) error {
	var wg sync.WaitGroup
	var told []report
	var attack error
	if f.cfg.Attack > 0 {
		rate := f.cfg.Attack / float64(len(f.shares))
		wg.Go(func() {
			told, attack = f.all(ctx, "", func(int) order { return order{Do: "attack", Rate: rate, For: f.cfg.For} }, nil)
		})
	}
	err := f.orders(ctx)
	wg.Wait()
	if f.cfg.Attack > 0 {
		f.result.Attack = attackOf(told)
	}
	counts, counting := f.all(ctx, "", func(int) order { return order{Do: "count"} }, nil)
	f.result.Left = 0
	for _, r := range counts {
		f.result.Left += r.Done
	}
	return errors.Join(err, attack, counting)
}

func (f *Fleet) orders(ctx context.Context) error {
	var half, most, last []float64 // of each order
	every := max(orderEvery, f.cfg.For/mostOrders)
	begun := time.Now()
	for n := 0; n == 0 || time.Since(begun) < f.cfg.For; n++ {
		one, missed, err := f.Publish(ctx)
		if err != nil {
			return err
		}
		f.result.Published.Orders++
		f.result.Published.Missed += missed
		if len(one) > 0 {
			half, most, last = append(half, quantile(one, 0.5)), append(most, quantile(one, 0.99)), append(last, quantile(one, 1))
		}
		f.cfg.Progress("ordering", min(int(time.Since(begun).Seconds()), int(f.cfg.For.Seconds())), int(f.cfg.For.Seconds()))
		pause(ctx, time.Until(begun.Add(time.Duration(n+1)*every)))
	}
	p := &f.result.Published
	p.P50, p.P99, p.Last = median(half), median(most), median(last)
	return ctx.Err()
}

// Publish has the hub block one more address at every device, for a minute, and
// returns how long each guard took to know, and how many did not within ten
// seconds.
func (f *Fleet) Publish(ctx context.Context) (took []time.Duration, missed int, err error) {
	prefix := netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 18 + byte(rand.IntN(2)), byte(rand.IntN(256)), byte(rand.IntN(256))}), 32)
	ready := make(chan struct{}, len(f.shares))
	ordered := make(chan error, 1)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var at time.Time
	go func() {
		for range f.shares {
			select {
			case <-ready:
			case <-ctx.Done():
				ordered <- ctx.Err()
				return
			}
		}
		at = time.Now()
		_, err := f.cfg.Admin.Order(ctx, api.Order{Verb: api.Block, Prefix: prefix, Seconds: orderLasts, Note: "tocsin sim fleet"})
		ordered <- err
	}()
	reports, err := f.all(ctx, "", func(int) order { return order{Do: "watch", Prefix: prefix.String(), For: hearWithin} }, func() { ready <- struct{}{} })
	if err != nil {
		cancel()
	}
	if err := errors.Join(err, <-ordered); err != nil {
		return nil, 0, err
	}
	for _, r := range reports {
		missed += r.Done - len(r.At)
		for _, t := range r.At {
			took = append(took, time.Unix(0, t).Sub(at))
		}
	}
	return took, missed, nil
}

func attackOf(reports []report) *Attack {
	var sum attacked
	for _, r := range reports {
		if r.Attack != nil {
			sum.add(*r.Attack)
		}
	}
	took := make([]time.Duration, len(sum.Took))
	for i, t := range sum.Took {
		took[i] = time.Duration(t)
	}
	a := &Attack{Sent: sum.Sent, Accepted: sum.Accepted, Refused: sum.Refused, P50: quantile(took, 0.5), P99: quantile(took, 0.99)}
	if sum.Nanos > 0 {
		a.Rate = float64(sum.Accepted) / time.Duration(sum.Nanos).Seconds()
	}
	return a
}

func median(list []float64) float64 {
	if len(list) == 0 {
		return 0
	}
	return slices.Sorted(slices.Values(list))[len(list)/2]
}

// quantile returns milliseconds.
func quantile(list []time.Duration, q float64) float64 {
	if len(list) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(list))
	return float64(s[int(q*float64(len(s)-1))].Microseconds()) / 1000
}
