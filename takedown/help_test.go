package takedown

import (
	"encoding/json"
	"errors"
	"net/netip"
	"testing"
	"time"
)

var day0 = time.Date(2023, 10, 14, 18, 42, 0, 0, time.UTC)

func after(d time.Duration) time.Time { return day0.Add(d) }

func opening(k Kind) Opening {
	return Opening{ID: NewID(day0, [5]byte{1, 2, 3, 4, 5}), Kind: k, Source: netip.MustParsePrefix("198.51.100.7/32"), Port: 8443, Protocol: 6}
}

// letter is a mail that was approved, by number.
func letter(n byte) Digest { return Digest{n} }

func mailTo(provider, id string) *Mail {
	return &Mail{Provider: provider, To: "abuse@" + provider, MessageID: id}
}

// steps applies entries, or fails.
func steps(t *testing.T, c Case, list ...Entry) Case {
	t.Helper()
	for _, e := range list {
		next, err := c.Apply(e)
		if err != nil {
			t.Fatalf("%s: %v", e.Act, err)
		}
		c = next
	}
	return c
}

func draft(t *testing.T, k Kind) Case {
	t.Helper()
	c, err := Open(opening(k), "anna", "seen", day0)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// sent is a case whose first mail left an hour after it was opened.
func sent(t *testing.T, k Kind) Case {
	t.Helper()
	list := []Entry{{At: day0, By: "anna", Act: Approve, Digest: letter(1), People: 2}}
	if k == Controller {
		list = append(list, Entry{At: day0, By: "berta", Act: Approve, Digest: letter(1), People: 2})
	}
	return steps(t, draft(t, k), append(list, Entry{At: after(time.Hour), By: System, Act: Send, Digest: letter(1), Mail: mailTo("example.net", "<1@hub>")})...)
}

func refused(t *testing.T, c Case, e Entry, want error) {
	t.Helper()
	before := encoded(t, c)
	got, err := c.Apply(e)
	if err == nil || want != nil && !errors.Is(err, want) {
		t.Errorf("%s: got %v, want %v", e.Act, err, want)
	}
	if a, b := encoded(t, got), encoded(t, c); a != before || b != before {
		t.Errorf("%s was refused and changed the case", e.Act)
	}
}

func encoded(t *testing.T, c Case) string {
	t.Helper()
	b, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// quiet are vantage points that had contact until four hours before day0, and
// see none until now.
func quiet(now time.Time, owners ...string) []Vantage {
	var list []Vantage
	for i, o := range owners {
		list = append(list, vantage(now, o, i))
	}
	return list
}
