package incident_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/replay"
	"github.com/tocsin-io/tocsin/sim/incident"
)

// written is an incident in a folder, read back.
type written struct {
	dir       string
	summary   incident.Summary
	truth     incident.Truth
	inventory []inventoryLine
	trace     []replay.Attempt
	columns   []string // of the connections
	flows     []flow   // once they were asked for
}

type inventoryLine struct {
	Device          tocsin.DeviceID
	Owner           tocsin.OwnerID
	Model, Firmware string
	Address         netip.Addr
	Prefix          netip.Prefix
	Network         uint32
	Country         string
	Logs            []struct {
		Service tocsin.Service
		Path    string
	}
}

// flow is a line of conn.log.
type flow struct {
	cells   []string
	columns map[string]int
}

func (f flow) get(column string) string { return f.cells[f.columns[column]] }

func (f flow) at(t *testing.T) time.Time {
	t.Helper()
	s, err := strconv.ParseFloat(f.get("ts"), 64)
	if err != nil {
		t.Fatal(err)
	}
	return time.UnixMicro(int64(s*1e6 + 0.5)).UTC()
}

func (f flow) to(t *testing.T) netip.AddrPort {
	t.Helper()
	to, err := netip.ParseAddrPort(net(f.get("id.resp_h")) + ":" + f.get("id.resp_p"))
	if err != nil {
		t.Fatal(err)
	}
	return to
}

func net(address string) string {
	if strings.Contains(address, ":") {
		return "[" + address + "]"
	}
	return address
}

// write writes an incident and reads it back.
func write(t *testing.T, c incident.Config) *written {
	t.Helper()
	w := &written{dir: filepath.Join(t.TempDir(), "incident")}
	var err error
	if w.summary, err = incident.Write(t.Context(), w.dir, c); err != nil {
		t.Fatal(err)
	}
	if w.truth, err = incident.ReadTruth(w.dir); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(w.read(t, "inventory.json"), &w.inventory); err != nil {
		t.Fatal(err)
	}
	trace := replay.NewReader(bytes.NewReader(w.read(t, "trace.jsonl")))
	for {
		a, err := trace.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		w.trace = append(w.trace, a)
	}
	return w
}

// connections returns what conn.log holds.
func (w *written) connections(t *testing.T) []flow {
	t.Helper()
	if w.flows == nil {
		w.columns, w.flows = readFlows(t, w.read(t, "flows/conn.log"))
	}
	return w.flows
}

// read returns what a file holds, unpacked.
func (w *written) read(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(w.dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return unpacked(t, name, b)
}

func unpacked(t *testing.T, name string, b []byte) []byte {
	t.Helper()
	if !strings.HasSuffix(name, ".gz") {
		return b
	}
	r, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	if b, err = io.ReadAll(r); err != nil {
		t.Fatal(err)
	}
	return b
}

// files returns the content of all files by name, unpacked.
func (w *written) files(t *testing.T) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	err := filepath.WalkDir(w.dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			name, relErr := filepath.Rel(w.dir, path)
			if relErr != nil {
				return relErr
			}
			all[name] = w.read(t, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// logs returns the lines of a log, oldest file first.
func (w *written) logs(t *testing.T, path string) (lines [][]byte) {
	t.Helper()
	for _, suffix := range []string{".2.gz", ".1", ""} {
		b, err := os.ReadFile(filepath.Join(w.dir, path+suffix))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, bytes.SplitAfter(unpacked(t, path+suffix, b), []byte("\n"))...)
	}
	return lines
}

// readFlows reads a conn.log in columns.
func readFlows(t *testing.T, b []byte) (columns []string, list []flow) {
	t.Helper()
	places := map[string]int{}
	lines := bufio.NewScanner(bytes.NewReader(b))
	for lines.Scan() {
		cells := strings.Split(lines.Text(), "\t")
		switch {
		case cells[0] == "#fields":
			columns = cells[1:]
			for i, c := range columns {
				places[c] = i
			}
		case strings.HasPrefix(cells[0], "#"):
		case len(cells) != len(columns):
			t.Fatalf("%d columns, want %d: %s", len(cells), len(columns), lines.Text())
		default:
			list = append(list, flow{cells, places})
		}
	}
	return columns, list
}

// table reads a table with a head.
func (w *written) table(t *testing.T, name string) (head []string, rows []map[string]string) {
	t.Helper()
	all, err := csv.NewReader(bytes.NewReader(w.read(t, name))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for _, cells := range all[1:] {
		row := map[string]string{}
		for i, c := range cells {
			row[all[0][i]] = c
		}
		rows = append(rows, row)
	}
	return all[0], rows
}

func (w *written) device(t *testing.T, id tocsin.DeviceID) incident.TrueDevice {
	t.Helper()
	for _, d := range w.truth.Devices {
		if d.Device == id {
			return d
		}
	}
	t.Fatalf("no device %s", id)
	return incident.TrueDevice{}
}
