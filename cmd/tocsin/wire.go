package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/authlog"
	"github.com/tocsin-io/tocsin/config"
	"github.com/tocsin-io/tocsin/firewall"
	"github.com/tocsin-io/tocsin/firewall/iptables"
	"github.com/tocsin-io/tocsin/firewall/memory"
	"github.com/tocsin-io/tocsin/firewall/nft"
	"github.com/tocsin-io/tocsin/guard"
	"github.com/tocsin-io/tocsin/internal/logkey"
	"github.com/tocsin-io/tocsin/internal/power"
	"github.com/tocsin-io/tocsin/logsource"
	"github.com/tocsin-io/tocsin/logsource/file"
	"github.com/tocsin-io/tocsin/logsource/journal"
)

// A wall is the firewall that was opened.
type wall struct {
	filter firewall.Filter
	name   string
	power  []string
	close  func() error
}

// openFirewall opens the back end that the configuration names, or the best that
// this kernel has. Blocked sources may open the ports in spare, too.
func openFirewall(cfg config.Config, log *slog.Logger, spare []uint16) (*wall, error) {
	if cfg.DryRun || cfg.Backend == "memory" {
		return &wall{memory.New(time.Now), "memory (nothing is blocked)", powers(), func() error { return nil }}, nil
	}
	spare = slices.Concat(cfg.Spare, spare)
	slices.Sort(spare)
	spare = slices.Compact(spare) // a port named twice has one limit
	var errs []error
	if cfg.Backend != "iptables" {
		f, err := nft.Open(nft.Options{Table: cfg.Table, SampleRate: uint64(cfg.Sample), Spare: spare, Log: log})
		if err == nil {
			// Only the programs of iptables need more.
			err := power.Drop("", []power.Capability{power.NetAdmin, power.DACReadSearch})
			return &wall{f, "nft", powers(), f.Close}, err
		}
		if cfg.Backend == "nft" || !errors.Is(err, firewall.ErrUnsupported) {
			return nil, fmt.Errorf("firewall: %w", err)
		}
		errs = append(errs, err)
	}
	f, err := iptables.Open(iptables.Options{Chain: chainName(cfg.Table), Spare: spare, Log: log})
	if err == nil {
		return &wall{f, "iptables", powers(), f.Close}, nil
	}
	errs = append(errs, err)
	return nil, fmt.Errorf("no firewall can be used: %w: run with --dry-run to see what would be blocked", errors.Join(errs...))
}

// chainName makes the word that the names of the chains start with.
func chainName(table string) string {
	const longest = 8
	name := strings.ToUpper(table)
	return name[:min(len(name), longest)]
}

// inputs makes the list of logs that a configuration asks for.
type inputs struct {
	log   *slog.Logger
	since time.Time
}

// guard translates a configuration, its logs included.
func (in *inputs) guard(cfg config.Config) (guard.Config, []guard.Input, *authlog.Matcher, error) {
	gcfg := guardConfig(cfg)
	matcher := authlog.Default()
	if len(cfg.Services) > 0 {
		m, err := matcherOf(cfg.Services)
		if err != nil {
			return gcfg, nil, nil, err
		}
		matcher = m
	}
	var list []guard.Input
	journaled, err := in.hasJournal(cfg.Journal)
	if err != nil {
		return gcfg, nil, nil, err
	}
	if journaled {
		list = append(list, in.journal(matcher))
	}
	named := map[tocsin.Service]bool{}
	for _, l := range cfg.Logs {
		input, err := in.configured(l, matcher)
		if err != nil {
			return gcfg, nil, nil, err
		}
		if journaled && slices.Contains(generalLogs, l.Path) {
			in.log.Warn("not read, because it repeats the journal: set journal = \"no\" to read it instead", logkey.Log, l.Path)
			continue
		}
		named[input.Service] = true
		list = append(list, input)
	}
	for _, input := range in.wellKnown(matcher, journaled) {
		if !named[input.Service] { // the configuration knows better where it logs
			list = append(list, input)
		}
	}
	if len(list) == 0 {
		return gcfg, nil, nil, errors.New("there is no log to read: neither a journal nor one of the usual files; name one with [[log]] in the configuration")
	}
	return gcfg, list, matcher, nil
}

