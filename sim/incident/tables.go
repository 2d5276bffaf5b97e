package incident

import (
	"bufio"
	"context"
	"encoding/csv"
	"encoding/json"
	"net/netip"
	"time"

	"github.com/tocsin-io/tocsin"
)

// write writes all files, the truth last: an incident that has it is whole.
func (w *world) write(ctx context.Context, f *folder) error {
	files := []struct {
		name string
		fill func(*bufio.Writer) error
	}{
		{readme, writeReadme},
		{"inventory.json", w.writeInventory},
		{"devices.csv", w.writeDevices},
		{"networks.csv", writeNetworks},
		{"countries.csv", writeCountries},
		{"trace.jsonl", w.writeTrace},
		{"flows/conn.log", func(out *bufio.Writer) error { return w.writeFlows(ctx, out, false) }},
	}
	for _, file := range files {
		if err := f.file(file.name, file.fill); err != nil {
			return err
		}
	}
	if w.c.JSONFlows {
		fill := func(out *bufio.Writer) error { return w.writeFlows(ctx, out, true) }
		if err := f.file("flows/conn.json.log", fill); err != nil {
			return err
		}
	}
	if err := w.writeLogs(ctx, f); err != nil {
		return err
	}
	return f.file(TruthFile, w.writeTruth)
}

func indented(out *bufio.Writer, v any) error {
	enc := json.NewEncoder(out)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

func (w *world) writeTruth(out *bufio.Writer) error { return indented(out, w.truth()) }

// inventoryLog is a log that a device should have, whether it was removed or not.
type inventoryLog struct {
	Service tocsin.Service `json:"service"`
	Path    string         `json:"path"`
}

// writeInventory writes what an operator knows of the devices.
func (w *world) writeInventory(out *bufio.Writer) error {
	type line struct {
		Device   tocsin.DeviceID `json:"device"`
		Owner    tocsin.OwnerID  `json:"owner"`
		Model    string          `json:"model"`
		Firmware string          `json:"firmware"`
		Address  netip.Addr      `json:"address"`
		Prefix   netip.Prefix    `json:"prefix"`
		Network  uint32          `json:"network"`
		Country  string          `json:"country"`
		Logs     []inventoryLog  `json:"logs"`
	}
	list := make([]line, 0, len(w.devices))
	for i := range w.devices {
		d := &w.devices[i]
		l := line{
			Device: d.name, Owner: w.owners[d.owner].id, Model: d.model, Firmware: d.firmware, Address: d.address,
			Prefix: d.network.prefix, Network: d.network.as, Country: d.network.country,
		}
		for _, s := range d.services {
			l.Logs = append(l.Logs, inventoryLog{serviceNames[s], "devices/" + string(d.name) + "/" + logFiles[s]})
		}
		list = append(list, l)
	}
	return indented(out, list)
}

// writeDevices writes the table that tocsin controllers rank reads.
func (w *world) writeDevices(out *bufio.Writer) error {
	table := csv.NewWriter(out)
	labels := w.labels()
	_ = table.Write([]string{"device", "address", "model", "firmware", "compromised", "first_attack_act"}) // Error tells
	for i := range w.devices {
		d := &w.devices[i]
		compromised, act := "0", ""
		if at, ok := labels[i]; ok {
			compromised, act = "1", time.Unix(at, 0).UTC().Format(time.RFC3339)
		}
		_ = table.Write([]string{string(d.name), d.address.String(), d.model, d.firmware, compromised, act})
	}
	table.Flush()
	return table.Error()
}

// writeTrace writes what the logs show, as tocsin replay reads it.
func (w *world) writeTrace(out *bufio.Writer) error {
	type line struct {
		Time    time.Time       `json:"time"`
		Service tocsin.Service  `json:"service"`
		Outcome string          `json:"outcome"`
		Source  netip.Addr      `json:"source"`
		Port    uint16          `json:"port,omitempty"`
		Account string          `json:"account"`
		Device  tocsin.DeviceID `json:"device"`
		Owner   tocsin.OwnerID  `json:"owner"`
		Label   string          `json:"label,omitempty"`
		Unknown bool            `json:"unknown,omitempty"`
	}
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	for i := range w.attempts {
		a := &w.attempts[i]
		d := &w.devices[a.device]
		l := line{
			Time: time.Unix(a.at, 0).UTC(), Service: serviceNames[a.service], Outcome: a.outcome.String(), Source: a.source, Port: a.port,
			Account: a.account, Device: d.name, Owner: w.owners[d.owner].id, Unknown: a.unknown,
		}
		if a.group == benign {
			l.Label = "benign"
		}
		if err := enc.Encode(l); err != nil {
			return err
		}
	}
	return nil
}

func writeReadme(out *bufio.Writer) error {
	_, err := out.WriteString(heading + `
Written by tocsin sim incident. Nothing in it ever happened, and nobody was blocked in it: devices, people and
attackers are made up, and every address is of the ranges kept for documentation and benchmarks.

| file | |
|---|---|
| devices/NAME/ | the logs of a device as its services write them, older ones as .1 and .2.gz; events.jsonl is what else happened to it |
| flows/conn.log | connections that the devices opened, as Zeek writes them |
| devices.csv | which devices are thought to be compromised, for tocsin controllers rank |
| inventory.json | owner, model, firmware, address, network and logs of each device |
| networks.csv | who owns which addresses, for tocsin hub networks |
| countries.csv | in which country they are |
| trace.jsonl | all attempts that the logs show, for tocsin replay |
| truth.json | what is true: read by tests only |

Missing logs, lines and connections are part of the incident. Times that name no zone are in UTC.
`)
	return err
}
