package incident_test

import (
	"bytes"
	"encoding/json"
	"math"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/sim/incident"
)

// wantFlowsIn wants connections of the incident's time and of its devices only,
// in the order of their ends.
func wantFlowsIn(t *testing.T, w *written) {
	t.Helper()
	if len(w.connections(t)) != w.summary.Flows {
		t.Errorf("%d connections, %d in the summary", len(w.connections(t)), w.summary.Flows)
	}
	devices := map[string]bool{}
	for _, d := range w.inventory {
		devices[d.Address.String()] = true
	}
	ids := map[string]bool{}
	for i, f := range w.connections(t) {
		at := f.at(t)
		if at.Before(w.truth.Start) || !at.Before(w.truth.End) || !devices[f.get("id.orig_h")] || ids[f.get("uid")] || len(f.get("uid")) != 18 {
			t.Fatalf("connection %d: %v", i, f)
		}
		ids[f.get("uid")] = true
		if f.get("conn_state") == "S0" && (f.get("duration") != "-" || f.get("resp_bytes") != "-" || f.get("resp_pkts") != "0") {
			t.Fatalf("connection %d was never answered: %v", i, f)
		}
	}
}

func TestFlows(t *testing.T) {
	for seed := range uint64(2) {
		w := write(t, incident.Config{Seed: seed, Devices: 90})
		wantFlowsIn(t, w)
		byDevice, byPlace := contacts(t, w)
		for _, d := range w.truth.Devices {
			gone := slices.Contains(d.Removed, "flows")
			if gone != (len(byDevice[d.Device]) == 0) {
				t.Errorf("%s: %d connections, removed %v", d.Device, len(byDevice[d.Device]), d.Removed)
			}
			if !gone {
				wantContacts(t, w, d, byDevice[d.Device])
			}
		}
		wantVendor(t, w, byPlace)
		private := 0
		for _, by := range byPlace {
			if len(by) == 1 {
				private++
			}
		}
		if private < 15*len(w.inventory) {
			t.Errorf("only %d destinations are of one device", private)
		}
	}
}

// contacts returns when each device contacted each destination, both ways round.
func contacts(t *testing.T, w *written) (map[tocsin.DeviceID]map[netip.AddrPort][]flow, map[netip.AddrPort]map[tocsin.DeviceID]bool) {
	t.Helper()
	names := map[string]tocsin.DeviceID{}
	for _, d := range w.inventory {
		names[d.Address.String()] = d.Device
	}
	byDevice := map[tocsin.DeviceID]map[netip.AddrPort][]flow{}
	byPlace := map[netip.AddrPort]map[tocsin.DeviceID]bool{}
	for _, f := range w.connections(t) {
		d, to := names[f.get("id.orig_h")], f.to(t)
		if byDevice[d] == nil {
			byDevice[d] = map[netip.AddrPort][]flow{}
		}
		byDevice[d][to] = append(byDevice[d][to], f)
		if byPlace[to] == nil {
			byPlace[to] = map[tocsin.DeviceID]bool{}
		}
		byPlace[to][d] = true
	}
	return byDevice, byPlace
}

// attacked is where compromised devices look for others.
var attacked = netip.MustParsePrefix("198.18.144.0/20")

// wantContacts looks at what one device contacted.
func wantContacts(t *testing.T, w *written, d incident.TrueDevice, made map[netip.AddrPort][]flow) {
	t.Helper()
	commands := made[w.truth.Controller]
	if shows := slices.Contains(d.Shows, "controller"); shows != (len(commands) > 0) {
		t.Errorf("%s: %d contacts with the controller, shows %v", d.Device, len(commands), d.Shows)
	}
	if shows := slices.Contains(d.Shows, "payload"); shows != (len(made[w.truth.Payload]) > 0) {
		t.Errorf("%s: %d contacts with the payload host, shows %v", d.Device, len(made[w.truth.Payload]), d.Shows)
	}
	if !d.Compromised {
		for _, to := range w.truth.Targets {
			if len(made[to]) > 0 {
				t.Errorf("%s attacks %v", d.Device, to)
			}
		}
		return
	}
	if len(commands) > 0 && (len(commands) < 4 || commands[0].at(t).Before(d.Entered)) {
		t.Errorf("%s: %d contacts with the controller, entered %v, first %v", d.Device, len(commands), d.Entered, commands[0].at(t))
	}
	first, refused, all := w.truth.End, 0, 0
	scanned := map[string]bool{}
	for to, list := range made {
		target := slices.Contains(w.truth.Targets, to)
		for _, f := range list {
			if target || attacked.Contains(to.Addr()) {
				if at := f.at(t); at.Before(first) {
					first = at
				}
				all++
				if f.get("conn_state") == "S0" || f.get("conn_state") == "REJ" {
					refused++
				}
				scanned[to.Addr().String()] = true
			}
		}
	}
	if !first.Equal(d.FirstAct) {
		t.Errorf("%s: first attack at %v, want %v", d.Device, first, d.FirstAct)
	}
	if float64(refused) < 0.6*float64(all) {
		t.Errorf("%s: %d of %d attacks were refused", d.Device, refused, all)
	}
	if shows := slices.Contains(d.Shows, "scan"); shows != (len(scanned) > 120) {
		t.Errorf("%s: attacks %d others, shows %v", d.Device, len(scanned), d.Shows)
	}
}

