//go:build !small

package main

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/controller"
)

// Bounds of a table of devices.
const (
	maxTable    = 256 << 20 // bytes
	maxMistakes = 20        // told of at once
)

// A deviceTable is a fleet as a file tells it.
type deviceTable struct {
	devices   []controller.Device
	byAddress map[netip.Addr]tocsin.DeviceID
	number    map[tocsin.DeviceID]int
}

func openDevices(name string) (*deviceTable, error) {
	r, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("--devices: %w", err)
	}
	defer r.Close()
	t, mistakes := readDevices(io.LimitReader(r, maxTable))
	if len(mistakes) == 0 {
		return t, nil
	}
	rest := len(mistakes) - maxMistakes
	errs := []error{fmt.Errorf("--devices %s: %s in the table", name, count(len(mistakes), "mistake"))}
	errs = append(errs, mistakes[:min(len(mistakes), maxMistakes)]...)
	if rest > 0 {
		errs = append(errs, fmt.Errorf("and %d more", rest))
	}
	return nil, errors.Join(errs...)
}

// Columns of the table.
var (
	needed   = []string{"device", "address", "model", "firmware", "compromised", "first_attack_act"}
	optional = []string{"owner"}
)

// readDevices reads a table, and tells every mistake with its line.
func readDevices(r io.Reader) (*deviceTable, []error) {
	t := &deviceTable{byAddress: map[netip.Addr]tocsin.DeviceID{}, number: map[tocsin.DeviceID]int{}}
	c := csv.NewReader(r)
	c.FieldsPerRecord, c.ReuseRecord, c.TrimLeadingSpace = -1, true, true
	header, err := c.Read()
	if err == io.EOF {
		return nil, []error{fmt.Errorf("it is empty: the first line must be %s", strings.Join(needed, ","))}
	}
	if err != nil {
		return nil, []error{err}
	}
	header = slices.Clone(header)
	header[0] = strings.TrimPrefix(header[0], "\ufeff")
	at, mistakes := places(header)
	if len(mistakes) > 0 {
		return nil, mistakes
	}
	for {
		row, err := c.Read()
		if err == io.EOF {
			return t, mistakes
		}
		if err != nil {
			return nil, append(mistakes, err) // what follows cannot be told apart
		}
		line, _ := c.FieldPos(0)
		if len(row) != len(header) {
			mistakes = append(mistakes, fmt.Errorf("line %d: %d fields, and the first line names %d", line, len(row), len(header)))
			continue
		}
		for _, err := range t.row(row, at) {
			mistakes = append(mistakes, fmt.Errorf("line %d: %w", line, err))
		}
	}
}

// places finds the columns in the first line. Others are passed over.
func places(header []string) (at map[string]int, mistakes []error) {
	at = map[string]int{}
	for i, name := range header {
		name = strings.ToLower(strings.TrimSpace(name))
		if _, twice := at[name]; twice && (slices.Contains(needed, name) || slices.Contains(optional, name)) {
			mistakes = append(mistakes, fmt.Errorf("line 1: the column %s is there twice", name))
		}
		at[name] = i
	}
	for _, name := range needed {
		if _, ok := at[name]; !ok {
			mistakes = append(mistakes, fmt.Errorf("line 1: the column %s is missing; columns are separated by commas", name))
		}
	}
	return at, mistakes
}

// row takes one device, or one more address of it.
func (t *deviceTable) row(row []string, at map[string]int) (mistakes []error) {
	bad := func(format string, args ...any) { mistakes = append(mistakes, fmt.Errorf(format, args...)) }
	cell := func(name string) string { return strings.TrimSpace(row[at[name]]) }
	d := controller.Device{ID: tocsin.DeviceID(cell("device")), Model: cell("model"), Firmware: cell("firmware")}
	if _, ok := at["owner"]; ok {
		d.Owner = tocsin.OwnerID(cell("owner"))
	}
	if d.ID == "" {
		bad("device is empty")
	}
	a, err := netip.ParseAddr(cell("address"))
	if err != nil {
		bad("address %.50q is none", cell("address"))
	}
	switch cell("compromised") {
	case "0":
	case "1":
		d.Compromised = true
	default:
		bad("compromised %.20q: write 0 or 1", cell("compromised"))
	}
	if text := cell("first_attack_act"); text != "" {
		d.FirstAttack, err = time.Parse(time.RFC3339, text)
		if y := d.FirstAttack.Year(); err != nil || y < 1970 || y > 2105 {
			bad("first_attack_act %.50q: write a time such as 2023-10-14T06:00:00Z, or nothing", text)
		}
		d.FirstAttack = d.FirstAttack.UTC()
	}
	if len(mistakes) > 0 {
		return mistakes
	}
	a = a.Unmap().WithZone("")
	if other, taken := t.byAddress[a]; taken {
		bad("address %v belongs to %.80q already", a, other)
		return mistakes
	}
	t.byAddress[a] = d.ID
	if n, known := t.number[d.ID]; !known {
		t.number[d.ID] = len(t.devices)
		t.devices = append(t.devices, d)
	} else if t.devices[n] != d {
		bad("device %.80q was described otherwise in an earlier line", d.ID)
	}
	return mistakes
}
