//go:build !small

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/user"
	"path/filepath"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/config"
	"github.com/tocsin-io/tocsin/console"
	"github.com/tocsin-io/tocsin/fleet"
	"github.com/tocsin-io/tocsin/hub"
	"github.com/tocsin-io/tocsin/internal/clock"
	"github.com/tocsin-io/tocsin/internal/durable"
	"github.com/tocsin-io/tocsin/internal/logkey"
	"github.com/tocsin-io/tocsin/internal/power"
	"github.com/tocsin-io/tocsin/internal/run"
	"github.com/tocsin-io/tocsin/keys"
	"github.com/tocsin-io/tocsin/live"
	"github.com/tocsin-io/tocsin/store"
	"github.com/tocsin-io/tocsin/store/sqlite"
)

// defaultHubConfig is read where it exists and --config does not name another.
const defaultHubConfig = "/etc/tocsin/hub.toml"

// hubFlags are what the command line adds to the hub's configuration file.
type hubFlags struct {
	file    string
	folder  string
	listen  string
	check   bool
	sample  bool
	verbose bool
	json    bool
}

func hubCommand() *cobra.Command {
	var f hubFlags
	cmd := &cobra.Command{
		Use:   "hub",
		Short: "Run the hub: what one device sees, every device drops",
		Long: "The hub takes what devices saw, decides for one owner or for all, and sends signed rules\n" +
			"to every kernel. On an empty folder it makes its own database, certificates and keys.",
		Example: "  tocsin hub\n  tocsin hub --folder /srv/tocsin --listen :7443\n" +
			"  tocsin hub --print-config > /etc/tocsin/hub.toml",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd) },
	}
	f.flags(cmd, "config")
	cmd.Flags().BoolVar(&f.check, "check", false, "check the configuration and end")
	cmd.Flags().BoolVar(&f.sample, "print-config", false, "print a sample configuration and end")
	cmd.Flags().BoolVarP(&f.verbose, "verbose", "v", false, "tell more")
	cmd.Flags().BoolVar(&f.json, "json", false, "log as JSON")
	cmd.AddCommand(hubSubcommands()...)
	return cmd
}

// flags adds the flags of a hub; file names the one for its configuration, which
// beside a guard's is another.
func (f *hubFlags) flags(cmd *cobra.Command, file string) {
	cmd.Flags().StringVar(&f.file, file, "", "the hub's configuration file (default "+defaultHubConfig+", if it exists)")
	cmd.Flags().StringVar(&f.folder, "folder", "", "folder of the hub's database and keys (default "+config.DefaultHub().Folder+")")
	cmd.Flags().StringVar(&f.listen, "listen", "", "address that devices connect to (default "+config.DefaultHub().Listen+")")
}

