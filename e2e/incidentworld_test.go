package e2e_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"net/netip"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/operator"
	"github.com/tocsin-io/tocsin/sim/incident"
	"github.com/tocsin-io/tocsin/sim/postbox"
)

// provider is whom the hub writes to about any address.
const provider = "abuse@provider.example"

// newWalk invents an incident, starts a hub, and a guard for each device of it
// whose telemetry was not removed.
func newWalk(t *testing.T) *walk {
	t.Helper()
	bin, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	w := &walk{t: t, bin: bin, dir: t.TempDir(), tokens: map[string]string{}}
	w.live = filepath.Join(w.dir, "live")
	inc := filepath.Join(w.dir, "incident")
	w.run("sim", "incident", "--out", inc, "--seed", "7", "--devices", "20", "--hours", "0.5")
	w.run("sim", "play", "--dir", inc, "--out", w.live, "--prepare")
	if w.truth, err = incident.ReadTruth(inc); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(w.file("inventory.json")), &w.devices); err != nil {
		t.Fatal(err)
	}
	letters, mails := freeAddress(t), filepath.Join(w.dir, "letters")
	w.mail = w.start("mail", "sim", "mail", "--listen", letters, "--out", mails, "--bounces", filepath.Join(w.dir, "answers"), "--json")
	until(t, "the mail server", func() bool {
		w.runs(w.mail)
		return strings.Contains(w.mail.output(), "taking mails at")
	})
	w.startHub(letters)
	for _, person := range []string{"anna", "bert"} {
		made := one[api.AccessMade](t, w.say("hub", "access", "add", person, "--role", "analyst", "--json"))
		w.tokens[person] = w.write(person+".token", made.Token)
	}
	w.write("hub.pem", w.run("hub", "authority", "--folder", filepath.Join(w.dir, "hub")))
	for i, d := range w.devices {
		w.join(d, !slices.Contains(w.truth.Devices[i].Removed, "logs"))
	}
	for _, d := range w.devices {
		if d.guard != nil {
			w.connected(d)
		}
	}
	return w
}

func (w *walk) write(name, text string) string {
	w.t.Helper()
	name = filepath.Join(w.dir, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, []byte(text), 0o600)); err != nil {
		w.t.Fatal(err)
	}
	return name
}

// start runs tocsin until the test ends.
func (w *walk) start(name string, args ...string) *process {
	w.t.Helper()
	p := &process{name: name, Cmd: w.command(args...), done: make(chan struct{})}
	p.Stdout, p.Stderr = p, p
	if err := p.Start(); err != nil {
		w.t.Fatal(err)
	}
	go func() {
		defer close(p.done)
		p.Wait()
	}()
	w.t.Cleanup(func() {
		p.kill(syscall.SIGKILL)
		if w.t.Failed() && (!w.calm || name == "hub") {
			out := p.output()
			w.t.Logf("%s said:\n%s", name, out[max(0, len(out)-2000):])
		}
	})
	return p
}

// runs fails the test if a program has ended.
func (w *walk) runs(p *process) {
	w.t.Helper()
	select {
	case <-p.done:
		w.t.Fatalf("%s ended:\n%s", p.name, p.output())
	default:
	}
}

// asRoot is what a program of root is told, so that it stays what it is: what it
// reads and writes are files of this test.
func asRoot() string {
	if os.Geteuid() != 0 {
		return ""
	}
	return "user = \"root\"\n"
}

func (w *walk) startHub(letters string) {
	w.t.Helper()
	w.address, w.console = freeAddress(w.t), freeAddress(w.t)
	config := fmt.Sprintf(`[hub]
folder = %q
listen = %[2]q
addresses = [%[2]q]
%s
[policy]
device_hour = 5000
device_day = 5000
[incident]
organisation = "Example CSIRT"
contact = "csirt@example.net"
[mail]
server = %q
tls = "none"
from = "Example CSIRT <csirt@example.net>"
[rdap]
off = true
contacts = ["192.0.2.0/24 %[5]s", "198.51.100.0/24 %[5]s", "203.0.113.0/24 %[5]s", "198.18.0.0/15 %[5]s"]
[notifications]
window = "1s"
[[notify]]
name = "on call"
mail = "oncall@example.net"
[console]
listen = %[6]q
`, filepath.Join(w.dir, "hub"), w.address, asRoot(), letters, provider, w.console)
	w.write("hub.toml", config)
	w.bootHub()
	w.say("hub", "networks", "import", filepath.Join(w.dir, "incident", "networks.csv"))
}

