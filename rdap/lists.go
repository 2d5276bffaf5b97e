package rdap

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/tocsin-io/tocsin/internal/durable"
)

// A list tells which registry to ask about what (RFC 9224).
type list struct {
	fetched  time.Time
	tried    time.Time
	failure  error // of the last try, or nil
	networks map[netip.Prefix]string
	numbers  []span
}

type span struct {
	first, last uint32
	base        string
}

// registry returns the base URL to ask about s, and the list that says so. An
// old list is used where no new one is to be had.
func (c *Client) registry(ctx context.Context, s subject) (string, *list, error) {
	l := c.list(ctx, s.listName())
	if len(l.networks)+len(l.numbers) == 0 {
		return "", nil, fmt.Errorf("there is no list of registries: %w; it may be put by hand into %s",
			l.failure, filepath.Join(c.cfg.Folder, s.listName()))
	}
	base := l.find(s)
	if base == "" {
		return "", nil, fmt.Errorf("no registry gives it out, says the list of %s", l.fetched.UTC().Format(time.DateOnly))
	}
	if _, err := c.parse(base); err != nil {
		return "", nil, err
	}
	return base, l, nil
}

func (l *list) find(s subject) string {
	if !s.addr.IsValid() {
		for _, span := range l.numbers {
			if span.first <= s.as && s.as <= span.last {
				return span.base
			}
		}
		return ""
	}
	for bits := s.addr.BitLen(); bits >= 0; bits-- {
		p, err := s.addr.Prefix(bits)
		if err != nil {
			return ""
		}
		if base := l.networks[p]; base != "" {
			return base
		}
	}
	return ""
}

// list returns a list that is at most a day old where that is possible.
func (c *Client) list(ctx context.Context, name string) *list {
	l := c.lists[name]
	if l == nil {
		l = c.stored(name)
		c.lists[name] = l
	}
	now := c.now()
	fresh := !l.fetched.IsZero() && now.Sub(l.fetched) < freshFor
	if fresh || !l.tried.IsZero() && now.Sub(l.tried) < retryAfter && l.failure != nil {
		return l
	}
	l.tried, l.failure = now, nil
	for _, base := range c.cfg.Bootstrap {
		raw, err := c.fetch(ctx, base, name, l)
		if err == nil {
			l.failure = c.keepList(name, raw, l.fetched)
			return l
		}
		l.failure = errors.Join(l.failure, err)
	}
	if ctx.Err() != nil {
		l.tried = time.Time{} // nobody's fault but the caller's: try again with the next
	}
	return l
}

func (c *Client) fetch(ctx context.Context, base, name string, l *list) ([]byte, error) {
	got, err := c.get(ctx, slash(base)+name, maxList)
	if err != nil {
		return nil, err
	}
	var next list
	if err := next.parse(got.body); err != nil {
		return nil, fmt.Errorf("%s: %w", got.url, err)
	}
	l.networks, l.numbers, l.fetched = next.networks, next.numbers, got.at
	return got.body, nil
}

func (c *Client) keepList(name string, raw []byte, at time.Time) error {
	if c.cfg.Folder == "" {
		return nil
	}
	path := filepath.Join(c.cfg.Folder, name)
	err := durable.WriteFile(path, 0o600, func(w io.Writer) error { _, err := w.Write(raw); return err })
	if err != nil {
		return fmt.Errorf("it is in memory only: %w", err)
	}
	// The file's time is its age, for the next life of this program.
	return os.Chtimes(path, at, at)
}

// stored reads a list as it was left on the disk, by us or by hand.
func (c *Client) stored(name string) *list {
	l := &list{}
	if c.cfg.Folder == "" {
		return l
	}
	path := filepath.Join(c.cfg.Folder, name)
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return l
	}
	if err == nil && info.Size() > maxList {
		err = fmt.Errorf("%s is larger than %d bytes", path, maxList)
	}
	var raw []byte
	if err == nil {
		raw, err = os.ReadFile(path)
	}
	if err == nil {
		err = l.parse(raw)
	}
	if err != nil {
		return &list{failure: fmt.Errorf("%s: %w", path, err)} // and it is fetched anew
	}
	if l.fetched = info.ModTime(); l.fetched.After(c.now()) {
		l.fetched = time.Time{}.Add(1) // nobody knows how old it is
	}
	return l
}

// parse reads one of IANA's files. An entry that is not understood is left out;
// a file without any is an error.
func (l *list) parse(raw []byte) error {
	var file struct {
		Services []json.RawMessage `json:"services"`
	}
	if err := json.Unmarshal(raw, &file); err != nil {
		return fmt.Errorf("not a list of registries (RFC 9224): %w", err)
	}
	l.networks = map[netip.Prefix]string{}
	for _, one := range file.Services {
		var service [][]string
		if json.Unmarshal(one, &service) != nil || len(service) != 2 {
			continue
		}
		base := ""
		for _, u := range service[1] {
			if base == "" || strings.HasPrefix(u, "https:") && !strings.HasPrefix(base, "https:") {
				base = slash(u)
			}
		}
		if base == "" {
			continue
		}
		for _, entry := range service[0] {
			if p, err := netip.ParsePrefix(entry); err == nil {
				l.networks[p.Masked()] = base
			} else if first, last, ok := parseSpan(entry); ok {
				l.numbers = append(l.numbers, span{first, last, base})
			}
		}
	}
	if len(l.networks)+len(l.numbers) == 0 {
		return errors.New("not a list of registries (RFC 9224): it names none")
	}
	return nil
}

// parseSpan reads "64496-64511" or "64500".
func parseSpan(s string) (first, last uint32, ok bool) {
	a, b, two := strings.Cut(s, "-")
	if !two {
		b = a
	}
	from, err1 := strconv.ParseUint(a, 10, 32)
	to, err2 := strconv.ParseUint(b, 10, 32)
	return uint32(from & math.MaxUint32), uint32(to & math.MaxUint32), err1 == nil && err2 == nil && from <= to
}

func slash(base string) string {
	if base == "" || strings.HasSuffix(base, "/") {
		return base
	}
	return base + "/"
}
