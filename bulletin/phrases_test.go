package bulletin

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/tocsin-io/tocsin/compromise"
)

// TestLanguagesAreComplete: every phrase is there in every language, with as
// many holes to fill as in the others.
func TestLanguagesAreComplete(t *testing.T) {
	en, fr := reflect.ValueOf(english), reflect.ValueOf(french)
	compare(t, "phrases", en, fr)
	for _, l := range Languages() {
		p, err := phrasesOf(l)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range compromise.States() {
			if p.letter.verdicts[s] == "" || p.letter.entered[s] == "" || len(p.letter.now[s]) == 0 || p.bulletin.states[s] == "" {
				t.Errorf("%s: nothing is said of %v", l, s)
			}
		}
		for _, h := range compromise.Holes() {
			if p.letter.missing[h] == "" || p.bulletin.holes[h] == "" {
				t.Errorf("%s: nothing is said of %v", l, h)
			}
		}
		for k := compromise.AfterFailures; k <= compromise.Tripwire; k++ {
			if p.letter.saw[k] == "" {
				t.Errorf("%s: nothing is said of %v", l, k)
			}
		}
	}
}

func compare(t *testing.T, path string, a, b reflect.Value) {
	switch a.Kind() {
	case reflect.Struct:
		for i := range a.NumField() {
			compare(t, path+"."+a.Type().Field(i).Name, a.Field(i), b.Field(i))
		}
	case reflect.Array, reflect.Slice:
		if a.Len() != b.Len() {
			t.Errorf("%s: %d and %d parts", path, a.Len(), b.Len())
			return
		}
		for i := range a.Len() {
			if i == 0 && a.Kind() == reflect.Array && a.Index(0).IsZero() && b.Index(0).IsZero() {
				continue // of no state
			}
			compare(t, fmt.Sprintf("%s[%d]", path, i), a.Index(i), b.Index(i))
		}
	case reflect.String:
		x, y := a.String(), b.String()
		if (x == "") != (y == "") || x == "" {
			t.Errorf("%s: %q and %q", path, x, y)
		}
		for _, hole := range []string{"%s", "%[1]s", "%[2]s", "%[3]s", "%[4]s", "%[5]s", "%d", "%02d", "{subject}", "{source}", "{to}"} {
			if strings.Count(x, hole) != strings.Count(y, hole) {
				t.Errorf("%s: %s stands not as often in %q as in %q", path, hole, x, y)
			}
		}
	}
}

func TestNumbers(t *testing.T) {
	for n, want := range map[uint64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567"} {
		if got := english.number(n); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	for share, want := range map[float64]string{0: "0 %", 0.00042: "0,04 %", 0.0131: "1,3 %", 0.27: "27 %", 1: "100 %"} {
		if got := strings.ReplaceAll(french.percent(share), "\u00a0", " "); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
