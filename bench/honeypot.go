package main

import (
	"archive/tar"
	"cmp"
	"compress/gzip"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/replay"
)

// honeypots is where the records of real honeypots are, which are not part of
// this repository: github.com/UQO-Biolab/ml_ids (Unlicense).
const honeypots = "../shared/data/honeypot"

// A trap is a record of a honeypot, and who reads it.
type trap struct {
	name string
	file string
	read func(io.Reader) ([]replay.Attempt, error)
}

var traps = []trap{
	{"Cowrie, SSH, 2025", "uqo_cowrie_sessions_20k.csv.gz", readCowrie},
	{"Heralding, VNC and PostgreSQL, 2025", "uqo_heralding_82k.json.tar.gz", readHeralding},
}

// open reads all attempts, in the order of time.
func (t trap) open() ([]replay.Attempt, error) {
	f, err := os.Open(filepath.Join(honeypots, t.file))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", t.file, err)
	}
	list, err := t.read(z)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", t.file, err)
	}
	slices.SortStableFunc(list, func(a, b replay.Attempt) int { return a.At.Compare(b.At) })
	for i := range list {
		list[i].Line = i + 1
	}
	return list, nil
}

func failure(at time.Time, service, source string, port uint64, account string) (replay.Attempt, bool) {
	a, err := netip.ParseAddr(source)
	return replay.Attempt{Attempt: tocsin.Attempt{
		At: at.UTC(), Service: tocsin.Service(service), Outcome: tocsin.Failure, Account: account,
		Source: netip.AddrPortFrom(a, uint16(port)),
	}}, err == nil
}

// readCowrie reads sessions. They tell how many attempts they had and how long
// they took, but not when each attempt was, nor its account: the attempts are
// spread evenly over the session. What a honeypot let in is a failure elsewhere.
func readCowrie(r io.Reader) (list []replay.Attempt, err error) {
	c := csv.NewReader(r)
	head, err := c.Read()
	if err != nil {
		return nil, err
	}
	for {
		record, err := c.Read()
		if err == io.EOF {
			return list, nil
		}
		if err != nil {
			return nil, err
		}
		row := map[string]string{}
		for i, name := range head {
			row[name] = record[i]
		}
		start, err := time.Parse(time.RFC3339, row["start_time"])
		if err != nil {
			continue // a session of which only the end was recorded
		}
		seconds, err1 := strconv.ParseFloat(cmp.Or(row["duration"], "0"), 64)
		failed, err2 := strconv.Atoi(row["login_failed"])
		let, err3 := strconv.Atoi(row["login_success"])
		port, err4 := strconv.ParseUint(row["src_port"], 10, 16)
		if err := cmp.Or(err1, err2, err3, err4); err != nil {
			return nil, err
		}
		for i := range failed + let {
			at := start.Add(time.Duration(seconds * float64(i) / float64(failed+let) * float64(time.Second)))
			if a, ok := failure(at, "ssh", row["src_ip"], port, ""); ok {
				list = append(list, a)
			}
		}
	}
}

// readHeralding reads sessions that tell each attempt, the account where the
// protocol has one.
func readHeralding(r io.Reader) (list []replay.Attempt, err error) {
	type session struct {
		Source   string `json:"source_ip"`
		Port     uint64 `json:"source_port"`
		Protocol string `json:"protocol"`
		Attempts []struct {
			Time    string `json:"timestamp"`
			Account string `json:"username"`
		} `json:"auth_attempts"`
	}
	t := tar.NewReader(r)
	for {
		h, err := t.Next()
		if err != nil {
			return nil, err
		}
		if h.Typeflag == tar.TypeReg && strings.HasSuffix(h.Name, ".json") && !strings.HasPrefix(filepath.Base(h.Name), ".") {
			break
		}
	}
	var all []session
	if err := json.NewDecoder(t).Decode(&all); err != nil {
		return nil, err
	}
	for _, s := range all {
		for _, x := range s.Attempts {
			at, err := time.Parse("2006-01-02 15:04:05", x.Time)
			if err != nil {
				return nil, err
			}
			if a, ok := failure(at, s.Protocol, s.Source, s.Port, x.Account); ok {
				list = append(list, a)
			}
		}
	}
	return list, nil
}
