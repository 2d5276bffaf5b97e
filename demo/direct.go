package demo

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/sim/incident"
	"github.com/tocsin-io/tocsin/store"
	"github.com/tocsin-io/tocsin/takedown"
)

// How long the demo waits, by its clock, for what must come.
const (
	blockWithin = 20 * time.Minute // the first block, after the attack began
	settleFor   = 4 * time.Minute  // after the recording, before devices are counted
	endAfter    = 40 * time.Minute // after the recording, for what is still missing
	lookEvery   = 100 * time.Millisecond
	// However fast the clock runs, the hub judges at the pace of the processor.
	waitAtLeast = 45 * time.Second
)

// direct follows the story until it came to all stages, or cannot.
func (s *Show) direct(ctx context.Context, played <-chan struct{}, fault <-chan error) error {
	var ended, slow time.Time
	t := time.NewTicker(lookEvery)
	defer t.Stop()
	for turn := 0; len(s.plot.missing()) > 0; turn++ {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-fault:
			return err
		case <-played:
			played, ended, s.over = nil, s.clk.Now(), time.Now()
		case <-t.C:
		}
		began := time.Now()
		if err := s.look(ctx, turn, ended); err != nil {
			return err
		}
		slow = s.pace(time.Since(began), slow)
		if s.hopeless(ended) || s.c.Most > 0 && time.Since(s.begun) > s.c.Most {
			return nil
		}
	}
	return nil
}

// A machine that is busy with other things answers late, and at a hundred times the
// speed a second is much: the clock runs slower then, for a while.
const (
	late     = 400 * time.Millisecond
	slowFor  = 3 * time.Second
	slowDown = 2
)

// pace has the clock run slower where asking took too long, and returns until when.
func (s *Show) pace(took time.Duration, until time.Time) time.Time {
	now := s.clk.State()
	if now.Shows.Before(incident.Start.Add(quiet + time.Minute)) {
		return until
	}
	if took > late {
		until = time.Now().Add(slowFor)
	}
	want := s.c.Speed
	if time.Now().Before(until) {
		want = max(s.c.Speed/slowDown, 1)
	}
	if now.Speed != want {
		s.clk.SetSpeed(want)
	}
	return until
}

// hopeless reports whether what is missing will not come.
func (s *Show) hopeless(ended time.Time) bool {
	now := s.clk.Now()
	s.plot.mu.Lock()
	defer s.plot.mu.Unlock()
	attack := s.plot.attack
	return !attack.IsZero() && !s.plot.reached(FirstBlock) && now.Sub(attack) > blockWithin ||
		!ended.IsZero() && now.Sub(ended) > endAfter && time.Since(s.over) > waitAtLeast
}

// look asks the hub what the story has not come to yet.
func (s *Show) look(ctx context.Context, turn int, ended time.Time) error {
	var errs []error
	if !s.plot.has(Everywhere) {
		errs = append(errs, s.lookEverywhere(ctx))
	}
	if turn%3 == 0 && !s.plot.has(Opened) {
		for c, err := range s.client.Campaigns(ctx) {
			if err != nil {
				errs = append(errs, err)
				break
			}
			s.plot.campaign(c)
		}
	}
	if turn%3 == 1 && !s.plot.has(Drafted) {
		errs = append(errs, s.lookController(ctx))
	}
	if !ended.IsZero() && s.clk.Now().Sub(ended) > settleFor && !s.plot.has(Compromised) {
		sum, err := s.client.Compromise(ctx, 0)
		if err == nil && sum.At.After(ended.Add(settleFor/2)) {
			s.plot.counted(sum)
		}
		errs = append(errs, err)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return errors.Join(errs...)
}

// lookEverywhere asks every firewall about a block that all devices told of.
func (s *Show) lookEverywhere(ctx context.Context) error {
	s.plot.mu.Lock()
	waves := len(s.plot.waves)
	s.plot.mu.Unlock()
	if waves == 0 {
		return nil
	}
	connected := s.connected(ctx)
	w, last := s.plot.everywhere(connected)
	if w == nil {
		return nil
	}
	kernels := 0
	for _, id := range connected {
		s.mu.Lock()
		holds := s.holders[id]
		s.mu.Unlock()
		if holds == nil {
			return nil
		}
		held, err := holds(ctx, w.prefix)
		if err != nil || !held {
			return err // another one will be
		}
		if s.plot.kernels[id] {
			kernels++
		}
	}
	s.plot.inForce(w, last, len(connected), kernels)
	return nil
}

// lookController has the analyst open a case once it is clear who commands.
func (s *Show) lookController(ctx context.Context) error {
	ranking, err := s.client.Ranking(ctx, 3)
	if err != nil {
		return err
	}
	first, counts := s.plot.ranking(ranking, !s.over.IsZero())
	if !counts {
		return nil
	}
	file, err := s.draft(ctx, first)
	if err != nil {
		return err
	}
	s.plot.drafted(file)
	return nil
}

// analyst is the name of whoever opens the case: a script.
const analyst = "demo-analyst"

// draft opens a case about an address and has the mail written, as a person with a
// token of its own. It approves nothing, and nothing can be sent: the hub has no
// mail server.
func (s *Show) draft(ctx context.Context, about netip.AddrPort) (file api.CaseFile, err error) {
	access, err := s.client.NewAccess(ctx, api.AccessWish{Name: analyst, Role: store.Analyst})
	if err != nil {
		return file, err
	}
	pem, err := os.ReadFile(filepath.Join(s.dir, "hub", "keys", "authority.pem"))
	if err != nil {
		return file, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return file, errors.New("the hub's authority holds no certificate")
	}
	person := api.WithToken(s.hub.Address, access.Token, &tls.Config{RootCAs: pool, Time: s.clk.Now, MinVersion: tls.VersionTLS13})
	defer person.Close()
	wish := api.CaseWish{
		Kind: takedown.Controller, Source: netip.PrefixFrom(about.Addr(), about.Addr().BitLen()), Port: about.Port(), Why: "first in the ranking",
	}
	if campaigns := s.campaigns(ctx); len(campaigns) > 0 {
		wish.Campaign = campaigns[0].ID
	}
	if file, err = person.OpenCase(ctx, wish); err != nil {
		return file, err
	}
	return person.DraftCase(ctx, file.Case.ID, api.DraftWish{Keep: true})
}

// campaigns returns the hub's campaigns, the largest first.
func (s *Show) campaigns(ctx context.Context) (list []api.CampaignLine) {
	for c, err := range s.client.Campaigns(ctx) {
		if err != nil {
			break
		}
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b api.CampaignLine) int { return int(b.Attempts) - int(a.Attempts) })
	return list
}

// truth reads what is true of the incident: only now that the story is over.
func (s *Show) truth() (incident.Truth, error) {
	return incident.ReadTruth(filepath.Join(s.dir, "incident"))
}
