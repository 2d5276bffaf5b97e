package main

import (
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// A kind is what an event is of.
type kind uint8

const (
	scene    kind = iota // told by the demo itself
	shown                // a command and what it printed
	attempt              // told by sshd
	decision             // told by a guard or the hub
	frame                // told by the hub
	kernel               // told by a kernel, or by a client whom it drops
)

// An event is one thing that happened.
type event struct {
	at   time.Time // when, by the clock of this machine
	on   int       // the machine
	kind kind
	who  netip.Addr
	text string
	near bool                // follows at once a guess of the actor, and is told after it
	note func(*actor)        // takes down what it means for the actor, and may be nil
	tell func(*actor) string // the text, where it depends on what was seen before; "" is none
}

// settle is how long events wait for those that happened before them and are
// told later: journald tells its readers of a line up to 250 ms after it wrote
// it (the guard does not wait for that, journalctl does).
const settle = 400 * time.Millisecond

// What follows a guess at once waits for it longer, where it is not heard of yet.
const (
	atOnce  = 200 * time.Millisecond
	longest = 3 * time.Second
)

// A desk takes what is reported from everywhere, puts it in order, tells it and
// keeps what is known of the actors.
type desk struct {
	w      io.Writer
	colour bool
	actors []*actor
	begun  time.Time
	inMem  bool                            // firewalls are in memory
	rules  func(machine int, at time.Time) // asks what they hold

	mu      sync.Mutex // guards the fields below and what was seen of the actors
	waiting []event
	trouble []string
	holds   []string   // what the firewall of one device held in the end
	decided netip.Addr // whom the hub decided upon last
}

func newDesk(w io.Writer, actors []*actor) *desk {
	d := &desk{w: w, actors: actors, begun: time.Now()}
	if f, ok := w.(*os.File); ok && os.Getenv("NO_COLOR") == "" {
		st, err := f.Stat()
		d.colour = err == nil && st.Mode()&os.ModeCharDevice != 0
	}
	return d
}

// of finds the actor with an address, or nil.
func (d *desk) of(a netip.Addr) *actor {
	for _, who := range d.actors {
		if who.from == a {
			return who
		}
	}
	return nil
}

// post reports an event. It never waits.
func (d *desk) post(e event) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.waiting = append(d.waiting, e)
}

// fail notes what must not happen.
func (d *desk) fail(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.trouble = append(d.trouble, fmt.Sprintf(format, args...))
}

// look lets f see an actor.
func (d *desk) look(a *actor, f func(seen) bool) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return f(a.seen)
}

// begin starts the clock of the story and the telling. stop tells the rest.
func (d *desk) begin() (stop func()) {
	fmt.Fprintln(d.w)
	d.begun = time.Now()
	done, told := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(told)
		d.work(done)
	}()
	return func() {
		close(done)
		<-told
	}
}

// work tells events until done is closed, and then the rest.
func (d *desk) work(done <-chan struct{}) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			d.flush(time.Now().Add(-settle))
		case <-done:
			d.flush(time.Now().Add(time.Hour))
			return
		}
	}
}

// flush tells what happened before t, in order.
func (d *desk) flush(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	slices.SortStableFunc(d.waiting, func(a, b event) int { return a.at.Compare(b.at) })
	n := 0
	for n < len(d.waiting) && d.waiting[n].at.Before(t) && d.ripe(d.waiting[n], t) {
		d.tell(d.waiting[n])
		n++
	}
	d.waiting = slices.Delete(d.waiting, 0, n)
}

// ripe reports whether the guess that e follows is known.
func (d *desk) ripe(e event, t time.Time) bool {
	if !e.near || e.at.Before(t.Add(-longest)) {
		return true
	}
	who := d.of(e.who)
	near := func(at time.Time) bool { return !at.After(e.at) && at.After(e.at.Add(-atOnce)) }
	return who == nil || slices.ContainsFunc(who.guesses, func(g guess) bool { return near(g.at) }) ||
		slices.ContainsFunc(d.waiting, func(w event) bool { return w.kind == attempt && w.who == e.who && near(w.at) })
}