// wantVendor: every device contacts some server of the vendor, and nobody else's
// model does what only one model does.
func wantVendor(t *testing.T, w *written, byPlace map[netip.AddrPort]map[tocsin.DeviceID]bool) {
	t.Helper()
	reached := map[tocsin.DeviceID]bool{}
	confounds := false
	for _, to := range w.truth.Vendor {
		models := map[string]bool{}
		for _, d := range w.inventory {
			if byPlace[to][d.Device] {
				reached[d.Device] = true
				models[d.Model] = true
			}
		}
		confounds = confounds || len(models) == 1 && models["A-464"]
	}
	if !confounds {
		t.Error("no server of the vendor is for the model alone that is compromised")
	}
	for _, d := range w.truth.Devices {
		if !reached[d.Device] && !slices.Contains(d.Removed, "flows") {
			t.Errorf("%s does not contact its vendor", d.Device)
		}
	}
}

// TestControllerIsRegular: most compromised devices contact it at even times, and
// before they attack.
func TestControllerIsRegular(t *testing.T) {
	w := write(t, incident.Config{Seed: 11, Devices: 400})
	byDevice, _ := contacts(t, w)
	regular, before, all := 0, 0, 0
	for _, d := range w.truth.Devices {
		list := byDevice[d.Device][w.truth.Controller]
		if len(list) < 3 {
			continue
		}
		all++
		slices.SortFunc(list, func(a, b flow) int { return a.at(t).Compare(b.at(t)) })
		if list[0].at(t).Before(d.FirstAct) {
			before++
		}
		shortest, longest := time.Duration(math.MaxInt64), time.Duration(0)
		for i := 1; i < len(list); i++ {
			gap := list[i].at(t).Sub(list[i-1].at(t))
			shortest, longest = min(shortest, gap), max(longest, gap)
		}
		if longest < 2*shortest {
			regular++
		}
	}
	if all < 10 || before < all*3/4 || regular < all/2 || regular == all {
		t.Errorf("of %d devices %d are regular, and %d contact it before they attack", all, regular, before)
	}
	wantLabels(t, w)
}

// wantLabels: devices.csv knows 60 % of the compromised devices with telemetry,
// and few others.
func wantLabels(t *testing.T, w *written) {
	t.Helper()
	head, rows := w.table(t, "devices.csv")
	if got := strings.Join(head, ","); got != "device,address,model,firmware,compromised,first_attack_act" {
		t.Errorf("devices.csv: %s", got)
	}
	right, wrong, could := 0, 0, 0
	for i, row := range rows {
		d, known := w.truth.Devices[i], w.inventory[i]
		if row["device"] != string(d.Device) || row["address"] != known.Address.String() || row["model"] != known.Model || row["firmware"] != known.Firmware {
			t.Errorf("%v is not %+v", row, known)
		}
		if d.Compromised && len(d.Removed) == 0 {
			could++
		}
		if (row["compromised"] == "1") != d.Labelled || (row["first_attack_act"] != "") != d.Labelled {
			t.Errorf("%v, labelled %v", row, d.Labelled)
		}
		if !d.Labelled {
			continue
		}
		at, err := time.Parse(time.RFC3339, row["first_attack_act"])
		if err != nil || d.Compromised && !at.Equal(d.FirstAct) {
			t.Errorf("%v: %v, want %v", row, err, d.FirstAct)
		}
		if d.Compromised {
			right++
		} else {
			wrong++
		}
	}
	if right != int(0.6*float64(could)+0.5) || wrong > len(rows)/100 {
		t.Errorf("%d of %d compromised devices are labelled, and %d of %d others", right, could, wrong, len(rows))
	}
}

// TestFlowsAsJSON: the same, without what is not known.
func TestFlowsAsJSON(t *testing.T) {
	w := write(t, incident.Config{Seed: 12, Devices: 10, JSONFlows: true})
	i, flows := 0, w.connections(t)
	for line := range bytes.Lines(w.read(t, "flows/conn.json.log")) {
		var object map[string]any
		dec := json.NewDecoder(bytes.NewReader(line))
		dec.UseNumber()
		if err := dec.Decode(&object); err != nil {
			t.Fatal(err)
		}
		for _, column := range w.columns {
			want := flows[i].get(column)
			got, ok := object[column]
			switch {
			case want == "-" && !ok:
			case want == "T" && got == true, want == "F" && got == false:
			case ok && want == text(got):
			default:
				t.Fatalf("line %d: %s is %v, want %s", i+1, column, got, want)
			}
		}
		i++
	}
	if i != len(flows) {
		t.Errorf("%d lines, want %d", i, len(flows))
	}
}

func text(v any) string {
	switch v := v.(type) {
	case json.Number:
		return v.String()
	case string:
		return v
	}
	return ""
}
