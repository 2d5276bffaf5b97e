//go:build !small

package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"text/tabwriter"

	"golang.org/x/sys/unix"

	"github.com/tocsin-io/tocsin/api"
)

// printDemo sets each clock of a story beside that of 2023.
func printDemo(w io.Writer, sum api.DemoSummary) {
	fmt.Fprintf(w, "\nSeed %d: %d devices, %d of them with a guard, %d by the kernel's firewall; %.0f s of your time.\n\n",
		sum.Seed, sum.Devices, sum.Guards, sum.Kernels, sum.Elapsed)
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tab, "\tOCTOBER 2023\tHERE\tHOW")
	for _, r := range sum.Rows {
		fmt.Fprintf(tab, "%s\t%s\t%s\t%s\n", clean(r.What), clean(r.In2023), clean(r.Here), clean(r.How))
	}
	_ = tab.Flush() // it fails as the writes do
	c := sum.Compared
	fmt.Fprintln(w, "\nCompared with what is true of the invented incident, which nothing above knew:")
	if c.Controller != "" {
		word := "is not the one that commands the devices"
		if c.ControllerRight {
			word = "is the one that commands the devices"
		}
		fmt.Fprintf(w, "  %s %s\n", clean(c.Controller), word)
	}
	fmt.Fprintf(w, "  %d of the %d devices that were entered are confirmed (%d of these had a guard), %s wrongly\n",
		c.Confirmed, c.Entered, c.EnteredSeen, count(c.Wrongly, "device"))
	fmt.Fprintln(w, "\nNot shown:")
	for _, text := range sum.NotShown {
		fmt.Fprintln(w, "  "+text)
	}
	if !sum.OK {
		fmt.Fprintf(w, "\nNot reached: %s.\n", strings.Join(sum.Missing, ", "))
	}
}

// interactive reports whether somebody sits at a terminal.
func (s *demoScreen) interactive() bool {
	f, ok := s.out.(*os.File)
	if !ok || s.f.headless || s.f.json {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// keys listens to a terminal, one key at a time, until ctx ends. The function that
// it returns gives the terminal back.
func (s *demoScreen) keys(ctx context.Context, in io.Reader) (restore func()) {
	f, ok := in.(*os.File)
	if !ok || !s.interactive() {
		return func() {}
	}
	fd := int(f.Fd())
	before, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return func() {}
	}
	single := *before
	single.Lflag &^= unix.ICANON | unix.ECHO
	single.Cc[unix.VMIN], single.Cc[unix.VTIME] = 1, 0
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, &single); err != nil {
		return func() {}
	}
	go func() { // it ends with the program: nothing else reads there
		b := make([]byte, 1)
		for ctx.Err() == nil {
			if n, err := f.Read(b); err != nil || n == 0 {
				return
			}
			s.key(b[0])
		}
	}()
	return func() { _ = unix.IoctlSetTermios(fd, unix.TCSETS, before) } // the terminal is gone, then
}

// key does what a key says.
func (s *demoScreen) key(b byte) {
	s.mu.Lock()
	show := s.show
	s.mu.Unlock()
	switch b {
	case 'q', 'Q':
		s.quit()
		return
	case ' ', 'n', 'N':
		if show == nil {
			return // not yet
		}
	default:
		return
	}
	now := show.Clock()
	change := api.DemoChange{}
	if b == ' ' {
		paused := !now.Paused
		change.Paused = &paused
		fmt.Fprintln(s.out, map[bool]string{true: "Paused: space goes on.", false: "It goes on."}[paused])
	} else {
		seed := now.Seed + 1
		change.Seed = &seed
		fmt.Fprintf(s.out, "\nIt begins anew, with seed %d.\n", seed)
	}
	if err := show.Steer(change); err != nil {
		fmt.Fprintln(s.out, err)
	}
}

// openBrowser opens a page, if this machine has a browser that can be asked.
func openBrowser(page string) {
	cmd := exec.Command("xdg-open", page)
	if cmd.Start() == nil {
		go func() { _ = cmd.Wait() }() // whatever it says: the address is printed, too
	}
}
