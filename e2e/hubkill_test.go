package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/internal/testnet"
	"github.com/tocsin-io/tocsin/keys"
	"github.com/tocsin-io/tocsin/uplink"
)

// loadVariable makes this test program the load of TestHubKilledAtRandom: it
// holds tokens, and the load runs until its standard input ends.
const loadVariable = "TOCSIN_E2E_LOAD"

const (
	killed  = 30
	loaders = 4
)

// TestHubKilledAtRandom kills the hub in the middle of its work, then restores it
// from a backup: whatever it acknowledged is there, and guards guard meanwhile.
func TestHubKilledAtRandom(t *testing.T) {
	if tokens := os.Getenv(loadVariable); tokens != "" {
		runLoad(t, strings.Fields(tokens))
		return
	}
	w := newTown(t, 3, "[policy]\ndevice_hour = 5000\ndevice_day = 5000\n")
	for i := range 2 {
		w.devices[i].write(ftpLog, "")
		w.join(i, "ada", "[[log]]\npath = \""+ftpLog+"\"\nservice = \"vsftpd\"\n")
		w.devices[i].startSSH()
	}
	a, b := w.devices[0], w.devices[1]
	l := w.startLoad(2)
	a.told("203.0.113.7")
	until(t, "the first block", func() bool { return b.holds("203.0.113.7") })

	rng := rand.New(rand.NewPCG(1, 2))
	for round := range killed {
		time.Sleep(time.Duration(rng.IntN(250)) * time.Millisecond)
		w.process.kill(syscall.SIGKILL)
		if source := fmt.Sprintf("203.0.113.%d", 100+round); round%6 == 0 {
			a.told(source)
			until(t, "a block while the hub is dead", func() bool { return a.holds(source) })
			if !b.holds("203.0.113.7") || b.reaches("203.0.113.7", sshPort) {
				t.Fatal("a guard lets in whom the dead hub had blocked")
			}
		}
		w.process = w.hub.start(w.hub.bin, "hub")
		if round%2 == 0 { // the others die while they start
			w.awaitHub()
		}
	}
	w.awaitHub()
	until(t, "what was seen meanwhile to reach the other device", func() bool { return b.holds("203.0.113.124") })
	w.restoreYesterday(l)
	w.compare(l.end())
}

// restoreYesterday puts a backup in the place of a hub that went on since.
func (w *town) restoreYesterday(l *load) {
	w.t.Helper()
	a, b := w.devices[0], w.devices[1]
	file := w.hub.dir + "/backup.tar.gz"
	w.say("hub", "backup", file)
	a.told("203.0.113.201")
	until(w.t, "a block after the backup", func() bool { return b.holds("203.0.113.201") })
	before := w.status()
	l.more(w.t)
	w.process.kill(syscall.SIGKILL)
	w.hub.run("rm", "-r", w.folder())
	w.hub.run(w.hub.bin, "hub", "restore", file, "--folder", w.folder())
	w.startHub()
	l.more(w.t) // and they offer again what the backup lacks
	a.told("203.0.113.202")
	until(w.t, "guards to follow the new epoch", func() bool { return b.holds("203.0.113.202") })
	until(w.t, "what was acknowledged after the backup", func() bool { return w.status().Serial >= before.Serial })
	after := w.status()
	if after.Lists[0].Epoch <= before.Lists[0].Epoch || after.Unreplayed != 0 {
		w.t.Errorf("epoch %d after %d, %d sightings lost", after.Lists[0].Epoch, before.Lists[0].Epoch, after.Unreplayed)
	}
	if !b.holds("203.0.113.201") || !b.holds("203.0.113.7") {
		w.t.Error("a block of before is gone")
	}
}

// compare looks whether all that was acknowledged is in the database, once.
func (w *town) compare(acknowledged map[tocsin.DeviceID]uint64) {
	w.t.Helper()
	told := w.status().Events
	w.process.stop(w.t)
	db, _ := w.database()
	defer db.Close()
	next := map[tocsin.DeviceID]uint64{}
	var kept uint64
	for e, err := range db.Since(w.t.Context(), 0) {
		if err != nil {
			w.t.Fatal(err)
		}
		kept++
		r := e.Received
		if r == nil || acknowledged[r.ID.Device] == 0 {
			continue
		}
		if next[r.ID.Device]++; r.ID.Counter != next[r.ID.Device] {
			w.t.Fatalf("%s: got sighting %d, want %d", r.ID.Device, r.ID.Counter, next[r.ID.Device])
		}
	}
	var sum uint64
	for id, n := range acknowledged {
		sum += n
		if next[id] < n {
			w.t.Errorf("%s: %d sightings were acknowledged, %d are kept", id, n, next[id])
		}
	}
	if told < kept {
		w.t.Errorf("the API tells of %d events, %d are kept", told, kept)
	}
	w.t.Logf("%d events kept; %d sightings acknowledged to %d loaders over %d kills and a restore", kept, sum, len(acknowledged), killed)
	if len(acknowledged) != loaders || sum < 10*killed {
		w.t.Errorf("that was no load")
	}
}

// A load is another process of this program, on a host of the town.
type load struct {
	in   io.WriteCloser
	out  *bytes.Buffer
	name string // of a file that it writes progress to
	wait func() error
	t    *testing.T
}

