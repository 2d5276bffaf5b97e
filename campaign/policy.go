package campaign

import (
	"errors"
	"fmt"
	"time"

	"github.com/tocsin-io/tocsin/internal/window"
)

// A Class is a kind of evidence that two sources act together.
type Class uint8

// The kinds of evidence.
const (
	Sequence Class = iota // accounts tried in the same order
	Client                // the same client program
	Targets               // the same devices, that few try
	Timing                // active in the same five minutes, again and again
	Network               // neighbours: the same /24, or /48 of IPv6
	classes
)

var classWords = [classes]string{"sequence", "client", "targets", "timing", "network"}

// String returns the word for c.
func (c Class) String() string {
	if c < classes {
		return classWords[c]
	}
	return "invalid"
}

// A Weight is what a class of evidence is worth.
type Weight struct {
	Share float64 // how likely a second member shows what the first one shows
	Cap   float64 // the most that the class contributes, in nats
}

// A Policy says when failures are more than people's, and when sources act
// together. docs/adr/0100 to 0102 explain the numbers of [Default].
type Policy struct {
	// Window is how many attempts at one service are judged together. A window
	// that lasts as long as Longest is judged with less, if it has at least Least.
	Window, Least int
	Longest       time.Duration
	// Drift and Alarm are of the [CUSUM]. Benign is the model of a service that
	// has not had Calm windows without an alarm yet; from then on it is fitted,
	// and anew after each Refit.
	Drift, Alarm float64
	Benign       Model
	Calm         int
	Refit        time.Duration

	// Prior is how likely any two sources act together, Posterior how likely two
	// must be by the evidence to be joined.
	Prior, Posterior float64
	Weights          [classes]Weight
	// Rare is the share of sources that may show what is worth looking at.
	Rare float64
	// Members is how many sources it takes to be a campaign of its own.
	Members int

	// Pass is how often evidence is weighed anew, at most; Silence after how long
	// without an attempt or a dropped packet a campaign has ended.
	Pass, Silence time.Duration

	// Sources, Singles, Welcome, Devices, Names and Campaigns bound the memory, in
	// entries: sources with two attempts or more, sources with one, accounts that
	// got in, names of devices and of accounts, campaigns. Listed bounds what all
	// campaigns together list as their sources.
	Sources, Singles, Welcome, Devices, Names, Campaigns, Listed int
	// Seed keys the hashes and the names of campaigns.
	Seed window.Seed
}

// Default returns the policy of a hub that nobody configured, with a zero Seed.
func Default() Policy {
	const day = 24 * time.Hour
	return Policy{
		Window: 100, Least: 20, Longest: day,
		Drift: 0.5, Alarm: 8, Benign: Model{Mu: 0.07, Rho: 0.01}, Calm: 50, Refit: 7 * day,
		Prior: 0.005, Posterior: 0.9, Rare: 0.05, Members: 5,
		Weights: [classes]Weight{
			Sequence: {0.5, 6}, Client: {0.5, 3}, Targets: {0.3, 5}, Timing: {0.3, 3}, Network: {0.2, 1},
		},
		Pass: 10 * time.Minute, Silence: 3 * day,
		Sources: 1 << 17, Singles: 1 << 19, Welcome: 1 << 18, Devices: 1 << 17, Names: 1 << 15, Campaigns: 1000, Listed: 1 << 16,
	}
}

const maxEntries = 1 << 22

// Validate returns all that is wrong with p at once, or nil.
func (p Policy) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("campaign: "+format, args...)) }
	if p.Window < 10 || p.Window > 10_000 || p.Least < 2 || p.Least > p.Window {
		bad("a window of %d attempts, at least %d: between 10 and 10000, and at least 2", p.Window, p.Least)
	}
	if p.Drift < 0 || p.Alarm <= 0 {
		bad("drift %v and alarm %v: the first must not be negative, the second must be positive", p.Drift, p.Alarm)
	}
	if p.Benign.Mu < LeastMu || p.Benign.Mu > MostMu || p.Benign.Rho < 0 || p.Benign.Rho >= 1 {
		bad("benign failures: a share of %v must be between %v and %v, a correlation of %v between 0 and 1", p.Benign.Mu, LeastMu, MostMu, p.Benign.Rho)
	}
	if p.Calm < 2 || p.Calm > maxCalm {
		bad("calm: %d windows are not between 2 and %d", p.Calm, maxCalm)
	}
	for _, share := range []struct {
		name string
		v    float64
	}{{"prior", p.Prior}, {"posterior", p.Posterior}, {"rare", p.Rare}} {
		if !(share.v > 0 && share.v < 1) {
			bad("%s: %v is not between 0 and 1", share.name, share.v)
		}
	}
	for c, w := range p.Weights {
		if !(w.Share > 0 && w.Share < 1) || w.Cap < 0 || w.Cap > 20 {
			bad("%v: a share of %v must be between 0 and 1, a cap of %v between 0 and 20", Class(c), w.Share, w.Cap)
		}
	}
	if p.Members < 2 {
		bad("members: %d sources do not act together, at least 2", p.Members)
	}
	if p.Longest <= 0 || p.Refit <= 0 || p.Pass < time.Second || p.Silence <= 0 {
		bad("longest %v, refit %v and silence %v must be positive, pass %v at least a second", p.Longest, p.Refit, p.Silence, p.Pass)
	}
	for _, n := range []int{p.Sources, p.Singles, p.Welcome, p.Devices, p.Names, p.Campaigns, p.Listed} {
		if n < 1 || n > maxEntries {
			bad("cannot remember %d, between 1 and %d", n, maxEntries)
		}
	}
	return errors.Join(errs...)
}
