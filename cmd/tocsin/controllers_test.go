//go:build !small

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"

	"github.com/tocsin-io/tocsin/controller/fleettrace"
)

// TestControllersOfAnInventedFleet goes the whole way: files of an invented
// fleet, the command, and the true controller is the first of the array.
func TestControllersOfAnInventedFleet(t *testing.T) {
	dir := t.TempDir()
	fleet := fleettrace.New(fleettrace.Options{Seed: 5, Devices: 400, Bots: 20, Private: 5})
	flows, devices := filepath.Join(dir, "conn.log.gz"), filepath.Join(dir, "devices.csv")
	write(t, devices, fleet.WriteDevices)
	write(t, flows, func(w io.Writer) error {
		z := gzip.NewWriter(w)
		if err := fleet.WriteConnLog(z); err != nil {
			return err
		}
		return z.Close()
	})
	var out, errs bytes.Buffer
	status := Main(t.Context(), []string{"controllers", "rank", "--flows", flows, "--devices", devices, "--json"}, strings.NewReader(""), &out, &errs)
	if status != done || errs.Len() > 0 {
		t.Fatalf("status %d: %s", status, errs.String())
	}
	var list []struct {
		Address string
		Port    uint16
		Class   string
		Q       *float64
		Score   *float64
	}
	if err := json.Unmarshal(out.Bytes(), &list); err != nil {
		t.Fatal(err)
	}
	if len(list) == 0 || list[0].Address != fleet.Controller.Addr().String() || list[0].Port != fleet.Controller.Port() ||
		list[0].Class != "controller" || list[0].Q == nil || list[0].Score == nil {
		t.Errorf("got %.300s, want %v first", out.String(), fleet.Controller)
	}
}

// TestControllersOfAFileThatBreaksOff: what was read is ranked, and the exit
// status tells that it is not all.
func TestControllersOfAFileThatBreaksOff(t *testing.T) {
	dir := t.TempDir()
	fleet := fleettrace.New(fleettrace.Options{Seed: 5, Devices: 100, Bots: 20, Private: 1, Services: 20})
	flows, devices := filepath.Join(dir, "conn.log.gz"), filepath.Join(dir, "devices.csv")
	write(t, devices, fleet.WriteDevices)
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	if err := errors.Join(fleet.WriteConnLog(z), z.Close()); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(flows, packed.Bytes()[:packed.Len()*95/100], 0o600); err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	status := Main(t.Context(), []string{"controllers", "rank", "--flows", flows, "--devices", devices, "--json"}, strings.NewReader(""), &out, &errs)
	if status != failed || !strings.Contains(errs.String(), "conn.log.gz: after line ") || !strings.HasPrefix(out.String(), `[{"address"`) {
		t.Errorf("status %d, %.100s, %s", status, out.String(), errs.String())
	}
}

func write(t *testing.T, name string, fill func(io.Writer) error) {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := fill(f); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}