// tell takes an event down and prints it.
func (d *desk) tell(e event) {
	switch e.kind {
	case scene:
		fmt.Fprintf(d.w, "\n%s\n", d.paint(bold, wrap(e.text, width, "")))
		return
	case shown:
		for line := range strings.Lines(e.text) {
			fmt.Fprintln(d.w, asShown(printable(strings.TrimRight(line, "\n"))))
		}
		return
	}
	who := d.of(e.who)
	if who == nil {
		return // not of this story
	}
	if e.note != nil {
		e.note(who)
	}
	if e.tell != nil {
		e.text = e.tell(who)
	}
	if e.text == "" {
		return
	}
	fmt.Fprintf(d.w, "%7.3f  %-3s  %s  %-12s  %s\n", e.at.Sub(d.begun).Seconds(), machines[e.on].name,
		d.paint(e.kind.style(), fmt.Sprintf("%-8s", e.kind)), e.who, wrap(e.text, width, strings.Repeat(" ", indent)))
}

// asShown sets a line of a program off, and breaks it if it is too wide: between
// words, which stay as far apart as they are, so that columns stay columns.
func asShown(line string) string {
	line = "  " + line
	lead := line[:len(line)-len(strings.TrimLeft(line, " "))] + "  "
	var b strings.Builder
	for utf8.RuneCountInString(line) > width {
		at := lastGap(line)
		if at < 0 {
			break // one long word
		}
		b.WriteString(strings.TrimRight(line[:at], " ") + "\n")
		line = lead + strings.TrimLeft(line[at:], " ")
	}
	b.WriteString(line)
	return b.String()
}

// lastGap returns where the last space is that a line as wide as the terminal may
// be broken at, past what indents it, or -1.
func lastGap(line string) (at int) {
	at = -1
	n := 0
	for i, r := range line {
		if n++; n > width+1 {
			break
		}
		if r == ' ' && strings.TrimLeft(line[:i], " ") != "" {
			at = i
		}
	}
	return at
}

// ready tells that something works, while everything starts.
func (d *desk) ready(what string) { fmt.Fprint(d.w, what+" ") }

// say prints what is no event.
func (d *desk) say(text string) { fmt.Fprint(d.w, wrap(text, width, "")) }

const (
	width  = 100
	indent = 7 + 2 + 3 + 2 + 8 + 2 + 12 + 2
)

// Styles of a terminal (ECMA-48, SGR).
const (
	bold   = "1"
	yellow = "33"
	red    = "31;1"
	green  = "32"
	blue   = "36"
)

// String is how lines are marked.
func (k kind) String() string {
	return [...]string{"", "", "ATTEMPT", "DECISION", "FRAME", "KERNEL"}[k]
}

func (k kind) style() string { return [...]string{bold, "", yellow, red, blue, green}[k] }

func (d *desk) paint(style, text string) string {
	if !d.colour {
		return text
	}
	return "\x1b[" + style + "m" + text + "\x1b[0m"
}

// wrap breaks text between words where it is wider than the terminal; the lines
// after the first are indented. What is not printable is left out: the text
// holds names that attackers chose.
func wrap(text string, width int, indent string) string {
	if line := printable(text); !strings.Contains(text, "\n") && len(indent)+utf8.RuneCountInString(line) <= width {
		return line
	}
	var b strings.Builder
	for i, line := range strings.SplitAfter(text, "\n") {
		used := len(indent)
		for n, word := range strings.Fields(printable(line)) {
			size := utf8.RuneCountInString(word)
			switch {
			case n == 0 && i > 0:
				b.WriteString(indent)
			case n > 0 && used+1+size > width:
				b.WriteString("\n" + indent)
				used = len(indent)
			case n > 0:
				b.WriteByte(' ')
				used++
			}
			b.WriteString(word)
			used += size
		}
		if strings.HasSuffix(line, "\n") {
			b.WriteByte('\n')
		}
	}
	return b.String()
}

func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
}

// span is a duration as people read it.
func span(d time.Duration) string {
	switch {
	case d < 10*time.Millisecond:
		return fmt.Sprintf("%.2f ms", d.Seconds()*1e3)
	case d < time.Second:
		return fmt.Sprintf("%.0f ms", d.Seconds()*1e3)
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}
