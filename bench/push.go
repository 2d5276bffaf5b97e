package main

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/feed"
	"github.com/tocsin-io/tocsin/feed/fanout"
	"github.com/tocsin-io/tocsin/ruleset"
)

const (
	pushDevices = 9000
	pushRounds  = 15
	pushSize    = 500 // bytes of a frame
)

// measurePush holds devices in another process, first by bare TLS, then by the
// feed, and sends them frames. Only this process, the hub, is measured.
func measurePush(ctx context.Context, _ *env) (section, error) {
	n := min(pushDevices, fanout.Capacity())
	shop, err := newPushShop()
	if err != nil {
		return section{}, err
	}
	bare, err := pushRun(ctx, shop, n, false)
	if err != nil {
		return section{}, fmt.Errorf("bare TLS: %w", err)
	}
	full, err := pushRun(ctx, shop, n, true)
	if err != nil {
		return section{}, fmt.Errorf("feed: %w", err)
	}
	cpu := float64(full.cpu.best()) / float64(bare.cpu.best())
	memory := float64(full.memory) / float64(bare.memory)
	known := "firewall-push-store: last of 10,000 after 0.11..0.26 s; 1.15 ×; 8.8 KB; 7.3 s"
	title := fmt.Sprintf("%d guards connected (mutual TLS), ", n)
	return section{
		rows: []row{
			{title + "one signed frame of 500 bytes: publish → last has verified it", "≤ 0.5 s",
				fmt.Sprintf("%v (bare TLS %v)", full.last, bare.last), judge(n == pushDevices && full.last.at(0.5) <= 500*time.Millisecond), known},
			{"hub's processor time for it", "≤ 1.3 × a raw TLS write loop",
				fmt.Sprintf("%.2f × (%v; raw %v)", cpu, full.cpu, bare.cpu), judge(cpu <= 1.3), ""},
			{"hub's memory for each of them", "≤ 1.3 × a bare mutual tls.Conn",
				fmt.Sprintf("%.2f × (%d bytes; bare %d)", memory, full.memory, bare.memory), judge(memory <= 1.3), ""},
			{fmt.Sprintf("%d guards reconnecting at once, none refused for good", n), "all served ≤ 20 s",
				fmt.Sprintf("%.1f s, %d tries (bare TLS %.1f s, %d tries)", full.storm.Seconds(), full.tries, bare.storm.Seconds(), bare.tries),
				judge(n == pushDevices && full.storm <= 20*time.Second), ""},
		},
		commands: []string{"scripts/bench.sh -o - -only push"},
	}, nil
}

// A pushResult is what one way of pushing took.
type pushResult struct {
	cpu    rounds
	last   latencies
	memory int // bytes a connection
	storm  time.Duration
	tries  int
}

// A crowd is the other process.
type crowd struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Scanner
}

// A crowdReport is what the crowd says: one line after each order, and one
// after each frame that all have verified.
type crowdReport struct {
	At    int64  `json:"at"` // UnixNano
	Tries int    `json:"tries"`
	Err   string `json:"err"`
}

func startCrowd(ctx context.Context, o crowdOrder) (*crowd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c := &crowd{cmd: exec.CommandContext(ctx, self, crowdArgument)}
	c.cmd.Stderr = os.Stderr
	out, err := c.cmd.StdoutPipe()
	if err == nil {
		c.in, err = c.cmd.StdinPipe()
	}
	if err == nil {
		err = c.cmd.Start()
	}
	if err != nil {
		return nil, err
	}
	c.out = bufio.NewScanner(out)
	return c, json.NewEncoder(c.in).Encode(o)
}

// hear waits for the next report.
func (c *crowd) hear() (r crowdReport, err error) {
	if !c.out.Scan() {
		return r, errors.Join(c.out.Err(), errors.New("the crowd has gone"))
	}
	if err := json.Unmarshal(c.out.Bytes(), &r); err != nil {
		return r, err
	}
	if r.Err != "" {
		return r, errors.New(r.Err)
	}
	return r, nil
}

func (c *crowd) order(word string) (crowdReport, error) {
	if _, err := fmt.Fprintln(c.in, word); err != nil {
		return crowdReport{}, err
	}
	return c.hear()
}

func (c *crowd) close() {
	_ = c.in.Close() // it ends then
	_ = c.cmd.Wait() // whatever it was, it is over
}

// A pushHub is what holds the connections.
type pushHub interface {
	send(m ruleset.Sealed)
	count() int
	forget() // the crowd has closed all
	stop()
}

