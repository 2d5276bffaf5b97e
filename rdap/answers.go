package rdap

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/tocsin-io/tocsin/internal/durable"
)

// Bounds of the answers that are kept: cases are few.
const (
	maxAnswers     = 512
	maxAnswerBytes = 32 << 20
)

// An answer speaks for no more than so much around the address that was asked
// about: a provider's customers have networks, and contacts, of their own within
// what the registry gave to it, and each address is told of by the narrowest.
const (
	widest4 = 24
	widest6 = 48
)

// answers are the contacts found, in memory and, where there is a folder, on the
// disk: a file each, named for what it is about.
type answers struct {
	folder string
	known  map[string]Contact
	bytes  int
}

func openAnswers(folder string) (*answers, error) {
	a := &answers{known: map[string]Contact{}}
	if folder == "" {
		return a, nil
	}
	a.folder = filepath.Join(folder, "answers")
	if err := os.MkdirAll(a.folder, 0o700); err != nil {
		return nil, fmt.Errorf("rdap: %w", err)
	}
	entries, err := os.ReadDir(a.folder)
	if err != nil {
		return nil, fmt.Errorf("rdap: %w", err)
	}
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ".json")
		info, err := e.Info()
		if !ok || err != nil || info.Size() > 2*MaxAnswer+64<<10 {
			continue
		}
		raw, err := os.ReadFile(filepath.Join(a.folder, e.Name()))
		if err != nil {
			continue
		}
		// What a crash or a hand left behind is asked again.
		var c Contact
		if json.Unmarshal(raw, &c) == nil && sha256.Sum256(c.Raw) == c.Digest {
			a.put(name, c)
		}
	}
	return a, a.trim()
}

// key names what an answer speaks for: safe as the name of a file.
func (s subject) key(n netip.Prefix) string {
	if !s.addr.IsValid() {
		return s.String()
	}
	widest := widest4
	if s.addr.Is6() {
		widest = widest6
	}
	p, err := s.addr.Prefix(max(n.Bits(), widest))
	if err != nil || !n.IsValid() {
		p = netip.PrefixFrom(s.addr, s.addr.BitLen())
	}
	return strings.NewReplacer("/", "_", ":", "-").Replace(p.String())
}

// find returns the answer that speaks for s most closely.
func (a *answers) find(s subject) (Contact, bool) {
	if !s.addr.IsValid() {
		c, ok := a.known[s.String()]
		return c, ok
	}
	for bits := s.addr.BitLen(); bits >= widest4; bits-- {
		p, err := s.addr.Prefix(bits)
		if err != nil {
			break
		}
		if c, ok := a.known[s.key(p)]; ok {
			return c, true
		}
		if s.addr.Is6() && bits == widest6 {
			break
		}
	}
	return Contact{}, false
}

// keep remembers an answer. An error is about the disk only.
func (a *answers) keep(s subject, c Contact) error {
	name := s.key(c.Network)
	a.put(name, c)
	if err := a.trim(); err != nil || a.folder == "" {
		return err
	}
	return durable.WriteFile(a.path(name), 0o600, func(w io.Writer) error { return json.NewEncoder(w).Encode(c) })
}

func (a *answers) path(name string) string { return filepath.Join(a.folder, name+".json") }

func (a *answers) put(name string, c Contact) {
	a.bytes += len(c.Raw) - len(a.known[name].Raw)
	a.known[name] = c
}

// trim throws the oldest away.
func (a *answers) trim() error {
	for len(a.known) > maxAnswers || a.bytes > maxAnswerBytes {
		oldest := ""
		for name, c := range a.known {
			if old := a.known[oldest]; oldest == "" || c.At.Before(old.At) || c.At.Equal(old.At) && name < oldest {
				oldest = name
			}
		}
		a.bytes -= len(a.known[oldest].Raw)
		delete(a.known, oldest)
		if a.folder == "" {
			continue
		}
		if err := os.Remove(a.path(oldest)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
