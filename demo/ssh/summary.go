package main

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// among returns what a listing by nft holds of the actors who are attackers,
// one line each: set, address, and when it ends.
func (d *desk) among(list string) (lines []string) {
	set := ""
	words := strings.Fields(list)
	for i, w := range words {
		if w == "set" && i+1 < len(words) {
			set = words[i+1]
		}
		addr, err := netip.ParseAddr(strings.TrimRight(w, ","))
		if err != nil {
			continue
		}
		who := d.of(addr)
		if who == nil {
			continue
		}
		ends := ""
		if i+4 < len(words) && words[i+3] == "expires" {
			ends = strings.TrimRight(words[i+4], ",")
			if d, err := time.ParseDuration(ends); err == nil { // nft also writes days
				ends = d.Round(time.Second).String()
			}
			ends = "expires in " + ends
		}
		lines = append(lines, fmt.Sprintf("%-12s %-18s %s", set, who.from, ends))
	}
	return lines
}

// conclude prints the summary and returns what did not come out as told.
func (d *desk) conclude() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	fmt.Fprintf(d.w, "\n%s\n", d.paint(bold, d.title()))
	for _, line := range d.holds {
		fmt.Fprintln(d.w, "  "+line)
	}
	d.table()
	var errs []error
	for _, a := range d.actors {
		errs = append(errs, d.check(a)...)
	}
	for _, text := range d.trouble {
		errs = append(errs, errors.New(text))
	}
	d.legend()
	if len(errs) == 0 {
		d.say("\n" + d.ending() + "\n")
		d.next()
	}
	return errors.Join(errs...)
}

func (d *desk) title() string {
	if d.inMem {
		return "What C's firewall in memory holds in the end (tocsin rules); two of them never came to C"
	}
	return "What C's kernel holds in the end (nft list table inet tocsin); two of them never came to C"
}

// table tells what became of everybody.
func (d *desk) table() {
	fmt.Fprintf(d.w, "\n%s\n", d.paint(bold, "Summary: from the line in the log to the rule in force, at each device"))
	row := func(cells ...any) {
		line := fmt.Sprintf("  %-11s  %-12s  %-14s  %-3s  %-7s  %-7s  %-7s  %-5s  %s", cells...)
		fmt.Fprintln(d.w, strings.TrimRight(line, " "))
	}
	row("who", "from", "guesses", "by", "A", "B", "C", "D", d.afterward())
	for _, a := range d.actors {
		by := "-"
		if len(a.blocked) > 0 {
			by = machines[a.by].name
		}
		row(a.name, a.from.String(), a.counts(), by, a.cell(devA), a.cell(devB), a.cell(devC), a.cell(devD), a.outcome(d.inMem))
	}
}

// counts tells where the actor guessed how often.
func (s *seen) counts() string {
	var parts []string
	for m := range machines {
		n := 0
		for _, g := range s.guesses {
			if g.on == m {
				n++
			}
		}
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%d at %s", n, machines[m].name))
		}
	}
	return strings.Join(parts, ", ")
}

// cell tells how long it took at a machine.
func (s *seen) cell(machine int) string {
	if _, held := s.blocked[machine]; !held {
		return "never"
	}
	return span(s.reaction(machine))
}

// afterward is the heading of what happened to next connections; there are none
// in a recording.
func (d *desk) afterward() string {
	if d.inMem {
		return ""
	}
	return "next connection"
}

// outcome tells what happened to the actor's next connections.
func (s *seen) outcome(inMem bool) string {
	if inMem {
		return ""
	}
	dropped := ""
	for _, m := range devices() {
		if yes, tried := s.answers[m]; tried && !yes {
			dropped += machines[m].name
		}
	}
	if dropped == "" {
		return "let in"
	}
	return strings.Join(strings.Split(dropped, ""), ", ") + " dropped"
}

// slowest is the longest time that any of the owner's devices took.
func (d *desk) slowest() (most time.Duration) {
	for _, a := range d.actors {
		for m := range a.blocked {
			most = max(most, a.reaction(m))
		}
	}
	return most
}

// legend says how the latencies were measured.
func (d *desk) legend() {
	from, to := "from the time at which the system took the line from sshd (_SOURCE_REALTIME_TIMESTAMP)",
		"to nft monitor's report of the element at each device; the waking of all programs on the way is in it"
	if d.inMem {
		from, to = "from the line's being appended to the log", "to each guard's report that its firewall in memory holds the rule"
	}
	d.say("\nMeasured " + from + " " + to + ". The line is that of the last guess before the first rule. All of it ran on this one " +
		"machine, with one clock and no internet between. One run: make bench measures.\n")
	d.say(fmt.Sprintf("\nOctober 2023: a vendor took 7 hours to have a few hundred attackers blocked on its fleet, the decisions of people "+
		"included. Here: %s at most, from the line to the last device of the owner.\n", span(d.slowest())))
}

// check compares what became of an actor with his part.
func (d *desk) check(a *actor) (errs []error) {
	wrong := func(text string) { errs = append(errs, fmt.Errorf("%s (%s) %s", a.name, a.from, text)) }
	if len(a.guesses) == 0 {
		wrong("was never seen")
	}
	if _, held := a.blocked[devD]; held {
		wrong("is blocked at D, which is another's")
	}
	if a.part == person {
		d.checkPerson(a, wrong)
		return errs
	}
	for _, m := range ours() {
		at := machines[m].name
		if _, held := a.blocked[m]; !held {
			wrong("was not blocked at " + at)
		} else if r := a.reaction(m); r < 0 || r > time.Minute {
			wrong("was blocked at " + at + " " + r.String() + " after the line: the clock was set meanwhile")
		}
		if !d.inMem && a.answers[m] {
			wrong("still gets through to " + at)
		}
	}
	if !d.inMem && !a.answers[devD] {
		wrong("gets no answer of D, which is another's")
	}
	if !d.inMem && a.holds != hub && !a.cutOff {
		wrong("kept the connection that was open")
	}
	return errs
}

func (d *desk) checkPerson(a *actor, wrong func(string)) {
	if len(a.blocked) > 0 {
		wrong("was blocked")
	}
	if a.letIn == 0 {
		wrong("did not get in")
	}
	for _, m := range devices() {
		if !d.inMem && !a.answers[m] {
			wrong("does not get through to " + machines[m].name)
		}
	}
}

func (d *desk) ending() string {
	blocked, letIn := 0, 0
	for _, a := range d.actors {
		if len(a.blocked) > 0 {
			blocked++
		}
		letIn += a.letIn
	}
	if d.inMem {
		return fmt.Sprintf("As told: %d attackers blocked at A, B and C, none of them at D; Anna let in, never blocked. "+
			"As root, make demo shows it with real servers and kernels.", blocked)
	}
	return fmt.Sprintf("As told: %d attackers dropped by the kernels of A, B and C, an open connection with them, and by D none; "+
		"Anna let in (%d times) and never blocked. Every block ends by itself. Nothing is left behind.", blocked, letIn)
}

// next tells what to try.
func (d *desk) next() {
	fmt.Fprintf(d.w, "\n%s\n", d.paint(bold, "Next"))
	for _, try := range [][2]string{
		{"sudo bin/tocsin guard --dry-run", "what a guard would do here; blocks nothing"},
		{"sudo journalctl -t sshd | bin/tocsin scan --summary -", "who guessed so far"},
		{"bin/tocsin services", "what is read, of which service"},
		{"bin/tocsin up --help", "a hub and a guard in one, for one machine"},
	} {
		fmt.Fprintf(d.w, "  %-53s  %s\n", try[0], try[1])
	}
}
