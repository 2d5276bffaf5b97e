package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/authlog"
	"github.com/tocsin-io/tocsin/config"
	"github.com/tocsin-io/tocsin/guard"
	"github.com/tocsin-io/tocsin/internal/logkey"
	"github.com/tocsin-io/tocsin/internal/run"
	"github.com/tocsin-io/tocsin/operator"
)

// defaultConfig is read where it exists and --config does not name another.
const defaultConfig = "/etc/tocsin/guard.toml"

// guardFlags are what the command line adds to the configuration file.
type guardFlags struct {
	file    string
	dryRun  bool
	since   string
	check   bool
	sample  bool
	verbose bool
	json    bool
}

func guardCommand() *cobra.Command {
	var f guardFlags
	cmd := &cobra.Command{
		Use:   "guard",
		Short: "Read the logs of this machine and block who guesses passwords",
		Long: "Guard reads log-ins from the journal and the usual log files, recognises who guesses\n" +
			"passwords and blocks them in the kernel. It needs no configuration.",
		Example: "  tocsin guard --dry-run          # see what it would do\n" +
			"  tocsin guard --since 2026-11-01 # learn from the rotated logs, too\n" +
			"  tocsin guard --print-config > /etc/tocsin/guard.toml",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd) },
	}
	cmd.Flags().StringVar(&f.file, "config", "", "configuration file (default "+defaultConfig+", if it exists)")
	cmd.Flags().BoolVar(&f.dryRun, "dry-run", false, "decide and tell, but block nothing")
	cmd.Flags().StringVar(&f.since, "since", "", "read logs back from this date at the first start (default 7 days ago)")
	cmd.Flags().BoolVar(&f.check, "check", false, "check the configuration and end")
	cmd.Flags().BoolVar(&f.sample, "print-config", false, "print a sample configuration and end")
	cmd.Flags().BoolVarP(&f.verbose, "verbose", "v", false, "tell every attempt")
	cmd.Flags().BoolVar(&f.json, "json", false, "log as JSON")
	return cmd
}

func (f *guardFlags) run(cmd *cobra.Command) error {
	if f.sample {
		_, err := fmt.Fprint(cmd.OutOrStdout(), config.Sample())
		return err
	}
	cfg, err := f.load()
	if err != nil {
		return err
	}
	if f.check {
		_, err := fmt.Fprintln(cmd.OutOrStdout(), "The configuration is good.")
		return err
	}
	since, err := parseSince(f.since, time.Now())
	if err != nil {
		return err
	}
	log := f.logger(cmd)
	debug.SetGCPercent(guardGCPercent)
	if err := dropPower(cfg, log); err != nil {
		return err
	}
	return runGuard(cmd.Context(), f, cfg, since, log)
}

// readConfig reads the file that was named, or the usual one if it exists.
func readConfig(named, usual string) (path string, b []byte, err error) {
	path = named
	if path == "" {
		path = usual
	}
	b, err = os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) && named == "" {
		b, err = nil, nil
	}
	if err != nil {
		err = fmt.Errorf("configuration: %w", err)
	}
	return path, b, err
}

// load reads the configuration and what the flags add.
func (f *guardFlags) load() (config.Config, error) {
	path, b, err := readConfig(f.file, defaultConfig)
	if err != nil {
		return config.Config{}, err
	}
	cfg, err := config.Parse(b)
	if err = errors.Join(err, unknownServices(cfg)); err != nil {
		return cfg, fmt.Errorf("%s:\n%w", path, err)
	}
	cfg.HubFolder = filepath.Join(cfg.State, "hub")
	if cfg.DryRun = cfg.DryRun || f.dryRun; cfg.DryRun {
		// What is only imagined must not be enforced at the next real start.
		cfg.State = filepath.Join(cfg.State, "dry-run")
	}
	if cfg.Device == "" {
		if cfg.Device, err = os.Hostname(); err != nil {
			return cfg, fmt.Errorf("name of this device: %w: set device in the configuration", err)
		}
	}
	return cfg, nil
}

// unknownServices finds what the configuration calls a service and is none.
func unknownServices(cfg config.Config) error {
	var errs []error
	check := func(where, name string) {
		if _, err := authlog.Some(tocsin.Service(name)); err != nil {
			errs = append(errs, fmt.Errorf("%s: service %q is not known: see tocsin services", where, name))
		}
	}
	for _, name := range cfg.Services {
		check("read.services", name)
	}
	for _, l := range cfg.Logs {
		if l.Service != "" {
			check("[[log]] "+l.Path, l.Service)
		}
	}
	return errors.Join(errs...)
}

