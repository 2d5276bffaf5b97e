package e2e_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/sim/postbox"
)

// A consoleWorld is a hub that lived through an incident, one more device whose log
// the tests write themselves, and what a browser cannot do.
type consoleWorld struct {
	*walk
	link   string // with which the first person gets an account
	probe  *probe
	server *httptest.Server
	fresh  int // hubs that nobody has told anything
}

// A probe is a device whose log the tests write.
type probe struct {
	id, dir, log string
	guard        *process
}

// firstLink is what a hub prints that nobody has an account at.
var firstLink = regexp.MustCompile(`https?://\S+/console/welcome#\S+`)

func newConsoleWorld(t *testing.T) *consoleWorld {
	t.Helper()
	w := &consoleWorld{walk: newWalk(t)}
	w.calm = true
	w.link = w.findLink(w.hub)
	w.probe = w.newProbe("probe", func(config string) string {
		token := one[api.Token](t, w.say("devices", "add", "--owner", "home", "--json"))
		return w.run("enroll", token.Token, "--config", config, "--name", "probe", "--json")
	})
	w.play()
	w.say("flows", "import", filepath.Join(w.live, "conn.log"))
	comes(t, "the controller to be ranked", func() string {
		if r := one[api.Ranking](t, w.say("controllers", "--json")); len(r.Candidates) == 0 {
			return "nobody is ranked: " + string(r.Lacking)
		}
		return ""
	})
	return w
}

func (w *consoleWorld) findLink(hub *process) (link string) {
	w.t.Helper()
	until(w.t, "the link to the first account", func() bool {
		w.runs(hub)
		link = firstLink.FindString(hub.output())
		return link != ""
	})
	return link
}

// newProbe enrols a device by enrol, which prints JSON, and starts its guard.
func (w *consoleWorld) newProbe(name string, enrol func(config string) string) *probe {
	w.t.Helper()
	dir := filepath.Join(w.dir, "probes", name)
	p := &probe{dir: dir, log: filepath.Join(dir, "auth.log")}
	w.write(filepath.Join("probes", name, "auth.log"), "")
	w.write(filepath.Join("probes", name, "root", "etc", "cron.d", "empty"), "")
	config := w.write(filepath.Join("probes", name, "guard.toml"), fmt.Sprintf(`[guard]
state = %q
socket = %q
%s
[firewall]
backend = "memory"
[read]
journal = "no"
services = ["ssh"]
root = %q
[[log]]
path = %q
service = "ssh"
`, filepath.Join(dir, "state"), filepath.Join(dir, "guard.sock"), asRoot(), filepath.Join(dir, "root"), p.log))
	p.id = one[struct{ Device string }](w.t, enrol(config)).Device
	p.guard = w.start(name, "guard", "--config", config)
	w.connected(&walked{guard: p.guard, socket: filepath.Join(dir, "guard.sock")})
	return p
}