// configured is a log that the configuration names.
func (in *inputs) configured(l config.Log, m *authlog.Matcher) (guard.Input, error) {
	if l.Service == "" {
		return in.file(l.Path, ""), nil
	}
	for _, d := range m.Definitions() {
		if string(d.Name) == l.Service {
			return in.file(l.Path, d.Name), nil
		}
	}
	return guard.Input{}, fmt.Errorf("[[log]] %s: service %q is not read: see tocsin services", l.Path, l.Service)
}

// generalLogs are where log daemons put what every program says. They repeat the
// journal, so they are read only without one.
var generalLogs = []string{"/var/log/auth.log", "/var/log/secure", "/var/log/messages"}

// wellKnown are the logs of services whose folder exists.
func (in *inputs) wellKnown(m *authlog.Matcher, journaled bool) (list []guard.Input) {
	if !journaled {
		for _, path := range generalLogs {
			if _, err := os.Stat(path); err == nil {
				list = append(list, in.file(path, ""))
			}
		}
	}
	for _, d := range m.Definitions() {
		for _, pattern := range distinct(d.Files) {
			if found, err := filepath.Glob(filepath.Dir(pattern)); err == nil && len(found) > 0 && worth(pattern) {
				list = append(list, in.file(pattern, d.Name))
			}
		}
	}
	return list
}

// distinct leaves out what another pattern of the list covers: no file is read
// twice.
func distinct(patterns []string) (list []string) {
	for i, p := range patterns {
		if !slices.ContainsFunc(patterns, func(q string) bool {
			covers, err := filepath.Match(q, p)
			return err == nil && covers && q != p
		}) && !slices.Contains(patterns[:i], p) {
			list = append(list, p)
		}
	}
	return list
}

// worth reports whether a well-known log is there, or its folder belongs to the
// service alone, so that the log will be there one day.
func worth(pattern string) bool {
	found, err := filepath.Glob(pattern)
	return err == nil && (len(found) > 0 || filepath.Dir(pattern) != "/var/log")
}

func (in *inputs) file(path string, service tocsin.Service) guard.Input {
	trust := tocsin.Local
	if service != "" {
		trust = tocsin.Attested
	}
	return guard.Input{
		Name: path, Service: service, Trust: trust.String(),
		Open: func(marks []logsource.Mark) (logsource.Source, error) {
			return file.New(path, file.Options{Log: in.log, Provenance: trust, Marks: marks, Since: in.since}), nil
		},
	}
}

// hasJournal reports whether the journal is read.
func (in *inputs) hasJournal(wanted string) (bool, error) {
	if wanted == "no" {
		return false, nil
	}
	_, err := journal.New(journal.Options{})
	switch {
	case err == nil:
		return true, nil
	case wanted == "yes":
		return false, fmt.Errorf("read.journal: %w", err)
	case !errors.Is(err, journal.ErrNone):
		in.log.Warn("the journal is not read", logkey.Err, err)
	}
	return false, nil
}

func (in *inputs) journal(m *authlog.Matcher) guard.Input {
	var programs []string
	for _, d := range m.Definitions() {
		for _, name := range d.Programs {
			programs = append(programs, spell(name)...)
		}
	}
	return guard.Input{
		Name: "journal", Trust: "attested where the service wrote, else local",
		Open: func(marks []logsource.Mark) (logsource.Source, error) {
			return journal.New(journal.Options{Log: in.log, Programs: programs, Marks: marks, Since: in.since})
		},
	}
}

// spell returns the names that a program name with a number in it may have.
func spell(name string) []string {
	before, after, numbered := strings.Cut(name, "#")
	if !numbered {
		return []string{name}
	}
	var names []string
	for n := range 100 {
		names = append(names, before+strconv.Itoa(n)+after)
	}
	return names
}
