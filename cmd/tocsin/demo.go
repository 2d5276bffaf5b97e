//go:build !small

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/config"
	"github.com/tocsin-io/tocsin/demo"
	"github.com/tocsin-io/tocsin/hub"
	"github.com/tocsin-io/tocsin/internal/run"
)

// demoFlags are those of tocsin demo.
type demoFlags struct {
	seed     uint64
	devices  int
	speed    float64
	firewall string
	listen   string
	headless bool
	json     bool
	noOpen   bool
	verbose  bool
}

func demoCommand() *cobra.Command {
	var f demoFlags
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show an attack, and how it is answered, within two minutes",
		Long: "Demo runs a hub and a fleet of guards that live through an invented incident such as that of\n" +
			"14 October 2023, a hundred times as fast. Open the page that it prints to see it live. As root three\n" +
			"guards use the kernel's firewall, in network namespaces of their own. Nothing leaves this machine,\n" +
			"and nothing is left on it.",
		Example: "  tocsin demo\n  tocsin demo --seed 7\n  tocsin demo --headless --json",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return f.run(cmd) },
	}
	cmd.Flags().Uint64Var(&f.seed, "seed", 1, "which incident: each number invents another one")
	cmd.Flags().IntVar(&f.devices, "devices", demo.DefaultDevices, fmt.Sprintf("devices, from %d to %d", demo.MinDevices, demo.MaxDevices))
	cmd.Flags().Float64Var(&f.speed, "speed", demo.DefaultSpeed, fmt.Sprintf("how many times as fast as it would happen, to %d", demo.MaxSpeed))
	cmd.Flags().StringVar(&f.firewall, "firewall", string(demo.Auto), "auto, kernel, memory, or off: guards decide and block nothing")
	cmd.Flags().StringVar(&f.listen, "listen", "", "address of the console, of this machine only (default "+demoListen+", or a free port)")
	cmd.Flags().BoolVar(&f.headless, "headless", false, "no console, and end with the story")
	cmd.Flags().BoolVar(&f.json, "json", false, "print JSON: a line for each stage, and a summary")
	cmd.Flags().BoolVar(&f.noOpen, "no-open", false, "open no browser")
	cmd.Flags().BoolVarP(&f.verbose, "verbose", "v", false, "tell what hub and guards log")
	cmd.AddCommand(demoDeviceCommand())
	return cmd
}

// demoListen is where the console is unless people say otherwise.
const demoListen = "127.0.0.1:7481"

// demoConsole returns that address, or any where it is taken.
func demoConsole() string {
	l, err := net.Listen("tcp", demoListen)
	if err != nil {
		return "127.0.0.1:0"
	}
	_ = l.Close() // the hub opens it anew
	return demoListen
}

// mostHeadless bounds a story that nobody looks at.
const mostHeadless = 3 * time.Minute

func (f *demoFlags) run(cmd *cobra.Command) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	log := slog.New(slog.DiscardHandler)
	if f.verbose {
		log = slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil))
	}
	ctx, quit := context.WithCancel(cmd.Context())
	defer quit()
	s := &demoScreen{f: f, out: cmd.OutOrStdout(), quit: quit}
	c := demo.Config{
		Seed: f.seed, Devices: f.devices, Speed: f.speed, Firewall: demo.Firewall(f.firewall), Listen: f.listen, Stay: true, Version: buildVersion(),
		Device: []string{program, "demo", demoDevice}, Log: log, Open: openDemoHub,
		Ready: s.ready, Tell: s.tell, Note: s.note, Over: s.over,
	}
	if f.headless {
		c.Listen, c.Stay, c.Most = "", false, mostHeadless
	}
	if _, err := c.Check(); err != nil {
		return mistake("%v", err)
	}
	if c.Listen == "" && !f.headless {
		c.Listen = demoConsole()
	}
	defer s.keys(ctx, cmd.InOrStdin())()
	s.begin()
	sum, err := demo.Run(ctx, c)
	switch {
	case s.done != nil && ctx.Err() != nil: // people looked as long as they liked
		sum = *s.done
	case err != nil && ctx.Err() != nil:
		return errors.New("stopped before the story was over; nothing is left behind")
	case err != nil:
		return err
	}
	if !sum.OK {
		return fmt.Errorf("the story did not come to: %s", strings.Join(sum.Missing, ", "))
	}
	return nil
}

