package guard

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/internal/durable"
	"github.com/tocsin-io/tocsin/logsource"
)

// The state folder holds:
//
//	lock       who runs here
//	snapshot   everything remembered, replaced now and then as a whole
//	decisions  what was decided since the snapshot, appended as it happens
//	key        the owner's key for account names, made once
//	boot       how often a guard started
//
// A crash at any moment leaves a snapshot and the decisions after it. Log lines
// read after the snapshot are read again: their marks are in the snapshot.
const (
	lockFile      = "lock"
	snapshotFile  = "snapshot"
	decisionsFile = "decisions"
	keyFile       = "key"
	bootFile      = "boot"
)

// stateVersion is that of the snapshot. A newer one is refused: an older binary
// must not forget what it cannot read.
const stateVersion = 1

// header is the first line of a snapshot; what it counts follows it.
type header struct {
	Version   int                         `json:"version"`
	Boot      uint64                      `json:"boot"`
	Saved     time.Time                   `json:"saved,omitzero"` // by the clock of then
	Marks     map[string][]logsource.Mark `json:"marks"`          // by source
	Welcome   map[netip.Prefix]time.Time  `json:"welcome,omitempty"`
	Read      tocsin.Coverage             `json:"read,omitzero"` // of the logs
	Decisions int                         `json:"decisions"`
	Detector  int                         `json:"detector_bytes"`
}

// A record is one entry of the decisions log.
type record struct {
	Kind     kind            `json:"kind"`
	Decision tocsin.Decision `json:"decision"`
}

// kind says what is done with a decision.
type kind string

const (
	decide kind = "decide"
	lift   kind = "lift"
	end    kind = "end"
)

// A state is the state folder, opened by one guard.
type state struct {
	dir    string
	unlock func() error
	log    *durable.Log
}

// remembered is what a guard knows, as the folder keeps it.
type remembered struct {
	header
	decisions []tocsin.Decision
	detector  []byte
	records   []record
}

// openState locks the folder and reads what it holds. A snapshot that cannot be
// read is set aside under another name, never deleted, and err is nil: warning
// says so, and the guard starts with what is left.
func openState(dir string) (s *state, m remembered, warning string, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, m, "", fmt.Errorf("state folder: %w: make it, or name another with state in the configuration", err)
	}
	s = &state{dir: dir}
	if s.unlock, err = durable.Lock(filepath.Join(dir, lockFile)); err != nil {
		var held *durable.LockedError
		if errors.As(err, &held) {
			return nil, m, "", fmt.Errorf("another guard runs on this machine: %w", err)
		}
		return nil, m, "", fmt.Errorf("state folder: %w: let the guard's user write there, or name another with state in the configuration", err)
	}
	if m, err = s.readSnapshot(); err != nil {
		var newer *newerError
		if errors.As(err, &newer) {
			return nil, m, "", errors.Join(err, s.unlock())
		}
		aside := filepath.Join(dir, snapshotFile+".unreadable")
		if err := os.Rename(filepath.Join(dir, snapshotFile), aside); err != nil {
			return nil, m, "", errors.Join(err, s.unlock())
		}
		warning = fmt.Sprintf("what was remembered cannot be read (%v): starting without it, the file is kept as %s", err, aside)
		m = remembered{}
	}
	s.log, err = durable.OpenLog(filepath.Join(dir, decisionsFile), func(b []byte) error {
		var r record
		if err := json.Unmarshal(b, &r); err != nil {
			return fmt.Errorf("decision: %w", err)
		}
		m.records = append(m.records, r)
		return nil
	})
	if err != nil {
		return nil, m, warning, errors.Join(err, s.unlock())
	}
	return s, m, warning, nil
}

// begin numbers this start, above last and all before it. The number is on the
// disk before anything is told under it: the hub takes one that comes twice for a
// repeat, and forgets what it tells. Where nothing is remembered, or nothing can
// be written, the number is the time, which is above all that a lost folder told.
func (s *state) begin(last uint64, now time.Time) (boot uint64, err error) {
	path := filepath.Join(s.dir, bootFile)
	b, err := os.ReadFile(path)
	if n, e := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 62); e == nil {
		last = max(last, n)
	} else if err == nil || last == 0 {
		last = max(last, uint64(max(now.Unix(), 0)))
	}
	boot = last + 1
	err = durable.WriteFile(path, 0o600, func(w io.Writer) error { _, err := fmt.Fprintln(w, boot); return err })
	if err != nil {
		boot = max(boot, uint64(max(now.Unix(), 0)))
	}
	return boot, err
}

type newerError struct{ version int }

func (e *newerError) Error() string {
	return fmt.Sprintf("the state folder was written by a newer tocsin (format %d, this one knows %d): upgrade, or name another folder", e.version, stateVersion)
}

func (s *state) readSnapshot() (m remembered, err error) {
	f, err := os.Open(filepath.Join(s.dir, snapshotFile))
	if errors.Is(err, fs.ErrNotExist) {
		return m, nil
	}
	if err != nil {
		return m, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return m, err
	}
	r := bufio.NewReader(f)
	line, err := r.ReadBytes('\n')
	if err != nil {
		return m, fmt.Errorf("header: %w", err)
	}
	if err := json.Unmarshal(line, &m.header); err != nil {
		return m, fmt.Errorf("header: %w", err)
	}
	if m.Version > stateVersion {
		return m, &newerError{m.Version}
	}
	for range m.Decisions {
		line, err := r.ReadBytes('\n')
		if err != nil {
			return m, fmt.Errorf("decision: %w", err)
		}
		var d tocsin.Decision
		if err := json.Unmarshal(line, &d); err != nil {
			return m, fmt.Errorf("decision: %w", err)
		}
		m.decisions = append(m.decisions, d)
	}
	if int64(m.Detector) > info.Size() || m.Detector < 0 {
		return m, fmt.Errorf("detector: %d bytes in a file of %d", m.Detector, info.Size())
	}
	m.detector = make([]byte, m.Detector)
	if _, err := io.ReadFull(r, m.detector); err != nil {
		return m, fmt.Errorf("detector: %w", err)
	}
	return m, nil
}

// append writes down what was decided; sync brings it to the disk before it
// returns.
func (s *state) append(r record, sync bool) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return s.log.Append(b, sync)
}

// save replaces the snapshot by h, the decisions and the detector, then empties
// the decisions log. A crash between the two repeats decisions, which does no
// harm.
func (s *state) save(h header, decisions iter.Seq[tocsin.Decision], detector []byte) error {
	var all []json.RawMessage
	for d := range decisions {
		b, err := json.Marshal(d)
		if err != nil {
			return err
		}
		all = append(all, b)
	}
	h.Version, h.Decisions, h.Detector = stateVersion, len(all), len(detector)
	err := durable.WriteFile(filepath.Join(s.dir, snapshotFile), 0o600, func(w io.Writer) error {
		b := bufio.NewWriter(w)
		enc := json.NewEncoder(b)
		if err := enc.Encode(h); err != nil {
			return err
		}
		for _, d := range all {
			if err := enc.Encode(d); err != nil {
				return err
			}
		}
		if _, err := b.Write(detector); err != nil {
			return err
		}
		return b.Flush()
	})
	if err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	if s.log.Empty() {
		return nil
	}
	return s.log.Rewrite(func(func([]byte) error) error { return nil })
}

func (s *state) close() error { return errors.Join(s.log.Close(), s.unlock()) }