func (f *hubFlags) run(cmd *cobra.Command) error {
	if f.sample {
		_, err := fmt.Fprint(cmd.OutOrStdout(), config.SampleHub())
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
	g := guardFlags{verbose: f.verbose, json: f.json}
	log := g.logger(cmd)
	if err := becomeHub(cfg); err != nil {
		return err
	}
	ready := make(chan struct{})
	h, err := openHub(cmd.Context(), nil, cfg, log, func() { close(ready) })
	if err != nil {
		return err
	}
	defer h.close()
	parts := []run.Part{
		{Name: "hub", Run: h.hub.Run},
		{Name: "systemd", Run: func(ctx context.Context) error { return notify(ctx, ready, h.alive, log) }},
		{Name: "greeting", Run: func(ctx context.Context) error { return h.greet(ctx, cmd, ready) }},
	}
	return run.All(cmd.Context(), log, append(parts, h.beside(cfg)...)...)
}

// load reads the configuration and what the flags add.
func (f *hubFlags) load() (config.Hub, error) {
	path, b, err := readConfig(f.file, defaultHubConfig)
	if err != nil {
		return config.Hub{}, err
	}
	cfg, err := config.ParseHub(b)
	if err != nil {
		return cfg, fmt.Errorf("%s:\n%w", path, err)
	}
	if f.folder != "" {
		cfg.Folder = f.folder
	}
	if f.listen != "" {
		cfg.Listen = f.listen
	}
	if cfg.Socket == "" {
		cfg.Socket = filepath.Join(cfg.Folder, "hub.sock")
	}
	return cfg, nil
}

// becomeHub gives up what root has: a hub needs nothing of it.
func becomeHub(cfg config.Hub) error {
	if os.Geteuid() != 0 {
		return nil
	}
	name := cfg.User
	if _, err := user.Lookup(ownUser); name == "" && err == nil {
		name = ownUser
	}
	return power.Drop(name, nil, hubFolders(cfg)...)
}

// hubFolders are those that must be the hub's own. What root restored from a
// backup is root's at first.
func hubFolders(cfg config.Hub) []string {
	list := []string{cfg.Folder}
	if folder := filepath.Join(cfg.Folder, "keys"); isFolder(folder) {
		list = append(list, folder)
	}
	return list
}

func isFolder(path string) bool {
	info, err := os.Lstat(path)
	return err == nil && info.IsDir()
}

// A running hub, with what it was opened with.
type running struct {
	hub      *hub.Hub
	registry *prometheus.Registry
	close    func()
	fresh    bool // nobody is enrolled yet
	cfg      config.Hub
	port     uint16 // that it listens on
	answers  answering
	live     *live.Stream // what consoles hear
	console  *console.Part
}

// openHub opens or makes everything a hub needs in its folder. Its clock is the
// wall clock unless it is a demo's.
func openHub(ctx context.Context, clk *clock.Clock, cfg config.Hub, log *slog.Logger, ready func(), tune ...func(*hub.Deps)) (r *running, err error) {
	var opened []func() error
	shut := func() {
		for i := len(opened) - 1; i >= 0; i-- {
			if err := opened[i](); err != nil {
				log.Warn("not closed cleanly", logkey.Err, err)
			}
		}
	}
	defer func() {
		if err != nil {
			shut()
		}
	}()
	pages, err := hubPages()
	if err != nil {
		return nil, err
	}
	db, err := sqlite.Open(ctx, cfg.Folder, clk.Now)
	var held *durable.LockedError
	if errors.As(err, &held) {
		return nil, fmt.Errorf("another hub runs on %s: %w", cfg.Folder, err)
	}
	if err != nil {
		return nil, fmt.Errorf("the hub's database in %s: %w", cfg.Folder, err)
	}
	opened = append(opened, db.Close)
	authority, repository, err := openKeys(filepath.Join(cfg.Folder, "keys"), clk, log)
	if err != nil {
		return nil, err
	}
	port, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("%w: choose another address with --listen or hub.listen", err)
	}
	socket, err := listenSocket(cfg)
	if err != nil {
		return nil, errors.Join(err, port.Close())
	}
	listens := port.Addr().(*net.TCPAddr).AddrPort()
	addresses, names, err := reachedAt(cfg, listens)
	if err != nil {
		return nil, err
	}
	registry := prometheus.NewRegistry()
	console := listenConsole(cfg, log)
	var answers answering
	deps := hub.Deps{
		Store: db, Authority: authority, Keys: repository, Listener: port, Socket: socket, Console: console, Log: log,
		Metrics: registry, Clock: clk, Version: buildVersion(), Ready: ready,
		Incident: func(h *hub.Hub) (api.Incident, error) {
			var err error
			answers, err = openAnswering(cfg, clk, db, h, log)
			return answers.part, err
		},
		Pages:   pages,
		OnClues: func([]store.Clue) { answers.part.Look() },
	}
	for _, f := range tune {
		f(&deps)
	}
	asked, err := openConsole(cfg, clk, db, &deps, log)
	if err != nil {
		return nil, errors.Join(err, port.Close(), socket.Close())
	}
	h, err := hub.New(ctx, hub.Config{
		Folder: cfg.Folder, Fleet: fleet.Config{Quorum: withSaved(ctx, db, cfg, log).Policy, Allow: cfg.Allow}, Addresses: addresses, Names: names,
		Retain: cfg.Retain, Contacts: cfg.Contacts, Mirror: cfg.Mirror, Admin: admins(cfg.Group),
	}, deps)
	if err != nil {
		if console != nil {
			err = errors.Join(err, console.Close())
		}
		return nil, errors.Join(err, port.Close(), socket.Close())
	}
	log.Info("hub", "listen", port.Addr().String(), "addresses", addresses, logkey.Path, cfg.Folder, "devices", h.Devices())
	return &running{hub: h, registry: registry, close: shut, fresh: h.Devices() == 0, cfg: cfg, port: listens.Port(), answers: answers, live: deps.Live, console: asked}, nil
}

// reachedAt returns where devices reach a hub, and the names for its certificate.
func reachedAt(cfg config.Hub, listens netip.AddrPort) (addresses, names []string, err error) {
	addresses, names, err = hub.Addresses(listens)
	for _, a := range cfg.Addresses {
		if host, _, err := net.SplitHostPort(a); err == nil {
			names = append(names, host)
		}
	}
	if len(cfg.Addresses) > 0 {
		addresses = cfg.Addresses
	}
	return addresses, names, err
}

