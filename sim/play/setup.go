package play

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// Fleet is the name of the table of devices that is prepared: device, owner,
// address, model, firmware, and whether a guard is to run (1), or its telemetry was
// removed, as if somebody had stopped it (0).
const Fleet = "fleet.csv"

// setUp writes what it takes to have guards read what is played: a configuration
// of each, with the firewall in memory, and the table of them all.
func (p *player) setUp() error {
	dir, err := filepath.Abs(p.c.To)
	if err != nil {
		return err
	}
	var table bytes.Buffer
	out := csv.NewWriter(&table)
	for i := range p.devices {
		d := &p.devices[i]
		guard := "0"
		if d.tells {
			guard = "1"
		}
		err = errors.Join(err, out.Write([]string{string(d.Device), string(d.Owner), d.Address.String(), d.Model, d.Firmware, guard}),
			p.folder.append(string(d.Device)+"/guard.toml", []byte(d.config(filepath.Join(dir, string(d.Device))))))
	}
	out.Flush()
	return errors.Join(err, out.Error(), p.folder.append(Fleet, table.Bytes()))
}

// config is the configuration of a device's guard, whose files are in dir.
func (d *device) config(dir string) string {
	var services []string
	var logs strings.Builder
	for _, l := range d.Logs {
		services = append(services, fmt.Sprintf("%q", l.Service))
		fmt.Fprintf(&logs, "\n[[log]]\npath = %q\nservice = %q\n", filepath.Join(dir, path.Base(l.Path)), l.Service)
	}
	user := ""
	if os.Geteuid() == 0 { // what it reads and writes is root's
		user = "user = \"root\"\n"
	}
	return fmt.Sprintf(`# %s of an invented incident: reads what is played, blocks in memory only.
[guard]
state = %q
socket = %q
device = %q
%s
[firewall]
backend = "memory"

[read]
journal = "no"
services = [%s]
root = %q
%s`, d.Device, filepath.Join(dir, "state"), filepath.Join(dir, "guard.sock"), d.Device, user, strings.Join(services, ", "), filepath.Join(dir, "root"), logs.String())
}