func (f *guardFlags) logger(cmd *cobra.Command) *slog.Logger {
	level := slog.LevelInfo
	if f.verbose {
		level = slog.LevelDebug
	}
	opts := &slog.HandlerOptions{Level: level}
	w := cmd.ErrOrStderr()
	if f.json {
		return slog.New(slog.NewJSONHandler(w, opts))
	}
	if os.Getenv("JOURNAL_STREAM") != "" { // the journal stamps every line itself
		opts.ReplaceAttr = func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) == 0 && a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}
	}
	return slog.New(slog.NewTextHandler(w, opts))
}

// readBack is how far a first start reads logs back.
const readBack = 7 * 24 * time.Hour

// parseSince reads a date as people write it.
func parseSince(s string, now time.Time) (time.Time, error) {
	if s == "" {
		return now.Add(-readBack), nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02"} {
		if t, err := time.ParseInLocation(layout, s, time.Local); err == nil {
			return t, nil
		}
	}
	if d, err := config.ParseDuration(s); err == nil && d > 0 {
		return now.Add(-d), nil
	}
	return time.Time{}, mistake("--since %q: write a date such as 2026-11-01, or how long ago, such as 7d", s)
}

// runGuard wires everything and runs until ctx ends. Blocked sources may open
// the ports in spare besides those of the configuration.
func runGuard(ctx context.Context, f *guardFlags, cfg config.Config, since time.Time, log *slog.Logger, spare ...uint16) error {
	line, err := openUplink(&cfg, log)
	if err != nil {
		return err
	}
	fw, err := openFirewall(cfg, log, spare)
	if err != nil {
		return err
	}
	defer fw.close()
	in := &inputs{log: log, since: since}
	gcfg, guardInputs, matcher, err := in.guard(cfg)
	if err != nil {
		return err
	}
	facts := newFacts(cfg, log)
	gcfg.Facts = facts.read()
	gcfg.Device = line.device(gcfg.Device)
	clues, contacts, err := evidence(cfg, gcfg.Device, log)
	if err != nil {
		return err
	}
	registry := prometheus.NewRegistry()
	ready := make(chan struct{})
	g, err := guard.New(ctx, gcfg, guard.Deps{
		Filter: fw.filter, Backend: fw.name, Inputs: guardInputs, Matcher: matcher, Log: log, Metrics: registry,
		Now: time.Now, Zone: time.Local, Version: buildVersion(), User: userName(), Power: fw.power,
		Ready: func() { close(ready) }, Hub: line.hub(), HubStatus: line.status(),
		Clues: clues, Contacts: contacts,
	})
	if err != nil {
		return err
	}
	server, err := operator.Listen(cfg.Socket, cfg.Group, log)
	if err != nil {
		return err
	}
	parts := []run.Part{
		{Name: "guard", Run: g.Run},
		{Name: "operator", Run: func(ctx context.Context) error { return server.Run(ctx, g) }},
		{Name: "facts", Run: func(ctx context.Context) error { return facts.run(ctx, g) }},
		{Name: "signals", Run: func(ctx context.Context) error { return f.reloads(ctx, reloaded{g, in, facts, cfg}, log) }},
		{Name: "settle", Run: func(ctx context.Context) error { return settle(ctx, ready, log) }},
		{Name: "systemd", Run: func(ctx context.Context) error { return notify(ctx, ready, g.Alive, log) }},
	}
	parts = append(parts, line.parts(g)...)
	if cfg.Metrics != "" {
		parts = append(parts, run.Part{Name: "metrics", Run: func(ctx context.Context) error {
			return serveMetrics(ctx, cfg.Metrics, registry)
		}})
	}
	log.Info("guarding", logkey.Backend, fw.name, logkey.Device, cfg.Device, logkey.User, userName(), "dry_run", cfg.DryRun)
	return run.All(ctx, log, parts...)
}