// openKeys opens the hub's keys, or makes them at the first start. Keys that are
// there in part are damage, not a first start.
func openKeys(folder string, clk *clock.Clock, log *slog.Logger) (*keys.Authority, *keys.Repository, error) {
	authority, err := keys.OpenAuthority(folder)
	first := errors.Is(err, fs.ErrNotExist)
	if err != nil && !first {
		return nil, nil, fmt.Errorf("the hub's authority: %w", err)
	}
	repository, err := keys.OpenRepository(folder)
	if errors.Is(err, fs.ErrNotExist) && first {
		repository, err = keys.CreateRepository(folder, clk.Now())
		log.Warn("keys made and kept on this machine: whoever reads the folder can sign rules; tocsin keys offline moves the root to keys kept elsewhere", logkey.Path, folder)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("the hub's signing keys: %w: restore them from a backup", err)
	}
	if first { // last: what breaks off before begins again at the next start
		make := keys.CreateAuthority
		if clk.Invented() {
			make = func(folder string) (*keys.Authority, error) { return keys.CreateInvented(folder, clk.Now()) }
		}
		if authority, err = make(folder); err != nil {
			return nil, nil, fmt.Errorf("the hub's authority: %w", err)
		}
	}
	return authority, repository, nil
}

// listenSocket opens the control socket. One that a killed hub left behind is
// replaced: the folder's lock says that no other hub runs.
func listenSocket(cfg config.Hub) (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(cfg.Socket), 0o755); err != nil {
		return nil, err
	}
	if err := os.Remove(cfg.Socket); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	l, err := net.Listen("unix", cfg.Socket)
	if err != nil {
		return nil, fmt.Errorf("control socket: %w: name another with hub.socket", err)
	}
	err = os.Chmod(cfg.Socket, 0o660)
	if gid, ok := groupID(cfg.Group); ok && err == nil {
		err = os.Chown(cfg.Socket, -1, gid)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("control socket: %w", err), l.Close())
	}
	return l, nil
}

func groupID(name string) (int, bool) {
	if name == "" {
		return 0, false
	}
	g, err := user.LookupGroup(name)
	if err != nil {
		return 0, false
	}
	id, err := strconv.Atoi(g.Gid)
	return id, err == nil
}

// admins says who may do everything over the socket: root, the hub's own user,
// and members of the group.
func admins(group string) func(uid uint32) bool {
	return func(uid uint32) bool {
		if uid == 0 || int(uid) == os.Geteuid() {
			return true
		}
		gid, ok := groupID(group)
		u, err := user.LookupId(strconv.FormatUint(uint64(uid), 10))
		if !ok || err != nil {
			return false
		}
		ids, err := u.GroupIds()
		if err != nil {
			return false
		}
		for _, id := range ids {
			if id == strconv.Itoa(gid) {
				return true
			}
		}
		return false
	}
}

// firstOwner is whose devices are, unless somebody says otherwise.
const firstOwner tocsin.OwnerID = "home"

// greet tells a person who starts a first hub what to do next.
func (r *running) greet(ctx context.Context, cmd *cobra.Command, ready <-chan struct{}) error {
	select {
	case <-ready:
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := r.welcome(ctx, cmd.OutOrStdout()); err != nil {
		return err
	}
	if r.fresh && !inJournal() { // a token in a log would outlive its hour
		token, until, err := r.hub.Invite(ctx, firstOwner)
		if err != nil {
			return err
		}
		fmt.Fprintf(cmd.OutOrStdout(), "\nThe hub is ready. To enrol a device of owner %q, run this on it before %s:\n\n  tocsin enroll %s\n\n"+
			"Then start tocsin guard there, anew if it runs. For each further device: tocsin devices add --owner %s\n\n",
			firstOwner, until.Local().Format("15:04"), token, firstOwner)
	}
	<-ctx.Done()
	return ctx.Err()
}

// alive returns once the hub has answered.
func (r *running) alive(ctx context.Context) error { return r.hub.Alive(ctx) }

// beside is what runs besides the hub itself.
func (r *running) beside(cfg config.Hub) []run.Part {
	parts := append(r.answers.parts(), run.Part{Name: "console", Run: r.console.Run})
	return append(parts, r.metrics(cfg)...)
}

// metrics serves Prometheus without a token, where the configuration says so.
func (r *running) metrics(cfg config.Hub) []run.Part {
	if cfg.Metrics == "" {
		return nil
	}
	return []run.Part{{Name: "metrics", Run: func(ctx context.Context) error {
		return serveMetrics(ctx, cfg.Metrics, r.registry)
	}}}
}
