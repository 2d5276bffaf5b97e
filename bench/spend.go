package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"time"
)

// A program is one of those compared.
type program struct {
	name   string
	args   []string
	stdin  string // file
	env    []string
	output bool // read what it prints; otherwise it goes to /dev/null
}

// spend runs p and returns the processor time of the whole process, user and
// system, and what it printed.
func (p program) spend(ctx context.Context) (time.Duration, []byte, error) {
	cmd := exec.CommandContext(ctx, p.args[0], p.args[1:]...)
	cmd.Env = append(os.Environ(), p.env...)
	if p.stdin != "" {
		in, err := os.Open(p.stdin)
		if err != nil {
			return 0, nil, err
		}
		defer in.Close()
		cmd.Stdin = in
	}
	var out, errs bytes.Buffer
	if p.output {
		cmd.Stdout = &out
	}
	cmd.Stderr = &errs
	if err := cmd.Run(); err != nil {
		return 0, nil, fmt.Errorf("%s: %w: %s", p.name, err, bytes.TrimSpace(errs.Bytes()))
	}
	return cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), out.Bytes(), nil
}

// print runs p once more and returns what it prints, whatever it costs.
func (p program) print(ctx context.Context) ([]byte, error) {
	p.output = true
	_, out, err := p.spend(ctx)
	return out, err
}

// there reports whether the program is installed.
func (p program) there() bool {
	_, err := exec.LookPath(p.args[0])
	return err == nil
}
