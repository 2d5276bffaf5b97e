package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"sync"
	"time"

	"github.com/tocsin-io/tocsin/internal/logkey"
)

// A gate is a device's way to the hub: what connects to it reaches the hub from
// the loopback address that stands for the device's network. A device in a network
// namespace of its own, from where this machine's loopback cannot be reached, goes
// through the socket.
type gate struct {
	tcp    net.Listener
	unix   net.Listener
	socket string
	hub    string
	from   netip.Addr
}

// openGate opens the gate of a device whose files are in dir.
func openGate(d *device, hub string) (*gate, error) {
	g := &gate{socket: filepath.Join(d.dir, "gate.sock"), hub: hub, from: d.from}
	var err error
	if g.tcp, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return nil, err
	}
	if g.unix, err = net.Listen("unix", g.socket); err != nil {
		return nil, errors.Join(err, g.tcp.Close())
	}
	return g, nil
}

func (g *gate) address() string { return g.tcp.Addr().String() }
func (g *gate) port() int       { return g.tcp.Addr().(*net.TCPAddr).Port }

// run joins connections to the hub until ctx ends.
func (g *gate) run(ctx context.Context, log *slog.Logger) error {
	dialer := net.Dialer{Timeout: 10 * time.Second, LocalAddr: &net.TCPAddr{IP: g.from.AsSlice()}}
	open := func(ctx context.Context) (net.Conn, error) { return dialer.DialContext(ctx, "tcp", g.hub) }
	var wg sync.WaitGroup
	for _, l := range []net.Listener{g.tcp, g.unix} {
		wg.Go(func() { forward(ctx, l, open, log) })
	}
	wg.Wait()
	return ctx.Err()
}

// forward joins each connection that l accepts with one that open makes, until ctx
// ends.
func forward(ctx context.Context, l net.Listener, open func(context.Context) (net.Conn, error), log *slog.Logger) {
	defer context.AfterFunc(ctx, func() { _ = l.Close() })() // nobody is to come any more
	var wg sync.WaitGroup
	defer wg.Wait()
	for ctx.Err() == nil {
		a, err := l.Accept()
		if err != nil {
			if ctx.Err() == nil {
				log.Error("a device's way to the hub is closed", logkey.Addr, l.Addr().String(), logkey.Err, err)
			}
			return
		}
		wg.Go(func() {
			b, err := open(ctx)
			if err != nil {
				_ = a.Close() // the device tries again
				return
			}
			join(ctx, a, b)
		})
	}
}

// join copies both ways until both sides have ended, or ctx has.
func join(ctx context.Context, a, b net.Conn) {
	shut := sync.OnceFunc(func() { _, _ = a.Close(), b.Close() }) // gone already is as good
	defer shut()
	defer context.AfterFunc(ctx, shut)()
	var wg sync.WaitGroup
	for _, way := range [][2]net.Conn{{a, b}, {b, a}} {
		wg.Go(func() {
			_, err := io.Copy(way[0], way[1])
			half, ok := way[0].(interface{ CloseWrite() error })
			if err != nil || !ok || half.CloseWrite() != nil {
				shut()
			}
		})
	}
	wg.Wait()
}

// until waits for f, and asks it again and again.
func until(ctx context.Context, what string, most time.Duration, f func() bool) error {
	ctx, stop := context.WithTimeoutCause(ctx, most, fmt.Errorf("waited in vain for %s, for %v", what, most))
	defer stop()
	t := time.NewTicker(20 * time.Millisecond)
	defer t.Stop()
	for !f() {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-t.C:
		}
	}
	return nil
}
