package detect

import "github.com/tocsin-io/tocsin"

// probe counts connections that never tried to log in. Scanners that only look
// are many and harmless, and a monitoring system looks like one: so the limit is
// high, only what nobody could forge counts, and who got in within a week may
// probe.
func (d *Detector) probe(o *observed) (r Result) {
	if o.Provenance != tocsin.Attested || d.limits.probes.within == 0 {
		return r
	}
	s := d.sources.Touch(o.key)
	n := count(&s.probes, &s.probeStart, o.at, d.limits.probes.within)
	if n >= d.limits.probes.count && o.live && !d.trusted(o) {
		d.decide(s, o, verdict{decided: true, rule: byProbes, count: n, span: o.at - s.probeStart}, nil, &r)
	}
	return r
}