// reloads takes the configuration anew at each SIGHUP. A file with mistakes is
// told and changes nothing.
func (f *guardFlags) reloads(ctx context.Context, r reloaded, log *slog.Logger) error {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-hup:
		}
		told, err := daemon.SdNotify(false, daemon.SdNotifyReloading+"\nMONOTONIC_USEC="+monotonic())
		log.Debug("reloading", "systemd", told, logkey.Err, err)
		cfg, err := f.load()
		if err == nil {
			err = r.take(ctx, cfg)
		}
		if err != nil {
			log.Error("configuration not taken: the old one stays in force", logkey.Err, err)
		} else {
			log.Info("configuration taken")
		}
		if late := needRestart(r.cfg, cfg); err == nil && len(late) > 0 {
			log.Warn("changed, but in force only after a restart of the guard", "settings", late)
		}
		if _, err := daemon.SdNotify(false, daemon.SdNotifyReady); err != nil {
			log.Debug("systemd not told", logkey.Err, err)
		}
	}
}

// reloaded is what takes a changed configuration.
type reloaded struct {
	guard  *guard.Guard
	inputs *inputs
	facts  *facts
	cfg    config.Config // of the start
}

func (r reloaded) take(ctx context.Context, cfg config.Config) error {
	gcfg, guardInputs, _, err := r.inputs.guard(cfg)
	if err != nil {
		return err
	}
	if err := r.guard.Reload(ctx, gcfg, guardInputs); err != nil {
		return err
	}
	r.facts.take(cfg)
	return nil
}

// needRestart names the settings that differ and that a reload does not change.
func needRestart(old, now config.Config) (names []string) {
	for _, one := range []struct {
		name string
		same bool
	}{
		{"guard.state", old.State == now.State}, {"guard.socket", old.Socket == now.Socket},
		{"guard.user", old.User == now.User}, {"guard.group", old.Group == now.Group},
		{"guard.metrics", old.Metrics == now.Metrics}, {"guard.device", old.Device == now.Device},
		{"guard.dry_run", old.DryRun == now.DryRun}, {"firewall.backend", old.Backend == now.Backend},
		{"firewall.table", old.Table == now.Table}, {"firewall.sample", old.Sample == now.Sample},
		{"firewall.spare_ports", slices.Equal(old.Spare, now.Spare)},
		{"firewall.private", old.Private == now.Private}, {"firewall.max_blocks", old.Limits == now.Limits},
		{"hub.mirror", old.Mirror == now.Mirror},
		{"read.services", slices.Equal(old.Services, now.Services)},
		{"read.changes", old.Changes == now.Changes && old.Root == now.Root}, {"read.flows", old.Flows == now.Flows},
	} {
		if !one.same {
			names = append(names, one.name)
		}
	}
	return names
}

// notify tells systemd when the guard is ready, and, where systemd asks for it,
// that it is alive: not the process, but what takes lines and orders.
func notify(ctx context.Context, ready <-chan struct{}, alive func(context.Context) error, log *slog.Logger) error {
	select {
	case <-ready:
	case <-ctx.Done():
		return ctx.Err()
	}
	if _, err := daemon.SdNotify(false, daemon.SdNotifyReady); err != nil {
		log.Warn("systemd not told that the guard is ready", logkey.Err, err)
	}
	every, err := daemon.SdWatchdogEnabled(false)
	if err != nil || every == 0 {
		<-ctx.Done()
		_, err := daemon.SdNotify(false, daemon.SdNotifyStopping)
		return errors.Join(ctx.Err(), err)
	}
	tick := time.NewTicker(max(every/2, time.Second))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			_, err := daemon.SdNotify(false, daemon.SdNotifyStopping)
			return errors.Join(ctx.Err(), err)
		case <-tick.C:
			if err := within(ctx, every, alive); err != nil {
				log.Error("the guard takes in nothing: systemd will start it anew", logkey.Err, err)
				continue
			}
			if _, err := daemon.SdNotify(false, daemon.SdNotifyWatchdog); err != nil {
				log.Debug("systemd not told that the guard lives", logkey.Err, err)
			}
		}
	}
}

// within calls f with so much time.
func within(ctx context.Context, d time.Duration, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	return f(ctx)
}

// monotonic returns CLOCK_MONOTONIC in microseconds, as systemd wants it.
func monotonic() string {
	return strconv.FormatInt(monotonicNow().Microseconds(), 10)
}

// folders are what the guard's user must own.
func folders(cfg config.Config) []string {
	return []string{cfg.State, filepath.Dir(cfg.Socket)}
}

// guardConfig translates the file for the guard.
func guardConfig(cfg config.Config) guard.Config {
	return guard.Config{
		State: cfg.State, Device: tocsin.DeviceID(cfg.Device), Policy: cfg.Detect, Limits: cfg.Limits,
		Private: cfg.Private, DryRun: cfg.DryRun, Protect: cfg.Allow, Proxies: cfg.Proxies,
	}
}
