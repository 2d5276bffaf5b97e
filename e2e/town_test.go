package e2e_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/internal/testnet"
	"github.com/tocsin-io/tocsin/store/sqlite"
)

// A town is a hub and devices, each a machine in a network of its own, and the
// world that attacks them.
type town struct {
	t       *testing.T
	net     *testnet.Town
	hub     *box
	process *process // tocsin hub
	devices []*box
}

// newTown starts a hub and makes so many devices, which belong to nobody yet.
func newTown(t *testing.T, devices int, config string) *town {
	t.Helper()
	testnet.Need(t, programs...)
	w := &town{t: t, net: testnet.NewTown(t, devices+1)}
	w.hub = openBox(t, w.net.Net(0), testnet.TownAddr(0))
	for i := range devices {
		w.devices = append(w.devices, openBox(t, w.net.Net(i+1), testnet.TownAddr(i+1)))
	}
	w.hub.write("/etc/tocsin/hub.toml", "[hub]\nfolder = \""+w.folder()+"\"\naddresses = [\""+w.address()+"\"]\n"+config)
	w.startHub()
	return w
}

func (w *town) folder() string  { return w.hub.dir + "/hub" }
func (w *town) address() string { return testnet.TownAddr(0).String() + ":7443" }

// startHub starts tocsin hub as root does: it gives up root by itself.
func (w *town) startHub() {
	w.t.Helper()
	w.process = w.hub.start(w.hub.bin, "hub")
	w.awaitHub()
}

func (w *town) awaitHub() {
	w.t.Helper()
	p := w.process
	until(w.t, "the hub", func() bool {
		select {
		case <-p.done:
			w.t.Fatalf("the hub ended:\n%s", p.output())
		default:
		}
		return w.ask("hub", "status").Run() == nil
	})
}

// ask is a command to the hub, on its own machine.
func (w *town) ask(args ...string) *exec.Cmd {
	w.t.Helper()
	return w.hub.command(w.hub.net.Device, w.hub.bin, append(args, "--hub-socket", w.folder()+"/hub.sock")...)
}

// say has the hub do something that must succeed.
func (w *town) say(args ...string) string {
	w.t.Helper()
	out, err := w.ask(args...).CombinedOutput()
	if err != nil {
		w.t.Fatalf("tocsin %v: %v\n%s", args, err, out)
	}
	return string(out)
}

func (w *town) status() (s api.Status) {
	w.t.Helper()
	if err := json.Unmarshal([]byte(w.say("hub", "status", "--json")), &s); err != nil {
		w.t.Fatal(err)
	}
	return s
}

// token invites a device of an owner.
func (w *town) token(owner string) string {
	w.t.Helper()
	var token api.Token
	if err := json.Unmarshal([]byte(w.say("devices", "add", "--owner", owner, "--json")), &token); err != nil {
		w.t.Fatal(err)
	}
	return token.Token
}

// join enrols a device, starts its guard and waits until it is connected.
func (w *town) join(device int, owner, config string) *process {
	w.t.Helper()
	b := w.devices[device]
	b.write("/etc/tocsin/guard.toml", "[guard]\nstate = \""+b.dir+"/state\"\n")
	b.run(b.bin, "enroll", w.token(owner), "--name", fmt.Sprint("nas", device))
	g := b.startGuard("nft", config)
	w.connected(device)
	return g
}

// connected waits until a device hears the hub.
func (w *town) connected(device int) {
	w.t.Helper()
	until(w.t, "the device to be connected", func() bool {
		h := w.devices[device].status().Hub
		return h != nil && h.Via == "push" && h.Unsent == 0
	})
}

// holds reports whether the kernel of a device drops what comes from an address.
func (b *box) holds(source string) bool {
	b.t.Helper()
	a := netip.MustParseAddr(source)
	for word := range strings.FieldsSeq(b.run("nft", "list", "table", "inet", "tocsin")) {
		if got, err := netip.ParseAddr(strings.Trim(word, ",{}")); err == nil && got == a {
			return true
		}
	}
	return false
}

// guess has an attacker guess at the device's sshd until it blocks him.
func (b *box) guess(t *testing.T, source string) {
	t.Helper()
	for n := range guesses {
		if b.ssh(source, guesses[n], "guess"); b.holds(source) {
			return
		}
	}
	until(t, "the attacked device to block "+source, func() bool { return b.holds(source) })
}

// ftpLog is a log for attacks that are only written down.
const ftpLog = "/var/log/vsftpd.log"

// told writes what vsftpd would of an attacker.
func (b *box) told(source string) { b.append(ftpLog, ftpLines(source)) }

// age makes the hub know its devices for longer: who enrolled lately is no
// witness yet. The hub must be down.
func (w *town) age(by time.Duration) {
	w.t.Helper()
	db, folder := w.database()
	for d, err := range db.Devices(w.t.Context()) {
		if err != nil {
			w.t.Fatal(err)
		}
		d.Enrolled = d.Enrolled.Add(-by)
		if err := db.Change(w.t.Context(), d); err != nil {
			w.t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		w.t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(folder, "tocsin.db"))
	if err != nil {
		w.t.Fatal(err)
	}
	w.hub.run("sh", "-c", "rm "+w.folder()+"/tocsin.db*")
	w.hub.write(w.folder()+"/tocsin.db", string(b))
	w.hub.run("chown", "tocsin", w.folder()+"/tocsin.db")
}

// database opens a copy of what a hub that is down keeps, in a folder.
func (w *town) database() (db *sqlite.Store, folder string) {
	w.t.Helper()
	folder = w.t.TempDir()
	for _, name := range []string{"tocsin.db", "tocsin.db-wal"} {
		b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(w.hub.pid), "root", w.folder(), name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(folder, name), b, 0o600)
		}
		if err != nil {
			w.t.Fatal(err)
		}
	}
	db, err := sqlite.Open(w.t.Context(), folder, time.Now)
	if err != nil {
		w.t.Fatal(err)
	}
	return db, folder
}

// monitor tells which addresses become elements of a set in the device's kernel,
// as they do.
func (b *box) monitor() <-chan string {
	b.t.Helper()
	cmd := b.command(b.net.Device, "nft", "monitor", "new", "elements")
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.t.Fatal(err)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		cmd.Wait()
	})
	got := make(chan string, 4096)
	go func() {
		defer close(got)
		buf := make([]byte, 1<<16)
		for {
			n, err := out.Read(buf)
			if err != nil {
				return
			}
			got <- string(buf[:n])
		}
	}()
	return got
}

// lands waits until an address is told by a monitor.
func lands(got <-chan string, source string, wait time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	for {
		select {
		case text, ok := <-got:
			if !ok {
				return io.ErrUnexpectedEOF
			}
			if slices.Contains(strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(" ,{}\n", r) }), source) {
				return nil
			}
		case <-ctx.Done():
			return errors.New(source + " did not come")
		}
	}
}
