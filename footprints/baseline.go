package footprints

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/tocsin-io/tocsin/internal/durable"
)

// A baseline is what the device looked like when it was last looked at.
type baseline struct {
	Format   int                `json:"format"`
	At       time.Time          `json:"at"`
	Files    map[string]file    `json:"files"`
	Accounts map[string]account `json:"accounts"`
	Ports    []uint16           `json:"ports"` // ever seen, sorted
	Logs     map[string]mark    `json:"logs"`  // those there are; of a unit the mark is zero
	Boot     string             `json:"boot"`  // the last start of the machine that was judged
}

const (
	baselineFile = "footprints.json"
	format       = 1
	maxBaseline  = 16 << 20 // bytes: well above what the other bounds allow
)

func newBaseline() *baseline {
	return &baseline{Format: format, Files: map[string]file{}, Accounts: map[string]account{}, Logs: map[string]mark{}}
}

func (b *baseline) clone() *baseline {
	c := *b
	c.Files, c.Accounts, c.Logs = maps.Clone(b.Files), maps.Clone(b.Accounts), maps.Clone(b.Logs)
	c.Ports = slices.Clone(b.Ports)
	return &c
}

// same reports whether b and o are worth one file: how long a log is by now need
// not be written down.
func (b *baseline) same(o *baseline) bool {
	return b.Boot == o.Boot && maps.Equal(b.Files, o.Files) && maps.Equal(b.Accounts, o.Accounts) && slices.Equal(b.Ports, o.Ports) &&
		maps.EqualFunc(b.Logs, o.Logs, func(mark, mark) bool { return true })
}

// load reads the baseline in dir; nil if there is none. One that is damaged is
// renamed, and named.
func load(dir string) (b *baseline, aside string, err error) {
	path := filepath.Join(dir, baselineFile)
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, "", nil
	}
	if err != nil {
		return nil, "", fmt.Errorf("footprints: %w", err)
	}
	defer f.Close()
	b = &baseline{}
	err = json.NewDecoder(io.LimitReader(f, maxBaseline)).Decode(b)
	if err == nil && b.Format == format && b.Files != nil && b.Accounts != nil && b.Logs != nil {
		slices.Sort(b.Ports)
		return b, "", nil
	}
	aside = path + ".unreadable"
	if err := os.Rename(path, aside); err != nil {
		return nil, "", fmt.Errorf("footprints: %w", err)
	}
	return nil, aside, nil
}

// save writes the baseline down, whole or not at all. A full disk is no reason
// to stop watching: what is not written down is told again after a restart.
func (w *Watch) save() {
	w.base.At = w.cfg.Now()
	err := durable.WriteFile(filepath.Join(w.cfg.State, baselineFile), 0o600, func(to io.Writer) error {
		return json.NewEncoder(to).Encode(w.base)
	})
	if err != nil {
		w.noSee(filepath.Join(w.cfg.State, baselineFile), fmt.Sprintf("not written down: %v", err))
	}
}

// mounted returns what is mounted: no path need be asked to know it.
func (w *Watch) mounted() string {
	var b strings.Builder
	err := read(w.path("proc/self/mountinfo"), func(r io.Reader) error { _, err := io.Copy(&b, r); return err })
	if err != nil {
		return "" // then nothing tells: what is watched stays watched
	}
	return b.String()
}
