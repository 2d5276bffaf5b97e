package play

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path"
	"slices"
	"time"

	"github.com/tocsin-io/tocsin"
)

// MaxBytes bounds the logs and connections of an incident that is played: all of
// it is in memory.
const MaxBytes = 256 << 20

const connections = "conn.log"

// A log is one that a device writes, or that of its network monitor.
type log struct {
	name    string // below the folder that is played into
	history []byte // lines from before the start, of the newest rotated file
	packed  []byte // the same, of older ones
	rotates bool
}

// act is what happens at one time.
type act uint8

const (
	write  act = iota // a line to a log
	rotate            // the log is put aside
	change            // something on the device
)

// An item is one thing that happens.
type item struct {
	at   int64 // microseconds since 1970, as invented
	log  int32 // index of the log, or of the event
	act  act
	line []byte // without its end
}

// An event is a line of events.jsonl.
type event struct {
	Device  tocsin.DeviceID `json:"-"`
	At      time.Time       `json:"at"`
	Fact    string          `json:"fact"`
	Subject string          `json:"subject"`
}

// A device is a line of inventory.json.
type device struct {
	Device   tocsin.DeviceID `json:"device"`
	Owner    tocsin.OwnerID  `json:"owner"`
	Model    string          `json:"model"`
	Firmware string          `json:"firmware"`
	Address  netip.Addr      `json:"address"`
	Logs     []struct {
		Service tocsin.Service `json:"service"`
		Path    string         `json:"path"`
	} `json:"logs"`
	tells bool // its logs are there
}

// A story is an incident in memory.
type story struct {
	start, end time.Time
	devices    []device
	logs       []log
	items      []item
	events     []event
	left       int64 // bytes that may be read
}

// read reads an incident out of the folder that package sim/incident wrote.
func read(dir string) (*story, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	s := &story{left: MaxBytes}
	if err := s.readFlows(root); err != nil {
		return nil, err
	}
	b, err := s.file(root, "inventory.json")
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(b, &s.devices); err != nil {
		return nil, fmt.Errorf("inventory.json: %w", err)
	}
	for i := range s.devices {
		d := &s.devices[i]
		for _, l := range d.Logs {
			n := len(s.items)
			if err := s.readLog(root, string(d.Device), l.Path); err != nil {
				return nil, err
			}
			d.tells = d.tells || len(s.items) > n
		}
		if err := s.readEvents(root, d.Device); err != nil {
			return nil, err
		}
	}
	slices.SortStableFunc(s.items, func(a, b item) int { return cmp.Compare(a.at, b.at) })
	return s, nil
}

// file reads one file whole, unpacked. One that is not there has no bytes.
func (s *story) file(root *os.Root, name string) ([]byte, error) {
	f, err := root.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var r io.Reader = f
	if path.Ext(name) == ".gz" {
		if r, err = gzip.NewReader(f); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	b, err := io.ReadAll(io.LimitReader(r, s.left+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if s.left -= int64(len(b)); s.left < 0 {
		return nil, fmt.Errorf("%s: the incident has more than %d MiB of logs and connections: invent one with fewer devices or hours", name, MaxBytes>>20)
	}
	return b, nil
}

// opened is how the head of conn.log tells when it begins and ends.
const opened = "2006-01-02-15-04-05"

// readFlows reads the connections, and from their head when the incident begins
// and ends.
func (s *story) readFlows(root *os.Root) error {
	const name = "flows/" + connections
	b, err := s.file(root, name)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s holds no invented incident: write one with tocsin sim incident --out %s", root.Name(), root.Name())
	}
	if err != nil {
		return err
	}
	s.logs = append(s.logs, log{name: connections})
	lines := slices.Collect(bytes.Lines(b))
	for _, line := range lines {
		for word, to := range map[string]*time.Time{"#open\t": &s.start, "#close\t": &s.end} {
			if rest, ok := bytes.CutPrefix(bytes.TrimSpace(line), []byte(word)); ok {
				if *to, err = time.Parse(opened, string(rest)); err != nil {
					return fmt.Errorf("%s: %w", name, err)
				}
			}
		}
	}
	if s.start.IsZero() || !s.end.After(s.start) {
		return fmt.Errorf("%s does not tell when it begins and ends: it must be whole, with #open and #close", name)
	}
	at := s.start
	for _, line := range lines {
		line = bytes.TrimRight(line, "\n")
		if f, ok := flowOf(line); ok {
			if at = later(at, f.ends); at.After(s.end) { // what still goes on is told at the end
				at = s.end
			}
		} else if bytes.HasPrefix(line, []byte("#close")) {
			at = s.end
		}
		s.items = append(s.items, item{at: at.UnixMicro(), line: line})
	}
	return nil
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// readLog reads a log with its rotated files, which tells how it was rotated.
func (s *story) readLog(root *os.Root, device, name string) error {
	l := log{name: device + "/" + path.Base(name)}
	own := int32(len(s.logs))

	for _, suffix := range []string{".2.gz", ".1", ""} {
		b, err := s.file(root, name+suffix)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		switch suffix {
		case ".2.gz":
			l.packed = b
		case ".1":
			l.rotates = true
		}
		if suffix == ".2.gz" {
			continue
		}
		at := s.start
		if suffix == "" && l.rotates && len(b) > 0 {
			if first, ok := findStamp(b[:max(bytes.IndexByte(b, '\n'), 0)], s.end); ok {
				s.items = append(s.items, item{at: first.at.UnixMicro(), log: own, act: rotate})
			}
		}
		for line := range bytes.Lines(b) {
			line = bytes.TrimRight(line, "\n")
			st, ok := findStamp(line, s.end)
			if ok && st.at.Before(s.start) {
				l.history = append(append(l.history, line...), '\n')
				continue
			}
			if ok {
				at = later(at, st.at)
			}
			s.items = append(s.items, item{at: at.UnixMicro(), log: own, line: line})
		}
	}
	s.logs = append(s.logs, l)
	return nil
}

func (s *story) readEvents(root *os.Root, device tocsin.DeviceID) error {
	name := "devices/" + string(device) + "/events.jsonl"
	b, err := s.file(root, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // its telemetry was removed
	}
	if err != nil {
		return err
	}
	lines := bufio.NewScanner(bytes.NewReader(b))
	for lines.Scan() {
		e := event{Device: device}
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		s.items = append(s.items, item{at: e.At.UnixMicro(), log: int32(len(s.events)), act: change})
		s.events = append(s.events, e)
	}
	return lines.Err()
}
