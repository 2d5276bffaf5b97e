package quorum

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/tocsin-io/tocsin"
)

const (
	evil = "203.0.113.9"
)

// repeat gives n times the same with a step between.
func repeat(n int, step time.Duration, make func(i int, after time.Duration) tocsin.Received) (list []tocsin.Received) {
	for i := range n {
		list = append(list, make(i, time.Duration(i)*step))
	}
	return list
}

func TestOwner(t *testing.T) {
	devices := []string{"a", "b", "c", "d", "e", "f"}
	spread := func(step time.Duration, n int, names ...string) []tocsin.Received {
		return repeat(n, step, func(i int, after time.Duration) tocsin.Received {
			return told("o", devices[i%len(devices)], evil, after, names[i%len(names)])
		})
	}
	for _, c := range []struct {
		name string
		in   []tocsin.Received
		want []string // of all that follows
	}{
		{"nothing", nil, nil},
		{"one public guess", spread(time.Hour, 1, "root"), nil},
		{"two public guesses on two devices", spread(time.Hour, 2, "root"), []string{"o block 15m0s"}},
		{"a third one after the doubt", spread(time.Hour, 3, "root"), []string{"o block 15m0s", "o block 24h0m0s"}},
		{"two failures without a name", spread(time.Hour, 2, ""), []string{"o block 15m0s"}},
		{"over days", spread(50*time.Hour, 3, "root", "admin", "pi"), []string{"o block 15m0s", "o block 12h0m0s"}},
		{"over more than a week", spread(8*24*time.Hour, 3, "root", "admin", "pi"), nil},
		{"a person on many devices", spread(2*time.Hour, 6, "#me"), nil},
		{"a person far too often", spread(time.Minute, 10, "#me"), []string{"o block 10m0s"}},
		{"two accounts of the owner's own", spread(time.Hour, 4, "#me", "#you"), nil},
		{"one device, four typing errors", []tocsin.Received{told("o", "a", evil, 0, "root", "root", "root", "root")}, nil},
		{"one device, five", []tocsin.Received{told("o", "a", evil, 0, "root", "root", "root", "root", "root")}, []string{"o block 15m0s"}},
		{"a device's decision", []tocsin.Received{blocked(told("o", "a", evil, 0, "root"))}, []string{"o block 15m0s"}},
		{"a device's decision about a person", []tocsin.Received{blocked(told("o", "a", evil, 0, "#me"))}, []string{"o block 10m0s"}},
		{"what it knocks at elsewhere renews", []tocsin.Received{
			blocked(told("o", "a", evil, 0, "root")), knocked(told("o", "b", evil, 5*time.Minute)), knocked(told("o", "b", evil, 20*time.Minute)),
		}, []string{"o block 15m0s", "o block 30m0s", "o block 1h0m0s"}},
		{"a person who goes on trying", []tocsin.Received{
			blocked(told("o", "a", evil, 0, "root")), knocked(told("o", "a", evil, 5*time.Minute)),
		}, []string{"o block 15m0s"}},
		{"an old decision", []tocsin.Received{old(blocked(told("o", "a", evil, 0, "root")), time.Hour)}, nil},
		{"imported", []tocsin.Received{channel(blocked(told("o", "a", evil, 0, "root")), tocsin.Imported)}, nil},
		{"suspect", []tocsin.Received{suspect(blocked(told("o", "a", evil, 0, "root")))}, nil},
		{"hearsay", []tocsin.Received{provenance(blocked(told("o", "a", evil, 0, "root")), tocsin.Network)}, nil},
		{"forgeable, one device", []tocsin.Received{
			provenance(told("o", "a", evil, 0, "root", "root", "root", "root", "root"), tocsin.Local),
			provenance(told("o", "a", evil, time.Hour, "root"), tocsin.Local),
		}, []string{"o block 15m0s", "o block 15m0s"}},
		{"forgeable, two devices", []tocsin.Received{
			provenance(told("o", "a", evil, 0, "root", "root", "root", "root", "root"), tocsin.Local),
			told("o", "b", evil, time.Hour, "root"),
		}, []string{"o block 15m0s", "o block 12h0m0s"}},
		{"private", []tocsin.Received{blocked(told("o", "a", "192.168.7.1", 0, "root"))}, nil},
		{"a resolver", []tocsin.Received{blocked(told("o", "a", "9.9.9.9", 0, "root"))}, []string{"o block 10m0s"}},
		{"one owner alone never blocks for others", []tocsin.Received{
			blocked(from(told("o", "a", evil, 0, "root"), 1)), blocked(from(told("o", "b", evil, 0, "root"), 2)),
			blocked(from(told("o", "c", evil, 0, "root"), 3)), blocked(from(told("o", "d", evil, 0, "root"), 4)),
		}, []string{"o block 15m0s"}},
		{"mistyped, then in, then mistyped", []tocsin.Received{
			told("o", "a", evil, 0, "admin", "admin"), in(told("o", "a", evil, time.Minute, "admin"), "admin"),
			told("o", "b", evil, time.Hour, "admin", "admin"), told("o", "c", evil, 2*time.Hour, "admin"),
		}, nil},
		{"a phone with an old password", append([]tocsin.Received{in(told("o", "a", evil, 0), "#me")},
			repeat(500, time.Minute, func(_ int, after time.Duration) tocsin.Received {
				return told("o", "b", evil, time.Hour+after, "#me")
			})...), nil},
		{"a guest proves nothing", []tocsin.Received{
			in(told("o", "a", evil, 0), "guest"), told("o", "a", evil, time.Hour, "root"), told("o", "b", evil, time.Hour, "pi"),
		}, []string{"o block 15m0s"}},
		{"in after guessing", []tocsin.Received{
			told("o", "a", evil, 0, "pi"), in(told("o", "b", evil, time.Hour, "root"), "root"), told("o", "b", evil, 2*time.Hour, "root"),
		}, []string{"o block 15m0s"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			tally := New(Default())
			var got []string
			for _, r := range c.in {
				got = append(got, words(tally.Observe(r))...)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestWitnesses(t *testing.T) {
	tally := New(Default())
	var got [][]string
	for i, o := range []string{"o", "p", "q"} {
		got = append(got, words(tally.Observe(blocked(from(told(o, o, evil, time.Duration(i)*time.Minute, "root"), i)))))
	}
	want := [][]string{{"o block 15m0s"}, {"p block 15m0s"}, {"q block 15m0s", "everybody block 1h0m0s"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, l := range tally.Explain("o", told("o", "o", evil, 0).Source, day0.Add(time.Hour/2)).Lines() {
		t.Log(l)
	}
}

func TestDefaultIsValid(t *testing.T) {
	if err := Default().Validate(); err != nil {
		t.Error(err)
	}
}
