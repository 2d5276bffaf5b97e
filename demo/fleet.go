package demo

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path"
	"path/filepath"
	"sync"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/internal/clock"
	"github.com/tocsin-io/tocsin/keys"
	"github.com/tocsin-io/tocsin/sim/play"
	"github.com/tocsin-io/tocsin/uplink"
)

// A place is one line of the inventory of an invented incident.
type place struct {
	Device   tocsin.DeviceID `json:"device"`
	Owner    tocsin.OwnerID  `json:"owner"`
	Model    string          `json:"model"`
	Firmware string          `json:"firmware"`
	Address  netip.Addr      `json:"address"`
	Network  uint32          `json:"network"`
	Country  string          `json:"country"`
	Logs     []struct {
		Service tocsin.Service `json:"service"`
		Path    string         `json:"path"`
	} `json:"logs"`
}

// A device is one of the fleet.
type device struct {
	place
	dir    string          // its files
	id     tocsin.DeviceID // as the hub calls it
	guards bool            // its telemetry is there: a guard runs
	kernel bool            // in a network namespace of its own, by the kernel's firewall
	gate   *gate           // its way to the hub
	from   netip.Addr      // whence the hub sees it
}

// duty is what it takes to run the device's guard.
func (d *device) duty(clk *clock.Clock, version string) duty {
	one := duty{Name: string(d.Device), Dir: d.dir, Version: version, Clock: clk.State(), Gate: d.gate.socket, Port: d.gate.port()}
	for _, l := range d.Logs {
		one.Logs = append(one.Logs, logFile{Service: l.Service, Path: filepath.Join(d.dir, path.Base(l.Path))})
	}
	return one
}

// readFleet reads the devices of an incident that was prepared to be played.
func readFleet(incident, live string) ([]*device, error) {
	b, err := os.ReadFile(filepath.Join(incident, "inventory.json"))
	if err != nil {
		return nil, err
	}
	var places []place
	if err := json.Unmarshal(b, &places); err != nil {
		return nil, fmt.Errorf("inventory.json: %w", err)
	}
	if b, err = os.ReadFile(filepath.Join(live, play.Fleet)); err != nil {
		return nil, err
	}
	rows, err := csv.NewReader(bytes.NewReader(b)).ReadAll()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", play.Fleet, err)
	}
	runs := map[string]bool{}
	for _, row := range rows {
		runs[row[0]] = row[len(row)-1] == "1"
	}
	fleet := make([]*device, len(places))
	for i, p := range places {
		fleet[i] = &device{
			place: p, dir: filepath.Join(live, string(p.Device)), guards: runs[string(p.Device)],
			// Each network has a block of loopback addresses: the hub sees devices of
			// as many networks as there are.
			from: netip.AddrFrom4([4]byte{127, byte(64 + p.Network>>8&63), byte(p.Network), byte(1 + i%250)}),
		}
	}
	return fleet, nil
}

// networks returns the table of networks of the incident, with the loopback
// addresses from which the devices connect.
func networks(incident string, fleet []*device) ([]byte, error) {
	b, err := os.ReadFile(filepath.Join(incident, "networks.csv"))
	if err != nil {
		return nil, err
	}
	seen := map[netip.Prefix]bool{}
	for _, d := range fleet {
		p, err := d.from.Prefix(24)
		if err != nil {
			return nil, err
		}
		if !seen[p] {
			seen[p] = true
			last := d.from.As4()
			last[3] = 255
			b = fmt.Appendf(b, "%s,%s,%d,%s\n", p.Addr(), netip.AddrFrom4(last), d.Network, d.Country)
		}
	}
	return b, nil
}

// enrolling is how many devices enrol at a time.
const enrolling = 8

// enrol makes every device of the fleet a device of the hub: a token for each,
// redeemed by the device itself at its gate.
func enrol(ctx context.Context, c *api.Client, clk *clock.Clock, fleet []*device, version string) error {
	todo := make(chan *device)
	errs := make([]error, enrolling)
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var wg sync.WaitGroup
	for i := range enrolling {
		wg.Go(func() {
			for d := range todo {
				if err := d.enrol(ctx, c, clk, version); err != nil {
					errs[i] = fmt.Errorf("enrol %s: %w", d.Device, err)
					stop()
				}
			}
		})
	}
	for _, d := range fleet {
		select {
		case todo <- d:
		case <-ctx.Done():
		}
	}
	close(todo)
	wg.Wait()
	return errors.Join(append(errs, ctx.Err())...)
}

func (d *device) enrol(ctx context.Context, c *api.Client, clk *clock.Clock, version string) error {
	made, err := c.NewToken(ctx, api.TokenWish{Owner: d.Owner})
	if err != nil {
		return err
	}
	token, err := keys.ParseToken(made.Token)
	if err != nil {
		return err
	}
	token.Addresses = []string{d.gate.address()}
	text, err := token.Text()
	if err != nil {
		return err
	}
	d.id, _, err = uplink.Enrol(ctx, filepath.Join(d.dir, "state", "hub"), text, uplink.About{
		Name: string(d.Device), Model: d.Model, Firmware: d.Firmware, Version: version, Clock: clk,
	})
	if err != nil {
		return err
	}
	labels := map[string]string{"address": d.Address.String(), "model": d.Model, "firmware": d.Firmware}
	_, err = c.ChangeDevice(ctx, d.id, api.DeviceChange{Labels: &labels})
	return err
}
