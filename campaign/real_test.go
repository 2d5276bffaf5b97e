package campaign_test

import (
	"archive/tar"
	"compress/gzip"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/campaign"
)

// records is where those of real honeypots are, which are not part of this
// repository: see docs/campaigns.md.
const records = "../../shared/data"

// TestRealHoneypots tells what comes of real records: docs/campaigns.md quotes
// it. None of them holds evidence of two kinds for more than a few sources, and
// none may be invented.
func TestRealHoneypots(t *testing.T) {
	for _, one := range []struct {
		file string
		read func(*testing.T, string) *world
	}{
		{"cowrie-multinode/*_reduced.json", readMultinode},
		{"honeypot/uqo_cowrie_sessions_20k.csv.gz", readSessions},
		{"honeypot/uqo_heralding_82k.json.tar.gz", readHeralding},
	} {
		files, err := filepath.Glob(filepath.Join(records, one.file))
		if err != nil {
			t.Fatal(err)
		}
		if len(files) == 0 {
			t.Logf("%s is not here", one.file)
			continue
		}
		w := newWorld(1, 3)
		for _, f := range files {
			w.list = append(w.list, one.read(t, f).list...)
		}
		tr, events := w.play(campaign.Default())
		sources := map[netip.Prefix]bool{}
		for _, r := range w.list {
			sources[r.Source] = true
		}
		t.Logf("%s: %d sightings of %d sources", one.file, len(w.list), len(sources))
		for _, e := range events {
			t.Logf("  %s %s %s: %s", e.At.Format(time.DateTime), e.Campaign, e.Kind, e.Text)
		}
		for _, c := range tr.Campaigns(w.end()) {
			t.Logf("  %s: %v, services %v, %d sources attributed, %d unattributed, size %+v", c.ID, c.Status, c.Services, len(c.Sources), len(tr.Unattributed(c.ID)), c.Size)
			for i, m := range c.Sources {
				if i < 3 {
					t.Logf("    %d attempts at %d devices, confidence %.2f: %q", m.Attempts, m.Devices, m.Confidence, m.Reasons)
				}
			}
			if len(c.Sources)*10 > len(sources) {
				t.Errorf("%d of %d sources joined on next to no evidence", len(c.Sources), len(sources))
			}
		}
	}
}

func (w *world) failed(at time.Time, device, service, source, account string, n uint32) {
	a, err := netip.ParseAddr(source)
	if err != nil || n == 0 {
		return
	}
	r := tocsin.Received{
		Sighting: tocsin.Sighting{
			ID: tocsin.ID{Device: tocsin.DeviceID(device)}, Source: tocsin.SourcePrefix(a), Service: tocsin.Service(service),
			First: at, Last: at, Failures: n, Provenance: tocsin.Attested,
		},
		At: at, Channel: tocsin.Enrolled, Owner: "o",
	}
	if account != "" {
		r.Accounts = []tocsin.Tried{{Tag: tocsin.AccountTag(account), Failures: n}}
	}
	w.list = append(w.list, r)
}

// readMultinode reads the five busiest sources of each day. What they tried is
// not told, nor when: each day's is put at an hour by chance, so that no two seem
// to agree.
func readMultinode(t *testing.T, file string) *world {
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var days []json.RawMessage
	if err := json.Unmarshal(b, &days); err != nil {
		t.Fatal(err)
	}
	w, seen := newWorld(1, 1), map[string]bool{}
	for _, raw := range days {
		var d struct {
			Date    string `json:"date"`
			Connect []struct {
				Source string `json:"src_ip"`
				Count  uint32 `json:"count"`
			} `json:"connect"`
		}
		if err := json.Unmarshal(raw, &d); err != nil {
			continue // some days are lists of something else
		}
		at, err := time.Parse(time.DateOnly, d.Date)
		if err != nil || seen[d.Date] {
			continue // the first record of a date is kept
		}
		seen[d.Date] = true
		for _, c := range d.Connect {
			h := fnv.New32a()
			fmt.Fprint(h, file, d.Date, c.Source)
			w.failed(at.Add(time.Duration(h.Sum32()%86400)*time.Second), filepath.Base(file), "ssh", c.Source, "", c.Count)
		}
	}
	return w
}

func unzip(t *testing.T, file string) io.Reader {
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

// readSessions reads sessions that tell how many attempts they had, at no
// account.
func readSessions(t *testing.T, file string) *world {
	all, err := csv.NewReader(unzip(t, file)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	column := func(name string) int { return slices.Index(all[0], name) }
	start, source, failed, let := column("start_time"), column("src_ip"), column("login_failed"), column("login_success")
	w := newWorld(1, 1)
	for _, row := range all[1:] {
		at, err := time.Parse(time.RFC3339, row[start])
		if err != nil {
			continue // a session of which only the end was recorded
		}
		n, err1 := strconv.Atoi(row[failed])
		m, err2 := strconv.Atoi(row[let])
		if err1 == nil && err2 == nil {
			w.failed(at, "honeypot", "ssh", row[source], "", uint32(n+m))
		}
	}
	return w
}

// readHeralding reads sessions that tell each attempt.
func readHeralding(t *testing.T, file string) *world {
	archive := tar.NewReader(unzip(t, file))
	for {
		h, err := archive.Next()
		if err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeReg && strings.HasSuffix(h.Name, ".json") && !strings.HasPrefix(filepath.Base(h.Name), ".") {
			break
		}
	}
	var all []struct {
		Source   string `json:"source_ip"`
		Protocol string `json:"protocol"`
		Attempts []struct {
			Time    string `json:"timestamp"`
			Account string `json:"username"`
		} `json:"auth_attempts"`
	}
	if err := json.NewDecoder(archive).Decode(&all); err != nil {
		t.Fatal(err)
	}
	w := newWorld(1, 1)
	for _, s := range all {
		for _, a := range s.Attempts {
			at, err := time.Parse("2006-01-02 15:04:05", a.Time)
			if err != nil {
				t.Fatal(err)
			}
			w.failed(at, "honeypot", s.Protocol, s.Source, a.Account, 1)
		}
	}
	return w
}