func pushRun(ctx context.Context, shop *pushShop, n int, full bool) (r pushResult, err error) {
	shop.reset()
	l, err := net.Listen("tcp", ":0")
	if err != nil {
		return r, err
	}
	before := held()
	var hub pushHub
	if full {
		hub, err = startFeedHub(shop, l)
	} else {
		hub, err = startBareHub(shop, l), nil
	}
	if err != nil {
		return r, err
	}
	defer hub.stop()
	c, err := startCrowd(ctx, shop.order(l.Addr().(*net.TCPAddr).Port, n, full))
	if err != nil {
		return r, err
	}
	defer c.close()
	if _, err := c.order("connect"); err != nil {
		return r, err
	}
	for range pushRounds {
		sealed := shop.next()
		cpu, start := spent(), time.Now()
		hub.send(sealed)
		report, err := c.hear()
		if err != nil {
			return r, err
		}
		r.cpu = append(r.cpu, spent()-cpu)
		r.last = append(r.last, time.Unix(0, report.At).Sub(start))
	}
	left := hub.count() // a try that came too late may be among bare ones
	if r.memory = (held() - before) / max(left, 1); left < n {
		return r, fmt.Errorf("%d of %d connections are left", left, n)
	}
	if _, err := c.order("close"); err != nil {
		return r, err
	}
	hub.forget()
	for hub.count() > 0 && ctx.Err() == nil {
		time.Sleep(10 * time.Millisecond)
	}
	start := time.Now()
	report, err := c.order("connect")
	r.storm, r.tries = time.Unix(0, report.At).Sub(start), report.Tries
	return r, err
}

// held returns what the process holds for good, in bytes.
func held() int {
	runtime.GC()
	runtime.GC() // pools give back at the second
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc + m.StackInuse)
}

// spent returns the processor time of this process.
func spent() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err) // it has no way to fail
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// A bareHub is the limit: TLS connections in a slice, and a loop that writes.
type bareHub struct {
	l  net.Listener
	wg sync.WaitGroup

	mu    sync.Mutex // guards the fields below
	conns map[*tls.Conn]struct{}
	all   []*tls.Conn
}

func startBareHub(shop *pushShop, l net.Listener) *bareHub {
	h := &bareHub{l: l, conns: map[*tls.Conn]struct{}{}}
	config := shop.server()
	h.wg.Go(func() {
		slots := make(chan struct{}, 256) // as the feed
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			slots <- struct{}{}
			go func() {
				defer func() { <-slots }()
				t := tls.Server(c, config)
				if t.Handshake() != nil {
					_ = t.Close() // it comes again
					return
				}
				h.mu.Lock()
				h.conns[t] = struct{}{}
				h.mu.Unlock()
				_, _ = t.Write([]byte{1}) // tells that it is served; a loss shows at the next
			}()
		}
	})
	return h
}

func (h *bareHub) send(m ruleset.Sealed) {
	h.mu.Lock()
	if len(h.all) != len(h.conns) {
		h.all = nil
		for c := range h.conns {
			h.all = append(h.all, c)
		}
	}
	all := h.all
	h.mu.Unlock()
	fanout.Share(all, func(c *tls.Conn) { _, _ = c.Write(m) }) // a loss shows as a frame that not all have
}

func (h *bareHub) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.conns)
}

// forget closes all: nothing here reads, so nothing else would tell.
func (h *bareHub) forget() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for c := range h.conns {
		_ = c.NetConn().Close() // the other end has gone
	}
	clear(h.conns)
}

func (h *bareHub) stop() {
	_ = h.l.Close() // its loop ends
	h.wg.Wait()
	h.forget()
}

// A feedHub is the feed itself.
type feedHub struct {
	*feed.Server
	ref  ruleset.Ref
	end  context.CancelFunc
	done sync.WaitGroup
}

func startFeedHub(shop *pushShop, l net.Listener) (*feedHub, error) {
	s, err := feed.NewServer(feed.Config{Library: shop, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, err
	}
	h := &feedHub{Server: s, ref: shop.ref}
	listener := s.Listen(l, shop.server(), func(c tls.ConnectionState) (tocsin.DeviceID, []ruleset.Ref, error) {
		return tocsin.DeviceID(c.PeerCertificates[0].Subject.CommonName), ruleset.Refs("owner"), nil
	})
	ctx, cancel := context.WithCancel(context.Background())
	h.end = cancel
	h.done.Go(func() { _ = s.Run(ctx) })        // ends with ctx
	h.done.Go(func() { _ = listener.Run(ctx) }) // ends with ctx
	return h, nil
}

func (h *feedHub) send(m ruleset.Sealed) { h.Publish(h.ref, m, false) }

func (h *feedHub) count() (n int) {
	for range h.Connected() {
		n++
	}
	return n
}

func (h *feedHub) forget() {} // it hears of it

func (h *feedHub) stop() { h.end(); h.done.Wait() }

// signer signs as keys does.
type signer ed25519.PrivateKey

func (s signer) public() ed25519.PublicKey { return ed25519.PrivateKey(s).Public().(ed25519.PublicKey) }

// ID implements ruleset.Signer.
func (s signer) ID() ruleset.KeyID { return ruleset.IDOf(s.public()) }

// Sign implements ruleset.Signer.
func (s signer) Sign(message []byte) ([]byte, error) {
	return ed25519.Sign(ed25519.PrivateKey(s), message), nil
}
