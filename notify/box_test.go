package notify

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

var (
	start   = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	usual   = pace{window: time.Minute, perHour: 3}
	errDown = errors.New("down")
)

func event(k Kind, n int) Event {
	return Event{Kind: k, At: start, Title: fmt.Sprintf("event %d", n)}
}

// names counts messages.
func names() func() string {
	n := 0
	return func() string { n++; return fmt.Sprint(n) }
}

// deliver plays a receiver that takes everything, until nothing waits, and
// returns what it got and when.
func deliver(t *testing.T, b *box, now time.Time, newID func() string) (got []Batch, when []time.Duration) {
	t.Helper()
	for range 10000 {
		b.collect(now, usual, newID)
		batch, at := b.next(now, usual)
		switch {
		case batch != nil:
			got, when = append(got, *batch), append(when, now.Sub(start))
			b.done(*batch, nil, now)
		case at.IsZero():
			return got, when
		case !at.After(now):
			t.Fatalf("at %v it asks to be asked again at %v", now, at)
		default:
			now = at
		}
	}
	t.Fatal("no end")
	return nil, nil
}

func TestEventsWithinAWindowMakeOneMessage(t *testing.T) {
	var b box
	for i := range 5 {
		b.add(event(CampaignOpened, i), start.Add(time.Duration(i)*time.Second))
	}
	b.add(event(DeviceSilent, 9), start.Add(30*time.Second))
	got, when := deliver(t, &b, start.Add(30*time.Second), names())
	if len(got) != 2 || len(got[0].Events) != 5 || got[0].Kind != CampaignOpened || got[1].Kind != DeviceSilent {
		t.Errorf("got %+v", got)
	}
	if want := []time.Duration{time.Minute, 90 * time.Second}; !slices.Equal(when, want) {
		t.Errorf("at %v, want %v", when, want)
	}
	if s := got[0].Subject(); s != "[Tocsin] 5 campaigns opened" {
		t.Errorf("subject %q", s)
	}
	if s := got[1].Subject(); s != "[Tocsin] event 9" {
		t.Errorf("subject %q", s)
	}
}

func TestTheRestOfAnHourIsADigest(t *testing.T) {
	var b box
	newID := names()
	for i := range 3 {
		at := start.Add(time.Duration(i) * 5 * time.Minute)
		b.add(event(DeviceSuspected, i), at)
		if got, _ := deliver(t, &b, at, newID); len(got) != 1 || got[0].Digest {
			t.Fatalf("message %d: %+v", i, got)
		}
	}
	for i := range 50 {
		b.add(event(DeviceSuspected, 10+i), start.Add(15*time.Minute+time.Duration(i)*20*time.Second))
	}
	// Another kind is not held back by it.
	b.add(event(CaseState, 1), start.Add(32*time.Minute))
	got, when := deliver(t, &b, start.Add(32*time.Minute), newID)
	if len(got) != 2 || got[0].Kind != CaseState || !got[1].Digest || len(got[1].Events) != 50 {
		t.Fatalf("got %d messages at %v: %v, %v with %d events", len(got), when, got[0].Kind, got[1].Digest, len(got[1].Events))
	}
	// The first of the three was sent at one minute.
	if want := 61 * time.Minute; when[1] != want {
		t.Errorf("the digest comes after %v, want %v", when[1], want)
	}
	if text := got[1].Text(); !strings.Contains(text, "held back") {
		t.Errorf("text %q", text)
	}
}

func TestBoxIsBoundedAndCounts(t *testing.T) {
	var b box
	for i := range maxEvents + 100 {
		b.add(event(CampaignOpened, i), start)
	}
	got, _ := deliver(t, &b, start, names())
	if len(got) != 1 || len(got[0].Events) != maxEvents || got[0].More != 100 {
		t.Errorf("got %d events and %d more", len(got[0].Events), got[0].More)
	}
	if s := got[0].Subject(); s != fmt.Sprintf("[Tocsin] %d campaigns opened", maxEvents+100) || !strings.Contains(got[0].Text(), "and 100 more") {
		t.Errorf("subject %q", s)
	}
	// A receiver that is down for a week.
	b = box{}
	now, newID := start, names()
	for i := range 7 * 24 * 4 {
		for kind := CampaignOpened; kind < TestMessage; kind++ {
			b.add(event(kind, i), now)
		}
		for now = now.Add(15 * time.Minute); ; {
			b.collect(now, usual, newID)
			batch, _ := b.next(now, usual)
			if batch == nil {
				break
			}
			b.done(*batch, errDown, now)
		}
		if len(b.Queue) > maxQueue {
			t.Fatalf("%d messages wait", len(b.Queue))
		}
	}
	got, _ = deliver(t, &b, now, newID)
	told := uint64(0)
	for _, batch := range got {
		told += batch.Lost
	}
	if b.Gone == 0 || told != b.Gone || b.Lost != 0 || got[0].Lost == 0 {
		t.Errorf("gave up %d, told of %d", b.Gone, told)
	}
	for i := 1; i < len(got); i++ {
		if got[i].Made.Before(got[i-1].Made) {
			t.Error("out of order")
		}
	}
}

