package hub_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/hub"
	"github.com/tocsin-io/tocsin/store"
	"github.com/tocsin-io/tocsin/store/storetest"
)

// TestADatabaseThatFails has the database be locked, damaged and full, before a
// commit and after it.
func TestADatabaseThatFails(t *testing.T) {
	var faulty *storetest.Faulty
	w := newWorld(t, func(w *world) {
		w.wrap = func(s hub.Store) hub.Store {
			faulty = &storetest.Faulty{Store: s.(storetest.Store)}
			return faulty
		}
	})
	a, b := w.enlist(api.TokenWish{Owner: "home"}), w.enrol("home")
	b.attacked("203.0.113.1/32") // and then it sends nothing more
	w.eventually("its own block", func() bool { return b.blocks("203.0.113.1/32") })
	for i, err := range []error{store.ErrBusy, store.ErrFull, store.ErrDamaged} {
		source := fmt.Sprintf("198.51.100.%d/32", i+1)
		s := a.saw(source, 5, tocsin.BlockedHere)
		faulty.Fail("Append", 1, err)
		var told *api.Error
		if _, got := a.send(t.Context(), s); !errors.As(got, &told) || told.Status < 500 || err == store.ErrFull && !strings.Contains(told.Text, "full") {
			t.Errorf("%v is told as %v", err, got)
		}
		if i == 2 { // the answer is lost, not the sighting
			faulty.Lose("Append", 1, err)
			if _, got := a.send(t.Context(), s); got == nil {
				t.Error("an error was not told")
			}
		}
		taken, got := a.send(t.Context(), s)
		if got != nil || taken.Accepted+taken.Repeated != 1 {
			t.Errorf("after %v: %+v, %v", err, taken, got)
		}
		w.eventually("what was acknowledged counts", func() bool { return b.blocks(source) })
	}
	if s, err := w.admin.Status(t.Context()); err != nil || s.Events != 4 {
		t.Errorf("%d events of 4: %v", s.Events, err)
	}
}

// childVariable makes this test program the other process of a test.
const childVariable = "TOCSIN_HUB_CHILD"

func child(t *testing.T, value string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, "-test.run", "^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), childVariable+"="+value)
	cmd.Stderr = os.Stderr
	return cmd
}

// TestTheDiskIsFull fills the disk of a hub, in a mount namespace of its own.
func TestTheDiskIsFull(t *testing.T) {
	if folder := os.Getenv(childVariable); folder != "" {
		diskFull(t, folder)
		return
	}
	if os.Getuid() != 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("needs root")
		}
		t.Skip("needs root to mount a tiny file system")
	}
	c := child(t, t.TempDir())
	c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	if out, err := c.Output(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func diskFull(t *testing.T, folder string) {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", folder, "tmpfs", 0, "size=8m"); err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, func(w *world) { w.folder = filepath.Join(folder, "hub") })
	a, b, probe := w.enrol("home"), w.enrol("home"), w.enlist(api.TokenWish{Owner: "probe"})
	a.attacked("198.51.100.1/32")
	w.eventually("the first block", func() bool { return b.blocks("198.51.100.1/32") })
	junk := filepath.Join(folder, "junk")
	f, err := os.Create(junk)
	w.must(err)
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	w.must(f.Close())

	var refused *api.Error
	acknowledged := 0
	for n := range 5000 { // the first ones still find room in the database
		source := fmt.Sprintf("198.18.%d.%d/32", n>>8, n&255)
		taken, err := probe.send(t.Context(), probe.saw(source, 1))
		if err != nil {
			if !errors.As(err, &refused) || refused.Status != http.StatusInsufficientStorage && refused.Status < 500 || !strings.Contains(refused.Text, "full") {
				t.Fatalf("a full disk is told as %v", err)
			}
			break
		}
		acknowledged += taken.Accepted
	}
	if refused == nil {
		t.Fatal("the disk is not full")
	}
	a.attacked("198.51.100.2/32") // kept by the device meanwhile
	if !b.blocks("198.51.100.1/32") {
		t.Error("a block is gone")
	}
	w.must(os.Remove(junk))
	w.eventually("the device is heard once there is room", func() bool { return b.blocks("198.51.100.2/32") })
	if s, err := w.admin.Status(t.Context()); err != nil || s.Events != uint64(acknowledged)+2 {
		t.Errorf("%d events, acknowledged were %d and two: %v", s.Events, acknowledged, err)
	}
}

const few = 120 // descriptors

// TestDescriptorsRunOut has strangers take every descriptor of a hub.
func TestDescriptorsRunOut(t *testing.T) {
	if os.Getenv(childVariable) != "" {
		fewDescriptors(t)
		return
	}
	c := child(t, "hub")
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	lines := bufio.NewScanner(io.TeeReader(out, &said))
	say := func(word string) {
		if _, err := fmt.Fprintln(in, word); err != nil {
			t.Fatal(err)
		}
	}
	hear := func(word string) string {
		for lines.Scan() {
			if rest, ok := strings.CutPrefix(lines.Text(), word+" "); ok {
				return rest
			}
		}
		t.Fatalf("the hub never said %q:\n%s", word, said.String())
		return ""
	}
	addr := hear("LISTENS")
	var strangers []net.Conn
	for range 3 * few { // those that the hub does not accept wait in the kernel
		c, err := net.DialTimeout("tcp", addr, 5*time.Second)
		if err != nil {
			break
		}
		strangers = append(strangers, c)
	}
	if len(strangers) < few {
		t.Errorf("%d connections are not many", len(strangers))
	}
	say("full")
	hear("STANDS")
	for _, c := range strangers {
		c.Close()
	}
	say("free")
	hear("HEARS")
	if err := c.Wait(); err != nil {
		t.Errorf("%v\n%s", err, said.String())
	}
}

func fewDescriptors(t *testing.T) {
	orders := bufio.NewScanner(os.Stdin)
	await := func(word string) {
		if !orders.Scan() || orders.Text() != word {
			t.Fatalf("got %q, want %q", orders.Text(), word)
		}
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: few, Max: few}); err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	a, b := w.enrol("home"), w.enrol("home")
	a.attacked("198.51.100.1/32")
	w.eventually("the first block", func() bool { return b.blocks("198.51.100.1/32") })
	fmt.Printf("\nLISTENS %s\n", w.addr)
	await("full")
	a.attacked("198.51.100.2/32") // may have to wait
	if !b.blocks("198.51.100.1/32") {
		t.Error("a block is gone")
	}
	fmt.Printf("\nSTANDS still\n")
	await("free")
	w.eventually("the honest are heard again", func() bool { return b.blocks("198.51.100.2/32") })
	if s, err := w.admin.Status(t.Context()); err != nil || s.Events != 2 {
		t.Errorf("%d events of 2: %v", s.Events, err)
	}
	fmt.Printf("\nHEARS again\n")
}
