package demo

import (
	"context"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/compromise"
)

// conclude sums up.
func (s *Show) conclude(ctx context.Context) error {
	truth, err := s.truth()
	if err != nil {
		return err
	}
	found, err := s.client.Compromise(ctx, compromise.Confirmed)
	if err != nil {
		return err
	}
	confirmed := map[tocsin.DeviceID]bool{}
	for _, d := range found.Devices {
		confirmed[tocsin.DeviceID(d.Name)] = true
	}
	stories := s.plot.told()
	sum := api.DemoSummary{
		Seed: s.c.Seed, Devices: len(s.fleet), Kernels: s.kernels, Firewall: string(s.c.Firewall), Speed: s.c.Speed, Missing: s.plot.missing(),
		Reached: []string{}, Elapsed: time.Since(s.begun).Seconds(), Rows: rows(stories), NotShown: notShown, NotShownFR: notShownFR,
	}
	for i, d := range s.fleet {
		of := truth.Devices[i]
		if d.guards {
			sum.Guards++
		}
		switch {
		case of.Compromised:
			sum.Compared.Entered++
			if d.guards {
				sum.Compared.EnteredSeen++
			}
			if confirmed[d.Device] {
				sum.Compared.Confirmed++
			}
		case confirmed[d.Device]:
			sum.Compared.Wrongly++
		}
	}
	for _, one := range stories {
		sum.Reached = append(sum.Reached, one.Stage)
		if Stage(one.Stage) == Ranked {
			sum.Compared.Controller, _ = one.Measured["address"].(string)
			sum.Compared.ControllerRight = sum.Compared.Controller == truth.Controller.String()
		}
	}
	sum.OK = len(sum.Missing) == 0
	s.mu.Lock()
	s.sum = &sum
	s.mu.Unlock()
	s.done <- sum
	s.clk.SetSpeed(1) // nothing more is to come: what is looked at shall not run away
	s.c.Over(sum)
	return nil
}