// told writes lines of sshd to the probe's log.
func (p *probe) told(lines []string) error {
	f, err := os.OpenFile(p.log, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	for _, line := range lines {
		_, e := fmt.Fprintf(f, "%s nas sshd[4711]: %s\n", time.Now().Format(time.Stamp), line)
		err = errors.Join(err, e)
	}
	return errors.Join(err, f.Close())
}

// control serves what the browser's half asks for, and returns where.
func (w *consoleWorld) control() string {
	type asked struct {
		Args  []string
		Lines []string
		Name  string
	}
	mux := http.NewServeMux()
	handle := func(name string, f func(a asked) (any, error)) {
		mux.HandleFunc("POST /"+name, func(rw http.ResponseWriter, r *http.Request) {
			var a asked
			err := json.NewDecoder(r.Body).Decode(&a)
			var v any
			if err == nil {
				v, err = f(a)
			}
			if err != nil {
				http.Error(rw, err.Error(), http.StatusInternalServerError)
				return
			}
			_ = json.NewEncoder(rw).Encode(v) // whoever hung up does not care
		})
	}
	handle("tocsin", func(a asked) (any, error) {
		out, err := w.command(append(a.Args, "--hub-socket", filepath.Join(w.dir, "hub", "hub.sock"))...).CombinedOutput()
		if err != nil {
			err = fmt.Errorf("tocsin %v: %w: %s", a.Args, err, out)
		}
		return map[string]string{"out": string(out)}, err
	})
	handle("say", func(a asked) (any, error) { return nil, w.probe.told(a.Lines) })
	handle("stop", func(asked) (any, error) {
		w.hub.kill(syscall.SIGTERM)
		<-w.hub.done
		return nil, nil
	})
	handle("start", func(asked) (any, error) { w.bootHub(); return nil, nil })
	handle("join", func(a asked) (any, error) {
		p := w.newProbe(a.Name, func(config string) string {
			return w.run(append(a.Args, "--config", config, "--name", a.Name, "--json")...)
		})
		return map[string]string{"id": p.id}, nil
	})
	handle("rejoin", func(a asked) (any, error) { // with a token that is not to be taken: what the command says
		dir := filepath.Join(w.dir, "probes", a.Name)
		config := w.write(filepath.Join("probes", a.Name, "guard.toml"), fmt.Sprintf("[guard]\nstate = %q\n%s", filepath.Join(dir, "state"), asRoot()))
		out, err := w.command(append(a.Args, "--config", config, "--name", a.Name)...).CombinedOutput()
		if err == nil {
			return nil, errors.New("the token was taken again")
		}
		return map[string]string{"out": string(out)}, nil
	})
	handle("plant", func(a asked) (any, error) {
		name := filepath.Join(w.probe.dir, "root", "etc", "cron.d", a.Name)
		return nil, os.WriteFile(name, []byte("* * * * * root /tmp/x\n"), 0o644)
	})
	handle("letters", func(asked) (any, error) { return w.letters() })
	handle("fresh", func(asked) (any, error) { return w.freshHub(), nil })
	handle("demo", func(asked) (any, error) { return w.demo(), nil })
	w.server = httptest.NewServer(mux)
	w.t.Cleanup(w.server.Close)
	return w.server.URL
}

// A letterRead is one that arrived, with its text as it was sent.
type letterRead struct {
	postbox.Letter
	Raw string `json:"raw"`
}

func (w *consoleWorld) letters() (list []letterRead, err error) {
	list = []letterRead{}
	for line := range strings.Lines(w.mail.output()) {
		if !strings.HasPrefix(line, "{") {
			continue // where it listens
		}
		var l letterRead
		if err := json.Unmarshal([]byte(line), &l.Letter); err != nil {
			return nil, err
		}
		b, err := os.ReadFile(l.File)
		if err != nil {
			return nil, err
		}
		l.Raw = string(b)
		list = append(list, l)
	}
	return list, nil
}

// freshHub starts a hub that nobody has told anything.
func (w *consoleWorld) freshHub() map[string]string {
	w.fresh++
	name := fmt.Sprint("fresh-", w.fresh)
	console := freeAddress(w.t)
	config := w.write(name+".toml", fmt.Sprintf("[hub]\nfolder = %q\nlisten = %q\n%s[console]\nlisten = %q\n",
		filepath.Join(w.dir, name), freeAddress(w.t), asRoot(), console))
	hub := w.start(name, "hub", "--config", config)
	return map[string]string{"link": w.findLink(hub), "base": "http://" + console}
}

// signIn is where a demo is seen, and by whom.
var signIn = regexp.MustCompile(`Console +(http://[^/\s]+)/console/\nSign in +(\S+), with the password (\S+)`)

// demo starts one, and returns how to look at it.
func (w *consoleWorld) demo() map[string]string {
	p := w.start("demo", "demo", "--no-open", "--firewall", "memory", "--listen", freeAddress(w.t))
	var m []string
	until(w.t, "the demo's console", func() bool {
		w.runs(p)
		m = signIn.FindStringSubmatch(p.output())
		return m != nil
	})
	return map[string]string{"base": m[1], "name": m[2], "password": m[3]}
}
