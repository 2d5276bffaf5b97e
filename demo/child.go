package demo

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tocsin-io/tocsin/firewall/nft"
	"github.com/tocsin-io/tocsin/internal/clock"
	"github.com/tocsin-io/tocsin/internal/logkey"
)

// A request is what a device's process is told after its duty, one a line.
type request struct {
	Clock *clock.State `json:"clock,omitempty"`
	Holds netip.Prefix `json:"holds,omitzero"` // ask the kernel whether it blocks this
}

// An answer is what a device's process says, one a line.
type answer struct {
	Ready    bool         `json:"ready,omitempty"`
	Error    string       `json:"error,omitempty"`
	Enforced netip.Prefix `json:"enforced,omitzero"`
	At       time.Time    `json:"at,omitzero"` // by the wall clock
	Asked    netip.Prefix `json:"asked,omitzero"`
	Held     bool         `json:"held,omitempty"`
}

// Device runs the guard of one device in a network namespace of its own, which
// the process must have been started in, until in ends: the other side of what the
// demo starts. It enforces by the kernel of that namespace.
func Device(ctx context.Context, in io.Reader, out, logs io.Writer) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<20)
	var d duty
	if !lines.Scan() || json.Unmarshal(lines.Bytes(), &d) != nil || d.Dir == "" {
		return errors.New("this command is for tocsin demo, which starts it: run tocsin demo")
	}
	say := teller(out)
	err := d.inNamespace(ctx, lines, say, slog.New(slog.NewTextHandler(logs, nil)))
	if err != nil && ctx.Err() == nil {
		say(answer{Error: err.Error()})
	}
	return err
}

// teller returns a function that writes one line.
func teller(out io.Writer) func(answer) {
	var mu sync.Mutex
	enc := json.NewEncoder(out)
	return func(a answer) {
		mu.Lock()
		defer mu.Unlock()
		_ = enc.Encode(a) // nobody listens any more: the end of in tells
	}
}

func (d duty) inNamespace(ctx context.Context, lines *bufio.Scanner, say func(answer), log *slog.Logger) error {
	alone, err := isAlone()
	if err == nil && !alone {
		err = errors.New("the device is in the machine's own network namespace, whose firewall is not touched: run tocsin demo")
	}
	if err := errors.Join(err, raise("lo")); err != nil {
		return err
	}
	clk := clock.New(d.Clock)
	filter, err := nft.Open(nft.Options{Log: log})
	if err != nil {
		return fmt.Errorf("the kernel's firewall: %w", err)
	}
	defer filter.Close() // the namespace goes, too
	hub, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", d.Port))
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	pace := newPaced(filter, clk)
	go forward(ctx, hub, func(ctx context.Context) (net.Conn, error) {
		return (&net.Dialer{Timeout: 10 * time.Second}).DialContext(ctx, "unix", d.Gate)
	}, log)
	go func() {
		defer stop()
		for lines.Scan() {
			var r request
			if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
				log.Error("not understood", logkey.Err, err)
				return
			}
			if r.Clock != nil {
				clk.Set(*r.Clock)
				if err := pace.again(ctx); err != nil && ctx.Err() == nil {
					log.Error("rules do not follow the clock", logkey.Err, err)
				}
			}
			if r.Holds.IsValid() {
				held, err := filter.Holds(ctx, r.Holds)
				say(answer{Asked: r.Holds, Held: held && err == nil})
			}
		}
	}()
	say(answer{Ready: true})
	return d.run(ctx, clk, &told{pace, func(p netip.Prefix, at time.Time) { say(answer{Enforced: p, At: at}) }}, "nft", log)
}

// isAlone reports whether nothing is up in this network namespace, not even its
// loopback: the machine's own must never be mistaken for one made for a device.
func isAlone() (bool, error) {
	links, err := net.Interfaces()
	if err != nil {
		return false, err
	}
	for _, l := range links {
		if l.Flags&net.FlagUp != 0 {
			return false, nil
		}
	}
	return true, nil
}

// raise brings a link up.
func raise(name string) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd) // it only served the two calls
	r, err := unix.NewIfreq(name)
	if err != nil {
		return err
	}
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFFLAGS, r); err != nil {
		return fmt.Errorf("link %s: %w", name, err)
	}
	r.SetUint16(r.Uint16() | unix.IFF_UP)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, r); err != nil {
		return fmt.Errorf("link %s: %w", name, err)
	}
	return nil
}
