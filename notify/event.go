package notify

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Kind says what an event is about. Each kind is grouped and limited apart, so
// that many of one never hide one of another.
type Kind uint8

// The values are stored and travel as words: add at the end, never renumber.
const (
	_                  Kind = iota
	CampaignOpened          // sources act together
	DeviceSuspected         // a device may be, or is, compromised
	ControllerProposed      // an address is ranked high enough for a case
	CaseState               // a case moved, or its clock asks for something
	DeviceSilent            // a device is not heard of any more
	TestMessage             // somebody tries whether messages arrive
)

var kindWords = [...]string{
	CampaignOpened: "campaign-opened", DeviceSuspected: "device-suspected", ControllerProposed: "controller-proposed",
	CaseState: "case-state", DeviceSilent: "device-silent", TestMessage: "test",
}

// Kinds are those that a recipient may choose, by their words.
func Kinds() []string { return slices.Clone(kindWords[1:TestMessage]) }

// String returns the word that configuration and wire use.
func (k Kind) String() string {
	if k == 0 || int(k) >= len(kindWords) {
		return "invalid"
	}
	return kindWords[k]
}

// MarshalText encodes k as its word.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText reads the word of a kind.
func (k *Kind) UnmarshalText(b []byte) error {
	i := slices.Index(kindWords[:], string(b))
	if i < 1 {
		return fmt.Errorf("kind %q is none of %s", b, strings.Join(Kinds(), ", "))
	}
	*k = Kind(i)
	return nil
}

// phrase is what stands in a subject: one, and many.
var phrases = [...][2]string{
	CampaignOpened: {"campaign opened", "campaigns opened"}, DeviceSuspected: {"device suspected", "devices suspected"},
	ControllerProposed: {"controller proposed", "controllers proposed"}, CaseState: {"news of a case", "news of cases"},
	DeviceSilent: {"device silent", "devices silent"}, TestMessage: {"test", "tests"},
}

// An Event is one thing that a person should hear of.
type Event struct {
	Kind  Kind      `json:"kind"`
	At    time.Time `json:"at"`             // when it happened
	Title string    `json:"title"`          // one line: may hold what attackers typed
	Link  string    `json:"link,omitempty"` // where to see it: http or https
	Todo  string    `json:"todo,omitempty"` // what to do about it, one line
}

// Limits of the texts of an event, in bytes. What is longer is cut.
const (
	maxTitle = 200
	maxLink  = 500
	maxTodo  = 600
)

// tidy returns e with texts that are short and cannot move a reader's cursor.
func (e Event) tidy() Event {
	e.Title, e.Todo = clean(e.Title, maxTitle), clean(e.Todo, maxTodo)
	u, err := url.Parse(e.Link)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || len(e.Link) > maxLink {
		e.Link = ""
	} else {
		e.Link = u.String() // escapes what is no part of a link
	}
	return e
}

func clean(s string, most int) string {
	s = strings.TrimSpace(strings.Map(func(r rune) rune {
		switch {
		case unicode.IsControl(r), r == '\u2028', r == '\u2029':
			return ' '
		case unicode.Is(unicode.Cf, r): // also turns the direction of a text around
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD")))
	if len(s) <= most {
		return s
	}
	for most > 0 && !utf8.RuneStart(s[most]) {
		most--
	}
	return strings.TrimSpace(s[:most])
}

// A Batch is one message: events of one kind, in the order in which they came.
type Batch struct {
	ID     string    `json:"id"`               // the same at every try: a repeat is recognised by it
	Kind   Kind      `json:"kind"`             //
	Made   time.Time `json:"made"`             // when it was put together
	Digest bool      `json:"digest,omitempty"` // it waited because there had been enough messages of its kind
	Events []Event   `json:"events"`
	More   uint64    `json:"more,omitempty"` // events of its kind besides, which there was no room for
	Lost   uint64    `json:"lost,omitempty"` // messages before it that could not be delivered and were given up
}

// Subject returns what the message is about, in one line.
func (b Batch) Subject() string {
	n := uint64(len(b.Events)) + b.More
	if n == 1 && len(b.Events) == 1 {
		return clean("[Tocsin] "+b.Events[0].Title, 190)
	}
	return fmt.Sprintf("[Tocsin] %d %s", n, phrases[b.Kind][1])
}

// Text returns the message for people.
func (b Batch) Text() string {
	var w strings.Builder
	for i, e := range b.Events {
		if i > 0 {
			w.WriteByte('\n')
		}
		fmt.Fprintf(&w, "%s  %s\n", e.At.UTC().Format("2006-01-02 15:04:05 UTC"), e.Title)
		if e.Todo != "" {
			fmt.Fprintf(&w, "  What to do: %s\n", e.Todo)
		}
		if e.Link != "" {
			fmt.Fprintf(&w, "  %s\n", e.Link)
		}
	}
	if b.More > 0 {
		fmt.Fprintf(&w, "\nand %d more, which there was no room for: see the console or tocsin status.\n", b.More)
	}
	if b.Digest {
		fmt.Fprintf(&w, "\nThese were held back and sent together: there had been enough messages about %s within an hour.\n", phrases[b.Kind][1])
	}
	if b.Lost > 0 {
		fmt.Fprintf(&w, "\nBefore this, messages could not be delivered and were given up: %d.\n", b.Lost)
	}
	return w.String()
}
