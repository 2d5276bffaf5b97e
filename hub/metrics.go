package hub

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/tocsin-io/tocsin/fleet"
)

// metrics are what Prometheus is told. No label holds an address, an account or
// an owner.
type metrics struct {
	sightings prometheus.Counter
	missing   prometheus.Counter
	clues     prometheus.Counter
	contacts  prometheus.Counter
	decisions *prometheus.CounterVec
}

func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{
		sightings: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "tocsin_hub_sightings_total", Help: "Sightings committed, repeats left out.",
		}),
		missing: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "tocsin_hub_sightings_missing_total", Help: "Sightings that devices kept no longer when the hub could take them.",
		}),
		clues: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "tocsin_hub_clues_total", Help: "Clues of devices about themselves committed, repeats left out.",
		}),
		contacts: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "tocsin_hub_contacts_total", Help: "Windows of outgoing connections committed, repeats included.",
		}),
		decisions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tocsin_hub_decisions_total", Help: "Decisions, by scope, action and what became of them.",
		}, []string{"scope", "action", "verdict"}),
	}
	if r != nil {
		r.MustRegister(m.sightings, m.missing, m.clues, m.contacts, m.decisions)
	}
	return m
}

func (m *metrics) decision(e fleet.Effect) {
	scope := "owner"
	if e.Owner == fleet.Everybody {
		scope = "everybody"
	}
	action := e.Decision.Action.String()
	if e.Withdrawn {
		action = "withdrawn"
	}
	m.decisions.WithLabelValues(scope, action, e.Verdict.String()).Inc()
}
