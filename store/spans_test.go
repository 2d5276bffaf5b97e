package store_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/store"
)

var noon = time.Date(2023, 10, 14, 12, 0, 0, 0, time.UTC)

func minute(n int) time.Time { return noon.Add(time.Duration(n) * time.Minute) }

// TestCoveredMinuteByMinute holds random histories to a table of minutes.
func TestCoveredMinuteByMinute(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	const minutes = 60
	for round := range 2000 {
		var c store.Covered
		var read, gap [minutes]bool
		for range r.IntN(8) {
			from, to := r.IntN(minutes), r.IntN(minutes)
			told := tocsin.Coverage{From: minute(from), Until: minute(to)}
			for m := from; m < to; m++ {
				read[m] = true
			}
			if r.IntN(2) == 0 {
				from, to := r.IntN(minutes), r.IntN(minutes)
				told.Gaps = []tocsin.Gap{{Span: tocsin.Span{From: minute(from), To: minute(to)}, Reason: tocsin.Reason(fmt.Sprint(r.IntN(2)))}}
				for m := from; m < to; m++ {
					gap[m] = true
				}
			}
			c.Cover(told)
		}
		var missing [minutes]bool
		last := minute(0)
		for _, g := range c.Missing(tocsin.Span{From: minute(0), To: minute(minutes)}) {
			if g.From.Before(last) || !g.From.Before(g.To) {
				t.Fatalf("round %d: gap %v after %v", round, g, last)
			}
			last = g.To
			for m := int(g.From.Sub(noon) / time.Minute); m < int(g.To.Sub(noon)/time.Minute); m++ {
				missing[m] = true
			}
		}
		for m := range minutes {
			if want := gap[m] || !read[m]; missing[m] != want {
				t.Fatalf("round %d: minute %d missing is %v, want %v", round, m, missing[m], want)
			}
		}
	}
}

// TestCoveredIsBounded fills it: what is forgotten counts as not read.
func TestCoveredIsBounded(t *testing.T) {
	var c store.Covered
	for i := range 3 * store.MaxSpans {
		g := tocsin.Gap{Span: tocsin.Span{From: minute(4*i + 1), To: minute(4*i + 2)}, Reason: "cut"}
		c.Cover(tocsin.Coverage{From: minute(4 * i), Until: minute(4*i + 3), Gaps: []tocsin.Gap{g}})
	}
	if len(c.Read) > store.MaxSpans || len(c.Gaps) > store.MaxSpans {
		t.Errorf("got %d spans, %d gaps", len(c.Read), len(c.Gaps))
	}
	got := c.Missing(tocsin.Span{From: minute(0), To: minute(4)})
	want := []tocsin.Gap{{Span: tocsin.Span{From: minute(0), To: minute(4)}}}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}
