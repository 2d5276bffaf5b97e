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
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/operator"
	"github.com/tocsin-io/tocsin/sim/incident"
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
	w := &walk{t: t, bin: bin, dir: t.TempDir(), tokens: map[string]string{}, mails: newMailbox(t)}
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
	w.startHub()
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
		if w.t.Failed() {
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

func (w *walk) startHub() {
	w.t.Helper()
	w.address = freeAddress(w.t)
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
`, filepath.Join(w.dir, "hub"), w.address, asRoot(), w.mails.address, provider)
	w.hub = w.start("hub", "hub", "--config", w.write("hub.toml", config))
	until(w.t, "the hub", func() bool {
		w.runs(w.hub)
		return w.command("hub", "status", "--hub-socket", filepath.Join(w.dir, "hub", "hub.sock")).Run() == nil
	})
	w.say("hub", "networks", "import", filepath.Join(w.dir, "incident", "networks.csv"))
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
	state := filepath.Join(w.dir, name)
	d.socket = filepath.Join(state, "guard.sock")
	var services []string
	var logs strings.Builder
	for _, l := range d.Logs {
		services = append(services, strconv.Quote(string(l.Service)))
		fmt.Fprintf(&logs, "[[log]]\npath = %q\nservice = %q\n", filepath.Join(w.live, name, path.Base(l.Path)), l.Service)
	}
	config := w.write(name+".toml", fmt.Sprintf(`[guard]
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
%s`, state, d.socket, name, asRoot(), strings.Join(services, ", "), filepath.Join(w.live, name, "root"), logs.String()))
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
		until(w.t, d.guard.name+" to have read and told all", func() bool {
			w.runs(d.guard)
			s := one[operator.Status](w.t, w.run("status", "--json", "--socket", d.socket))
			for i, l := range d.Logs {
				if s.Logs[i].Lines < w.written(filepath.Join(w.live, string(d.Device), path.Base(l.Path))) {
					return false
				}
			}
			return s.Hub != nil && s.Hub.Unsent == 0
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

// A mailbox is a mail server that takes everything.
type mailbox struct {
	address string
	mu      sync.Mutex // guards the field below
	letters []letter
}

type letter struct {
	to  []string
	raw []byte
}

func newMailbox(t *testing.T) *mailbox {
	t.Helper()
	m := &mailbox{}
	s := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &posting{box: m}, nil }))
	s.Domain = "mail.example.net"
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m.address = l.Addr().String()
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Serve(l)
	}()
	t.Cleanup(func() {
		s.Close()
		<-done
	})
	return m
}

// about returns the first letter to somebody that has a word in it, nil if there
// is none.
func (m *mailbox) about(to, word string) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, l := range m.letters {
		if slices.Contains(l.to, to) && bytes.Contains(l.raw, []byte(word)) {
			return l.raw
		}
	}
	return nil
}

// posting is one connection to a mailbox.
type posting struct {
	box *mailbox
	to  []string
}

func (p *posting) Mail(string, *smtp.MailOptions) error { return nil }
func (p *posting) Reset()                               { p.to = nil }
func (p *posting) Logout() error                        { return nil }

func (p *posting) Rcpt(to string, _ *smtp.RcptOptions) error {
	p.to = append(p.to, to)
	return nil
}

func (p *posting) Data(r io.Reader) error {
	raw, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	p.box.mu.Lock()
	defer p.box.mu.Unlock()
	p.box.letters = append(p.box.letters, letter{p.to, raw})
	return nil
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

// bounceOf is what a mail server sends back when nobody has that address.
func bounceOf(t *testing.T, raw []byte) []byte {
	t.Helper()
	m, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Appendf(nil, strings.ReplaceAll(`Return-Path: <>
From: MAILER-DAEMON@mail.provider.example
To: csirt@example.net
Subject: Undelivered Mail Returned to Sender
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="B"

--B
Content-Type: text/plain

Nobody has that address.

--B
Content-Type: message/delivery-status

Reporting-MTA: dns; mail.provider.example

Final-Recipient: rfc822; %s
Action: failed
Status: 5.1.1
Diagnostic-Code: smtp; 550 5.1.1 User unknown

--B
Content-Type: text/rfc822-headers

Message-Id: %s

--B--
`, "\n", "\r\n"), provider, m.Header.Get("Message-Id"))
}