// A demoScreen is where a demo is told: a terminal, or lines of JSON.
type demoScreen struct {
	f    *demoFlags
	out  io.Writer
	quit context.CancelFunc

	mu   sync.Mutex // guards the fields below
	show *demo.Show // the one that goes on
	done *api.DemoSummary
}

func (s *demoScreen) begin() {
	if s.f.json {
		return
	}
	fmt.Fprintf(s.out, "A hub and a fleet of %d devices live through an invented incident, %g times as fast. It begins in some seconds.\n", s.f.devices, s.f.speed)
}

// ready tells where the console is, and opens it.
func (s *demoScreen) ready(show *demo.Show) {
	s.mu.Lock()
	again := s.show != nil
	s.show, s.done = show, nil
	s.mu.Unlock()
	page := show.Console()
	if s.f.json || page == "" {
		return
	}
	name, password := show.Account()
	fmt.Fprintf(s.out, "\nConsole   %s/console/\nSign in   %s, with the password %s\n", page, name, password)
	if s.interactive() {
		fmt.Fprintln(s.out, "Keys      space pauses, n begins anew with the next seed, q quits")
	}
	fmt.Fprintln(s.out)
	if !again && !s.f.noOpen && s.interactive() && os.Geteuid() != 0 {
		openBrowser(page + "/console/")
	}
}

// tell prints a caption.
func (s *demoScreen) tell(one api.DemoStory) {
	if s.f.json {
		_ = json.NewEncoder(s.out).Encode(one) // whoever read it has left
		return
	}
	fmt.Fprintf(s.out, "%s  +%4.1f s  %s\n", one.Clock, one.Elapsed, one.EN)
}

// note tells what else people should know.
func (s *demoScreen) note(text string) {
	if !s.f.json {
		fmt.Fprintln(s.out, clean(text))
	}
}

// over prints the summary.
func (s *demoScreen) over(sum api.DemoSummary) {
	s.mu.Lock()
	s.done = &sum
	s.mu.Unlock()
	if s.f.json {
		_ = json.NewEncoder(s.out).Encode(sum) // whoever read it has left
		return
	}
	printDemo(s.out, sum)
	if !s.f.headless {
		fmt.Fprintln(s.out, "\nThe console stays open, by its own clock at true speed. Ctrl-C ends it, and nothing is left behind.")
	}
}

// openDemoHub opens the hub of a demo.
func openDemoHub(ctx context.Context, o demo.Opening) (*demo.Hub, error) {
	cfg, err := config.ParseHub(o.Config)
	if err != nil {
		return nil, err
	}
	cfg.Socket = filepath.Join(o.Folder, "hub.sock")
	r, err := openHub(ctx, o.Clock, cfg, o.Log, func() {}, func(d *hub.Deps) { d.OnApplied, d.Demo = o.OnApplied, o.Demo })
	if err != nil {
		return nil, err
	}
	h := &demo.Hub{
		Address: fmt.Sprintf("127.0.0.1:%d", r.port), Socket: cfg.Socket, Live: r.live, Close: r.close,
		Run: func(ctx context.Context) error {
			return run.All(ctx, o.Log, append([]run.Part{{Name: "hub", Run: r.hub.Run}}, r.beside(cfg)...)...)
		},
	}
	switch at := r.hub.Consoles(); {
	case cfg.Console == "":
	case len(at) > 0 && strings.HasPrefix(at[0], "http://"):
		h.Console = at[0]
	default:
		r.close()
		return nil, fmt.Errorf("the console cannot be served at %s: name another address with --listen", cfg.Console)
	}
	return h, nil
}

// demoDevice is the command by which the demo starts a device in a network
// namespace.
const demoDevice = "device"

func demoDeviceCommand() *cobra.Command {
	return &cobra.Command{
		Use: demoDevice, Hidden: true, Args: cobra.NoArgs, Short: "A device of the demo, which starts it",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return demo.Device(cmd.Context(), cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
}