func (w *town) startLoad(device int) *load {
	w.t.Helper()
	self, err := os.Executable()
	if err != nil {
		w.t.Fatal(err)
	}
	tokens := make([]string, loaders)
	for i := range tokens {
		tokens[i] = w.token(fmt.Sprint("loader", i))
	}
	folder := w.t.TempDir()
	b := w.devices[device]
	cmd := b.command(b.net.Device, "env", loadVariable+"="+strings.Join(tokens, " "), "TOCSIN_E2E_FOLDER="+folder, self,
		"-test.run", "^TestHubKilledAtRandom$", "-test.v")
	l := &load{out: &bytes.Buffer{}, wait: cmd.Wait, t: w.t, name: filepath.Join(folder, "acknowledged")}
	cmd.Stdout, cmd.Stderr = l.out, l.out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if l.in, err = cmd.StdinPipe(); err != nil {
		w.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		l.in.Close()
		if w.t.Failed() {
			w.t.Logf("the load said:\n%s", l.out)
		}
	})
	until(w.t, "the load", func() bool { return len(l.acknowledged()) == loaders })
	return l
}

// acknowledged returns the newest sighting of each loader that the hub has
// acknowledged to it, as of a moment ago.
func (l *load) acknowledged() (all map[tocsin.DeviceID]uint64) {
	b, err := os.ReadFile(l.name)
	if err != nil || json.Unmarshal(b, &all) != nil {
		return nil
	}
	return all
}

// more waits until each loader had some more acknowledged.
func (l *load) more(t *testing.T) {
	t.Helper()
	before := l.acknowledged()
	until(t, "more of the load", func() bool {
		n := 0
		for id, counter := range l.acknowledged() {
			if counter > before[id]+2*perLoad {
				n++
			}
		}
		return n == loaders
	})
}

// end stops the load and returns what was acknowledged.
func (l *load) end() map[tocsin.DeviceID]uint64 {
	l.t.Helper()
	l.in.Close()
	if err := l.wait(); err != nil {
		l.t.Fatalf("the load: %v\n%s", err, l.out)
	}
	return l.acknowledged()
}

// perLoad is how many sightings a loader sends at once.
const perLoad = 40

// runLoad is the other process.
func runLoad(t *testing.T, tokens []string) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	folder := os.Getenv("TOCSIN_E2E_FOLDER")
	var mu sync.Mutex
	all := map[tocsin.DeviceID]uint64{}
	var wg sync.WaitGroup
	for i, token := range tokens {
		wg.Go(func() {
			l := newLoader(ctx, t, filepath.Join(folder, fmt.Sprint(i)), token)
			if l == nil {
				return
			}
			l.run(ctx, func(acknowledged uint64) {
				mu.Lock()
				defer mu.Unlock()
				all[l.have.Device] = max(all[l.have.Device], acknowledged)
				b, err := json.Marshal(all)
				if err == nil {
					err = os.WriteFile(filepath.Join(folder, "new"), b, 0o600)
				}
				if err == nil {
					err = os.Rename(filepath.Join(folder, "new"), filepath.Join(folder, "acknowledged"))
				}
				if err != nil {
					t.Error(err)
				}
			})
		})
	}
	wg.Wait()
}

// A loader is a device that sends as fast as the hub lets it.
type loader struct {
	t     *testing.T
	id    *keys.Identity
	clock *keys.Clock
	have  tocsin.ID // what the hub says it has
}

func newLoader(ctx context.Context, t *testing.T, folder, token string) *loader {
	device, _, err := uplink.Enrol(ctx, folder, token, uplink.About{Name: "loader"})
	if err != nil {
		t.Error(err)
		return nil
	}
	id, err := keys.OpenIdentity(folder)
	if err != nil {
		t.Error(err)
		return nil
	}
	return &loader{t: t, id: id, clock: keys.NewClock(time.Now, keys.Built(), time.Time{}), have: tocsin.ID{Device: device}}
}

func (l *loader) run(ctx context.Context, note func(uint64)) {
	for ctx.Err() == nil {
		wait := 20 * time.Millisecond // a hub that was killed is back soon
		taken, err := l.send(ctx)
		var refused *api.Error
		switch {
		case err == nil:
			l.have.Boot, l.have.Counter = taken.HaveBoot, taken.HaveCounter
			if taken.Accepted+taken.Repeated == perLoad { // none is a hub that was restored
				note(l.have.Counter)
			}
			continue
		case errors.As(err, &refused) && refused.RetryAfter > 0:
			wait = refused.RetryAfter
		case errors.As(err, &refused) && refused.Status < 500:
			l.t.Errorf("refused: %v", err)
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
}

// send hands in what follows what the hub has: a counter tells all of a sighting.
func (l *loader) send(ctx context.Context) (t api.Taken, err error) {
	config, err := l.id.TLS(l.clock)
	if err != nil {
		return t, err
	}
	client := api.AsDevice(testnet.TownAddr(0).String()+":7443", config)
	defer client.Close()
	now := time.Now().UTC()
	batch := make([]tocsin.Sighting, perLoad)
	for i := range batch {
		n := l.have.Counter + uint64(i) + 1
		id := tocsin.ID{Device: l.have.Device, Boot: 1, Counter: n}
		batch[i] = tocsin.Sighting{
			ID: id, Source: netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 18, byte(n >> 8), byte(n)}), 32), Port: 40000, Service: "ssh",
			First: now.Add(-time.Second), Last: now, Failures: 1, Provenance: tocsin.Attested,
			Accounts: []tocsin.Tried{{Tag: "root", Failures: 1}},
		}
	}
	return client.SendAfter(ctx, l.clock.Now(), l.have, batch)
}
