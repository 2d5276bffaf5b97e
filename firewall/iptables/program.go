package iptables

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/tocsin-io/tocsin/firewall"
)

// waitSeconds is how long a program may wait for the lock that all programs of
// iptables share.
const waitSeconds = "5"

// Why a program failed, as far as it makes a difference.
var (
	// ErrBusy says that another program held the lock of iptables for too long.
	ErrBusy = errors.New("another program holds the lock of iptables (xtables.lock) for more than " +
		waitSeconds + " s; try again, or look for an iptables command that hangs")
	errTable  = errors.New("no such table in this kernel")
	errOption = errors.New("option not known")
	errLine   = errors.New("rules are not as they were left")
)

// programs are the three commands of one family of legacy iptables.
type programs struct {
	family        family
	restore, save string
	wait          bool     // restore can wait for the lock
	env           []string // added to that of the process
	command       func(ctx context.Context, name string, args ...string) *exec.Cmd
}

// find looks for the programs of a family, and makes sure that they are the
// legacy ones: those that speak to nf_tables would hide its absence.
func find(ctx context.Context, f family, o Options) (*programs, error) {
	names := []string{"iptables-legacy", "iptables"}
	if f.bits == 128 {
		names = []string{"ip6tables-legacy", "ip6tables"}
	}
	p := &programs{family: f, wait: true, command: o.Command}
	var seen []string
	for _, name := range names {
		path, err := o.lookPath(name)
		if err != nil {
			seen = append(seen, name+": not found")
			continue
		}
		out, err := p.command(ctx, path, "-V").CombinedOutput()
		version := strings.TrimSpace(string(out))
		if err != nil || strings.Contains(version, "(nf_tables)") {
			seen = append(seen, fmt.Sprintf("%s: %.80s", path, version))
			continue
		}
		p.restore, p.save = path+"-restore", path+"-save"
		if _, err := o.lookPath(p.restore); err != nil {
			seen = append(seen, p.restore+": not found")
			continue
		}
		return p, nil
	}
	return nil, fmt.Errorf("no legacy iptables for %s (%s): install iptables-legacy: %w",
		f.name, strings.Join(seen, "; "), firewall.ErrUnsupported)
}

// lookPath searches PATH, and where administrators' programs are: a NAS starts
// services with neither.
func lookPath(name string) (string, error) {
	if p, err := exec.LookPath(name); err == nil {
		return p, nil
	}
	for _, dir := range []string{"/usr/sbin", "/sbin", "/usr/local/sbin"} {
		if p, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return p, nil
		}
	}
	return "", exec.ErrNotFound
}

// commit hands b to the kernel: all of it or nothing.
func (p *programs) commit(ctx context.Context, b *batch) error {
	b.WriteString("COMMIT\n")
	input := b.Bytes()
	args := []string{"--noflush"}
	if p.wait {
		args = append(args, "--wait="+waitSeconds)
	}
	err := p.run(ctx, p.restore, args, bytes.NewReader(input), io.Discard)
	if errors.Is(err, errOption) && p.wait {
		// Before 1.6.2 it took no lock; nothing but luck orders it then.
		p.wait = false
		err = p.run(ctx, p.restore, []string{"--noflush"}, bytes.NewReader(input), io.Discard)
	}
	return err
}

// dump calls line for each line that the kernel holds of table. It takes no
// lock and wakes nobody: the kernel copies the table at one moment.
func (p *programs) dump(ctx context.Context, table string, line func([]byte)) error {
	r, w := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := p.run(ctx, p.save, []string{"-t", table}, nil, w)
		w.CloseWithError(err) // a nil error is the end
		done <- err
	}()
	sc := bufio.NewScanner(r)
	for sc.Scan() {
		line(sc.Bytes())
	}
	if sc.Err() != nil {
		// A line beyond the scanner's measure: let the program end.
		_, _ = io.Copy(io.Discard, r)
	}
	if err := <-done; err != nil {
		return err
	}
	return sc.Err()
}

func (p *programs) run(ctx context.Context, name string, args []string, in io.Reader, out io.Writer) error {
	cmd := p.command(ctx, name, args...)
	if len(p.env) > 0 {
		cmd.Env = append(cmd.Environ(), p.env...)
	}
	var complaint tailBuffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, out, &complaint
	err := cmd.Run()
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	return classify(filepath.Base(name), complaint.String(), err)
}

// classify makes one error of what a program said and how it ended. Its exit
// status tells little: 1, 2, 3 and 4 were each used for several reasons.
func classify(name, said string, err error) error {
	said = strings.Join(strings.Fields(said), " ")
	has := func(words ...string) bool {
		for _, w := range words {
			if strings.Contains(said, w) {
				return true
			}
		}
		return false
	}
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s: %w", name, err)
	case has("holding the xtables lock"):
		return fmt.Errorf("%s: %w", name, ErrBusy)
	case has("can't open lock file"):
		return fmt.Errorf("%s: %s: %w", name, said, os.ErrPermission)
	case has("you must be root", "Operation not permitted", "Permission denied"):
		return fmt.Errorf("%s: %.200s: %w; %s", name, said, firewall.ErrPower, missingPower())
	case has("unrecognized option", "invalid option", "unknown option"):
		return fmt.Errorf("%s: %.200s: %w", name, said, errOption)
	case has("Table does not exist", "can't initialize", "Cannot initialize"):
		return fmt.Errorf("%s: %.200s: %w", name, said, errTable)
	case has("failed", "No chain/target/match", "does a matching rule exist", "Couldn't load target", "Bad rule"):
		return fmt.Errorf("%s: %.200s: %w", name, said, errLine)
	}
	return fmt.Errorf("%s: %.200s: %w", name, said, err)
}

// tailBuffer keeps the first bytes of what a program complains about.
type tailBuffer struct{ bytes.Buffer }

func (b *tailBuffer) Write(p []byte) (int, error) {
	if room := 4096 - b.Len(); room > 0 {
		b.Buffer.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}