func TestBackoff(t *testing.T) {
	var b box
	b.add(event(CampaignOpened, 1), start)
	now := start.Add(time.Minute)
	b.collect(now, usual, names())
	var waits []time.Duration
	for range 9 {
		batch, _ := b.next(now, usual)
		if batch == nil || batch.ID != "1" {
			t.Fatalf("got %+v", batch)
		}
		b.done(*batch, errDown, now)
		_, at := b.next(now, usual)
		waits = append(waits, at.Sub(now))
		now = at
	}
	want := []time.Duration{10, 20, 40, 80, 160, 320, 640, 900, 900}
	for i := range want {
		want[i] *= time.Second
	}
	if !slices.Equal(waits, want) {
		t.Errorf("got %v, want %v", waits, want)
	}
}

// A clock that jumps neither stops messages nor brings them twice.
func TestClockJumps(t *testing.T) {
	var b box
	newID := names()
	for i := range 3 {
		b.add(event(CampaignOpened, i), start)
		deliver(t, &b, start, newID)
	}
	b.add(event(CampaignOpened, 4), start)
	got, _ := deliver(t, &b, start.AddDate(-1, 0, 0), newID)
	if len(got) != 1 {
		t.Errorf("after the clock was set back: %d messages", len(got))
	}
	b.add(event(CampaignOpened, 5), start.AddDate(-1, 0, 0))
	if got, _ = deliver(t, &b, start.AddDate(3, 0, 0), newID); len(got) != 1 {
		t.Errorf("after the clock was set on: %d messages", len(got))
	}
}

// Whatever comes when: nothing is lost but what is counted, and nobody gets more
// than is allowed.
func TestBoxHoldsItsPromises(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 1))
		var b box
		newID, now := names(), start
		added, gotten := 0, uint64(0)
		sent := map[Kind][]time.Time{}
		take := func(batch Batch) {
			gotten += uint64(len(batch.Events)) + batch.More
			sent[batch.Kind] = append(sent[batch.Kind], batch.Made)
		}
		for range 300 {
			now = now.Add(time.Duration(rng.IntN(300)) * time.Second)
			for range rng.IntN(4) {
				b.add(event(CampaignOpened+Kind(rng.IntN(3)), added), now)
				added++
			}
			b.collect(now, usual, newID)
			if batch, _ := b.next(now, usual); batch != nil {
				var err error
				if rng.IntN(3) == 0 {
					err = errDown
				} else {
					take(*batch)
				}
				b.done(*batch, err, now)
			}
		}
		rest, _ := deliver(t, &b, now, newID)
		for _, batch := range rest {
			take(batch)
		}
		if b.Gone == 0 && gotten != uint64(added) {
			t.Errorf("seed %d: %d events added, %d received", seed, added, gotten)
		}
		for kind, times := range sent {
			for i := usual.perHour; i < len(times); i++ {
				if times[i].Sub(times[i-usual.perHour]) < time.Hour {
					t.Errorf("seed %d: %v more than %d times within an hour", seed, kind, usual.perHour)
				}
			}
		}
	}
}

func TestTidy(t *testing.T) {
	e := Event{
		Title: "account \"root\r\nBcc: x\x1b[2J\u202egnp\"" + strings.Repeat("é", 300), Todo: "\xff\xfe look",
		Link: "javascript:alert(1)",
	}.tidy()
	if len(e.Title) > maxTitle || strings.ContainsAny(e.Title, "\r\n\x1b\u202e") || e.Link != "" || e.Todo != "\uFFFD look" {
		t.Errorf("got %+q", e)
	}
	for link, want := range map[string]string{
		"https://hub.example/campaigns/7?x=1": "https://hub.example/campaigns/7?x=1", "": "", "//x": "", "https://": "", "::": "",
		"https://hub.example/a\nb": "", "https://hub.example/\"<b>": "https://hub.example/%22%3Cb%3E",
		"https://hub.example/" + strings.Repeat("x", maxLink): "",
	} {
		if got := (Event{Link: link}).tidy().Link; got != want {
			t.Errorf("link %q: got %q, want %q", link, got, want)
		}
	}
}

func TestKindWords(t *testing.T) {
	for _, word := range Kinds() {
		var k Kind
		if err := k.UnmarshalText([]byte(word)); err != nil || k.String() != word {
			t.Errorf("%s: %v, %v", word, k, err)
		}
	}
	var k Kind
	if err := k.UnmarshalText([]byte("party")); err == nil || !strings.Contains(err.Error(), "campaign-opened") {
		t.Errorf("got %v", err)
	}
	if err := k.UnmarshalText(nil); err == nil {
		t.Error("nothing is a kind")
	}
}
