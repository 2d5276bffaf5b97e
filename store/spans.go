package store

import (
	"slices"

	"github.com/tocsin-io/tocsin"
)

// Cover adds what a device told, as [Coverage] promises.
func (c *Covered) Cover(told tocsin.Coverage) {
	if told.From.Before(told.Until) {
		c.Read = joinSpans(append(c.Read, tocsin.Span{From: told.From.Round(0).UTC(), To: told.Until.Round(0).UTC()}))
	}
	for _, g := range told.Gaps {
		if g.From.Before(g.To) {
			g.From, g.To = g.From.Round(0).UTC(), g.To.Round(0).UTC()
			c.Gaps = append(c.Gaps, g)
		}
	}
	c.Gaps = joinGaps(c.Gaps)
	c.Read = c.Read[max(0, len(c.Read)-MaxSpans):]
	if over := len(c.Gaps) - MaxSpans; over > 0 {
		// What is forgotten of the gaps must not pass for read.
		c.Read = cutBefore(c.Read, c.Gaps[over-1])
		c.Gaps = c.Gaps[over:]
	}
}

// cutBefore leaves out what is before the end of g.
func cutBefore(read []tocsin.Span, g tocsin.Gap) (left []tocsin.Span) {
	for _, s := range read {
		if s.From.Before(g.To) {
			s.From = g.To
		}
		if s.From.Before(s.To) {
			left = append(left, s)
		}
	}
	return left
}

// joinSpans sorts spans and makes one of those that touch.
func joinSpans(spans []tocsin.Span) []tocsin.Span {
	slices.SortFunc(spans, func(a, b tocsin.Span) int { return a.From.Compare(b.From) })
	joined := spans[:0]
	for _, s := range spans {
		if n := len(joined); n > 0 && !s.From.After(joined[n-1].To) {
			if s.To.After(joined[n-1].To) {
				joined[n-1].To = s.To
			}
			continue
		}
		joined = append(joined, s)
	}
	return joined
}

// joinGaps sorts gaps, and makes one of those that touch and have one reason, or
// overlap: the reason is that of the earlier.
func joinGaps(gaps []tocsin.Gap) []tocsin.Gap {
	slices.SortStableFunc(gaps, func(a, b tocsin.Gap) int { return a.From.Compare(b.From) })
	joined := gaps[:0]
	for _, g := range gaps {
		if n := len(joined); n > 0 {
			last := &joined[n-1]
			touch := !g.From.After(last.To) && g.Reason == last.Reason
			if touch || g.From.Before(last.To) {
				if g.To.After(last.To) {
					last.To = g.To
				}
				continue
			}
		}
		joined = append(joined, g)
	}
	return joined
}

// Missing returns what of a span is not known to be read, as [Coverage] promises.
func (c *Covered) Missing(within tocsin.Span) (missing []tocsin.Gap) {
	at := within.From
	note := func(until tocsin.Span, reason tocsin.Reason) {
		if until.From.Before(until.To) {
			missing = append(missing, tocsin.Gap{Span: until, Reason: reason})
		}
	}
	// Told gaps first; what lies between them is read or not.
	for _, g := range c.Gaps {
		g.Span = clip(g.Span, within)
		if !g.From.Before(g.To) {
			continue
		}
		c.unread(tocsin.Span{From: at, To: g.From}, note)
		note(g.Span, g.Reason)
		at = g.To
	}
	c.unread(tocsin.Span{From: at, To: within.To}, note)
	return missing
}

// unread notes what of a span nobody read.
func (c *Covered) unread(within tocsin.Span, note func(tocsin.Span, tocsin.Reason)) {
	at := within.From
	for _, s := range c.Read {
		s = clip(s, within)
		if !s.From.Before(s.To) {
			continue
		}
		note(tocsin.Span{From: at, To: s.From}, "")
		at = s.To
	}
	note(tocsin.Span{From: at, To: within.To}, "")
}

// clip returns what of s lies within another span; it may be reversed.
func clip(s, within tocsin.Span) tocsin.Span {
	if s.From.Before(within.From) {
		s.From = within.From
	}
	if s.To.After(within.To) {
		s.To = within.To
	}
	return s
}
