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
		if who == nil || who.part == allowed {
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
		lines = append(lines, fmt.Sprintf("%-12s %-18s %s", set, who.who(), ends))
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
	fmt.Fprintf(d.w, "\n%s\n", d.paint(bold, "Summary"))
	row := "  %-11s %-16s %7s  %-7s  %-12s  %-11s  %-12s  %s\n"
	fmt.Fprintf(d.w, row, "", "", "", "blocked", d.reaction(), "read to", "next", "open")
	fmt.Fprintf(d.w, row, "who", "from", "guesses", "after", d.place(), "proved", "connection", "connection")
	var errs []error
	for _, a := range d.actors {
		after, journal, took := "never", "-", "-"
		if a.element && len(a.guesses) > 0 {
			after, journal, took = span(a.blocked.Sub(a.guesses[0])), span(a.reaction()), span(a.took)
		}
		fmt.Fprintf(d.w, row, a.name, a.who(), fmt.Sprint(len(a.guesses)), after, journal, took, or(a.afterward), or(a.cut))
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
		return "What the firewall in memory holds in the end (tocsin rules)"
	}
	return "What the kernel holds in the end (nft list table inet tocsin)"
}

func (d *desk) reaction() string {
	if d.inMem {
		return "line to"
	}
	return "journal to"
}

func (d *desk) place() string {
	if d.inMem {
		return "memory"
	}
	return "kernel"
}

func or(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// legend says how the latencies were measured.
func (d *desk) legend() {
	if d.inMem {
		d.say("\n\"line to memory\": from the line's being appended to the log to the guard's report that its firewall holds the rule. " +
			"\"read to proved\": the guard's own share, as its log tells it.\n")
		return
	}
	d.say("\n\"journal to kernel\": from the time at which the system took the line from sshd (_SOURCE_REALTIME_TIMESTAMP) to " +
		"nft monitor's report of the new element; the waking of both programs is in it. \"read to proved\": the guard's own share, " +
		"from the line read to the element asked back from the kernel, as its log tells it. This is one run: make bench measures.\n")
}

// check compares what became of an actor with his part.
func (d *desk) check(a *actor) (errs []error) {
	wrong := func(text string) { errs = append(errs, fmt.Errorf("%s (%s) %s", a.name, a.who(), text)) }
	if len(a.guesses) == 0 {
		wrong("was never seen")
	}
	if a.part == attacker {
		if !a.element || a.took == 0 {
			wrong("was not blocked")
		} else if r := a.reaction(); r < 0 || r > 10*time.Second {
			wrong("was blocked " + r.String() + " after the line: the clock was set meanwhile")
		}
		if !d.inMem && a.passes {
			wrong("still gets through")
		}
		if !d.inMem && a.holds && !a.cutOff {
			wrong("kept the connection that was open")
		}
		return errs
	}
	if a.element || !a.until.IsZero() {
		wrong("was blocked")
	}
	if a.part == person && a.letIn == 0 {
		wrong("did not get in")
	}
	if a.part == allowed && !a.spared {
		wrong("was not spared by the allowlist")
	}
	if !d.inMem && !a.passes {
		wrong("does not get through")
	}
	return errs
}

func (d *desk) ending() string {
	blocked, letIn := 0, 0
	for _, a := range d.actors {
		if a.element {
			blocked++
		}
		letIn += a.letIn
	}
	if d.inMem {
		return fmt.Sprintf("As told: %d attackers decided upon; Anna let in, never blocked; the allowlist spared. "+
			"As root, make demo shows it with a real server and the kernel.", blocked)
	}
	return fmt.Sprintf("As told: %d attackers dropped by the kernel, an open connection with them; Anna let in (%d times) and never blocked; "+
		"the allowlist spared. Every block ends by itself. Nothing is left behind.", blocked, letIn)
}

// next tells what to try.
func (d *desk) next() {
	fmt.Fprintf(d.w, "\n%s\n", d.paint(bold, "Next"))
	for _, try := range [][2]string{
		{"sudo bin/tocsin guard --dry-run", "what a guard would do here; blocks nothing"},
		{"sudo bin/tocsin scan --summary /var/log/auth.log", "who guessed so far, where this file is"},
		{"sudo journalctl -t sshd | bin/tocsin scan --summary -", "the same, from the journal"},
		{"bin/tocsin services", "what is read, of which service"},
	} {
		fmt.Fprintf(d.w, "  %-53s  %s\n", try[0], try[1])
	}
}
