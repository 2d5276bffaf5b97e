package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/tocsin-io/tocsin/internal/testnet"
)

// townSamples of latencyRuns runs are within what one owner may have blocked in an
// hour.
const townSamples = 250

// measureTown times lines of one device until they are rules in the kernel of
// another of the same owner: two real guards and a real hub, each in a network
// of its own.
func measureTown(ctx context.Context, e *env) (section, error) {
	town, err := testnet.OpenTown(3)
	if err != nil {
		return section{}, err
	}
	defer town.Close()
	var boxes [3]*box
	for i, name := range []string{"hub", "attacked", "other"} {
		if boxes[i], err = openBoxOn(ctx, e, "town-"+name, town.Net(i)); err != nil {
			return section{}, err
		}
		defer boxes[i].close()
	}
	h, err := startTownHub(ctx, boxes[0])
	if err != nil {
		return section{}, err
	}
	defer h.stop()
	path := filepath.Join(e.dir, "town.log")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return section{}, err
	}
	defer f.Close()
	reads := "[read]\njournal = \"no\"\n[[log]]\npath = \"" + path + "\"\nservice = \"ssh\"\n"
	var guards [2]*daemon
	for i, config := range []string{reads, ""} {
		if guards[i], err = joinTown(ctx, boxes[0], boxes[i+1], oneIsEnough+config); err != nil {
			return section{}, err
		}
		defer guards[i].stop()
	}
	s := &stand{box: boxes[1], guard: guards[0], next: netip.MustParseAddr("198.18.0.1"), write: func(line string) error {
		_, err := fmt.Fprintf(f, "%s nas sshd[%d]: %s\n", time.Now().Format(time.Stamp), os.Getpid(), line)
		return err
	}}
	if s.got, s.stop, err = landings(boxes[2].net.Device); err != nil {
		return section{}, err
	}
	defer s.stop()
	runs, err := s.runs(ctx, townSamples, 20*time.Millisecond, 60*time.Millisecond)
	if err != nil {
		return section{}, err
	}
	best := quietest(runs)
	return section{
		rows: []row{{
			figure: "line in device A's log → rule in the kernel of device B of the same owner", must: "p99 ≤ 1 s", measured: best.String(),
			verdict: judge(best.at(0.99) <= time.Second), known: "the campaign of October 2023: seven hours",
		}},
		detail: "## From device to device\n\nA hub and two guards in network namespaces, their state on the disk. Time runs from before the write of a line on\n" +
			"one device until nf_tables tells on the other that the element is in force.\n\n" + runsTable("town", runs),
		commands: []string{"scripts/bench.sh -o - -only town"},
	}, nil
}

// townSocket is the hub's control socket.
func townSocket(b *box) string { return b.dir + "/hub/hub.sock" }

func startTownHub(ctx context.Context, b *box) (*daemon, error) {
	address := testnet.TownAddr(0).String() + ":7443"
	config := "[hub]\nfolder = \"" + b.dir + "/hub\"\naddresses = [\"" + address + "\"]\n[policy]\ndevice_hour = 5000\ndevice_day = 5000\n"
	if err := b.write(ctx, "/etc/tocsin/hub.toml", config); err != nil {
		return nil, err
	}
	return b.start(ctx, []string{b.bin, "hub", "status", "--hub-socket", townSocket(b)}, b.bin, "hub")
}

// joinTown enrols a device, starts its guard, and waits until it hears the hub.
func joinTown(ctx context.Context, h, b *box, config string) (*daemon, error) {
	out, err := h.command(ctx, h.bin, "devices", "add", "--owner", "home", "--json", "--hub-socket", townSocket(h)).Output()
	var token struct{ Token string }
	if err = errors.Join(err, json.Unmarshal(out, &token)); err != nil {
		return nil, fmt.Errorf("token: %w", err)
	}
	if err := b.write(ctx, "/etc/tocsin/guard.toml", "[guard]\nstate = \""+b.dir+"/state\"\n"); err != nil {
		return nil, err
	}
	if out, err := b.command(ctx, b.bin, "enroll", token.Token).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("enroll: %w: %s", err, out)
	}
	g, err := b.guard(ctx, config)
	if err != nil {
		return nil, err
	}
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if out, err := b.command(ctx, b.bin, "status").Output(); err == nil && strings.Contains(string(out), ", connected;") {
			return g, nil
		}
	}
	g.stop()
	return nil, errors.New("the device does not hear the hub: " + g.output())
}
