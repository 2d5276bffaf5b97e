package guard

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/blocklist"
	"github.com/tocsin-io/tocsin/detect"
	"github.com/tocsin-io/tocsin/watch"
)

// metrics are what Prometheus is told. No label holds an address or an account:
// an attacker chooses those.
type metrics struct {
	attempts  *prometheus.CounterVec
	decisions *prometheus.CounterVec
	facts     *prometheus.CounterVec
	enforce   prometheus.Histogram
	dropped   prometheus.Counter
	drifts    prometheus.Counter
	fleet     prometheus.Counter
	clues     *prometheus.CounterVec
	blocks    prometheus.Gauge
	passes    prometheus.Gauge
	sources   prometheus.Gauge
	services  map[tocsin.Service]*tally
}

// tally counts one service's attempts, for the status.
type tally struct{ failures, successes, probes uint64 }

func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tocsin_attempts_total", Help: "Log-ins seen, by service and outcome.",
		}, []string{"service", "outcome"}),
		decisions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tocsin_decisions_total", Help: "Decisions taken, by action and origin.",
		}, []string{"action", "origin"}),
		facts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tocsin_facts_total", Help: "Facts worth a person's attention.",
		}, []string{"fact"}),
		enforce: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "tocsin_enforce_seconds", Help: "From the line read to the rule proved in the kernel.",
			Buckets: prometheus.ExponentialBuckets(50e-6, 2, 14),
		}),
		dropped: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "tocsin_dropped_packets_total", Help: "Packets dropped, by sample: a lower bound.",
		}),
		drifts: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "tocsin_drifts_total", Help: "Times that somebody else changed the firewall and it was mended.",
		}),
		fleet: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "tocsin_fleet_rules_total", Help: "Rules that the hub's lists added or renewed.",
		}),
		clues: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tocsin_clues_total", Help: "Things noticed about this device besides log-ins, by fact.",
		}, []string{"fact"}),
		blocks:   prometheus.NewGauge(prometheus.GaugeOpts{Name: "tocsin_blocks", Help: "Blocks in force."}),
		passes:   prometheus.NewGauge(prometheus.GaugeOpts{Name: "tocsin_passes", Help: "Passes in force."}),
		sources:  prometheus.NewGauge(prometheus.GaugeOpts{Name: "tocsin_sources", Help: "Sources remembered."}),
		services: make(map[tocsin.Service]*tally),
	}
	if r != nil {
		r.MustRegister(m.attempts, m.decisions, m.facts, m.enforce, m.dropped, m.drifts, m.fleet, m.clues, m.blocks, m.passes, m.sources)
	}
	return m
}

func (m *metrics) attempt(e watch.Event) {
	a := e.Attempt
	m.attempts.WithLabelValues(string(a.Service), a.Outcome.String()).Inc()
	t := m.services[a.Service]
	if t == nil {
		t = new(tally)
		m.services[a.Service] = t
	}
	switch a.Outcome {
	case tocsin.Failure:
		t.failures++
	case tocsin.Success:
		t.successes++
	case tocsin.Probe:
		t.probes++
	}
}

func (m *metrics) decision(d tocsin.Decision, took time.Duration) {
	m.decisions.WithLabelValues(d.Action.String(), d.Origin.String()).Inc()
	if d.Origin == tocsin.ByDevice {
		m.enforce.Observe(took.Seconds())
	}
}

func (m *metrics) gauges(l *blocklist.List, d *detect.Detector) {
	blocks, passes := l.Len()
	m.blocks.Set(float64(blocks))
	m.passes.Set(float64(passes))
	m.sources.Set(float64(d.Len()))
}