// bootHub starts the hub, for the first time or again.
func (w *walk) bootHub() {
	w.t.Helper()
	w.hub = w.start("hub", "hub", "--config", filepath.Join(w.dir, "hub.toml"))
	until(w.t, "the hub", func() bool {
		w.runs(w.hub)
		return w.command("hub", "status", "--hub-socket", filepath.Join(w.dir, "hub", "hub.sock")).Run() == nil
	})
}

// comes waits until f has nothing left to say against it: longer than [until],
// since all that is known is weighed once a minute at the latest.
func comes(t *testing.T, what string, f func() (but string)) {
	t.Helper()
	but := "?"
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if but = f(); but == "" {
			return
		}
	}
	t.Fatalf("waited in vain for %s; at last:\n%s", what, but)
}

// freeAddress returns an address of the loopback that nobody listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// join enrols a device, and starts its guard.
func (w *walk) join(d *walked, guard bool) {
	w.t.Helper()
	name := string(d.Device)
	d.socket = filepath.Join(w.live, name, "guard.sock")
	config := filepath.Join(w.live, name, "guard.toml")
	token := one[api.Token](w.t, w.say("devices", "add", "--owner", string(d.Owner), "--json"))
	enrolled := one[struct{ Device string }](w.t, w.run("enroll", token.Token, "--config", config, "--name", name, "--json"))
	w.say("devices", "label", enrolled.Device, "address="+d.Address.String(), "model="+d.Model, "firmware="+d.Firmware)
	if guard {
		d.guard = w.start(name, "guard", "--config", config)
	}
}

// connected waits until a guard hears the hub.
func (w *walk) connected(d *walked) {
	w.t.Helper()
	until(w.t, d.guard.name+" to be connected", func() bool {
		w.runs(d.guard)
		out, err := w.command("status", "--json", "--socket", d.socket).Output()
		var s operator.Status
		return err == nil && json.Unmarshal(out, &s) == nil && s.Hub != nil && s.Hub.Via == "push"
	})
}

// play has the incident happen, and waits until the guards have read and told all
// of it.
func (w *walk) play() {
	w.t.Helper()
	w.run("sim", "play", "--dir", filepath.Join(w.dir, "incident"), "--out", w.live, "--speed", "50", "--json")
	for _, d := range w.devices {
		if d.guard == nil {
			continue
		}
		comes(w.t, d.guard.name+" to have read and told all", func() string {
			w.runs(d.guard)
			s := one[operator.Status](w.t, w.run("status", "--json", "--socket", d.socket))
			for i, l := range d.Logs {
				if all := w.written(filepath.Join(w.live, string(d.Device), path.Base(l.Path))); s.Logs[i].Lines < all {
					return fmt.Sprintf("%d of %d lines of %s", s.Logs[i].Lines, all, l.Path)
				}
			}
			if s.Hub == nil || s.Hub.Unsent > 0 {
				return fmt.Sprintf("unsent: %+v", s.Hub)
			}
			return ""
		})
	}
}

// written counts the lines of a log since it was rotated last.
func (w *walk) written(name string) uint64 {
	w.t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		w.t.Fatal(err)
	}
	return uint64(bytes.Count(b, []byte("\n")))
}

func port(a netip.AddrPort) string { return strconv.Itoa(int(a.Port())) }

// letter returns the first letter to somebody that has a word in it, with what
// came back for it; nil if there is none.
func (w *walk) letter(to, word string) (raw []byte, bounce string) {
	w.t.Helper()
	for line := range strings.Lines(w.mail.output()) {
		if !strings.HasPrefix(line, "{") {
			continue // where it listens
		}
		l := one[postbox.Letter](w.t, line)
		b, err := os.ReadFile(l.File)
		if err != nil {
			w.t.Fatal(err)
		}
		if l.To == to && bytes.Contains(b, []byte(word)) {
			return b, l.Bounce
		}
	}
	return nil, ""
}

// parts returns the text of a letter and what is attached as JSON.
func parts(t *testing.T, m *mail.Message) (text string, report []byte) {
	t.Helper()
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || !strings.HasPrefix(kind, "multipart/") {
		t.Fatalf("content type %q, %v", kind, err)
	}
	for r := multipart.NewReader(m.Body, params["boundary"]); ; {
		p, err := r.NextRawPart()
		if err == io.EOF {
			return text, report
		}
		if err != nil {
			t.Fatal(err)
		}
		var body io.Reader = p
		switch strings.ToLower(p.Header.Get("Content-Transfer-Encoding")) {
		case "base64":
			body = base64.NewDecoder(base64.StdEncoding, p)
		case "quoted-printable":
			body = quotedprintable.NewReader(p)
		}
		b, err := io.ReadAll(body)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(p.Header.Get("Content-Type"), "json") {
			report = b
		} else {
			text += string(b)
		}
	}
}
