package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/tocsin-io/tocsin/api"
)

// measureConsole measures what people see of a hub with much in its database: how
// soon each page's questions are answered, and what open consoles cost while
// devices report.
func measureConsole(ctx context.Context, e *env) (s section, err error) {
	dir, err := os.MkdirTemp(e.dir, "console-")
	if err != nil {
		return s, err
	}
	begun := time.Now()
	if err := seedConsole(ctx, dir); err != nil {
		return s, err
	}
	fmt.Fprintf(os.Stderr, "  database made in %v\n", time.Since(begun).Round(time.Second))
	h, err := startConsoleHub(ctx, e, dir)
	if err != nil {
		return s, err
	}
	defer h.stop()
	fmt.Fprintf(os.Stderr, "  hub up after %v\n", time.Since(begun).Round(time.Second))
	s.commands = []string{"scripts/bench.sh -o - -only console"}
	for _, part := range []func(context.Context, *section) error{h.pages, h.crowded, h.looks} {
		if e := part(ctx, &s); e != nil {
			err = errors.Join(err, e)
		}
	}
	return s, err
}

// A consoleHub is tocsin hub as a process, and a person who may everything.
type consoleHub struct {
	tocsin string
	dir    string
	cmd    *exec.Cmd
	done   chan struct{}
	base   string // of the API
	token  string
	http   *http.Client
	admin  *api.Client
}

func startConsoleHub(ctx context.Context, e *env, dir string) (*consoleHub, error) {
	h := &consoleHub{tocsin: e.tocsin, dir: dir, done: make(chan struct{})}
	var ports [2]string
	for i := range ports {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		ports[i] = l.Addr().String()
		if err := l.Close(); err != nil {
			return nil, err
		}
	}
	h.base = "https://" + ports[0]
	config := fmt.Sprintf("[hub]\nfolder = %q\nlisten = %[2]q\naddresses = [%[2]q]\n[console]\nlisten = %[3]q\n", dir, ports[0], ports[1])
	if os.Geteuid() == 0 {
		config = strings.Replace(config, "[hub]\n", "[hub]\nuser = \"root\"\n", 1) // the folder is this program's
	}
	path := filepath.Join(dir, "hub.toml")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(dir, "hub.log"))
	if err != nil {
		return nil, err
	}
	h.cmd = exec.CommandContext(ctx, e.tocsin, "hub", "--config", path)
	h.cmd.Stdout, h.cmd.Stderr = log, log
	if err := h.cmd.Start(); err != nil {
		return nil, errors.Join(err, log.Close())
	}
	go func() {
		defer close(h.done)
		_ = h.cmd.Wait() // what it said is in its log
		_ = log.Close()
	}()
	if err := h.ready(ctx); err != nil {
		h.stop()
		return nil, err
	}
	return h, nil
}

// hubPatience is how long a hub may take to read a log of a million events.
const hubPatience = 3 * time.Minute

// ready waits until the hub answers, and gets what a person needs to ask it.
func (h *consoleHub) ready(ctx context.Context) error {
	for end := time.Now().Add(hubPatience); ; {
		if _, err := h.say(ctx, "hub", "access", "list"); err == nil {
			break
		}
		select {
		case <-h.done:
			b, _ := os.ReadFile(filepath.Join(h.dir, "hub.log")) // says why, or nothing
			return fmt.Errorf("the hub ended: %s", b[max(0, len(b)-1000):])
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
		if time.Now().After(end) {
			return fmt.Errorf("the hub does not answer within %v", hubPatience)
		}
	}
	out, err := h.say(ctx, "hub", "access", "add", "bench", "--role", "admin", "--json")
	if err != nil {
		return err
	}
	var made api.AccessMade
	if err := json.Unmarshal(out, &made); err != nil {
		return err
	}
	pem, err := exec.CommandContext(ctx, h.tocsin, "hub", "authority", "--folder", h.dir).Output()
	if err != nil {
		return fmt.Errorf("the hub's authority: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return errors.New("the hub's authority is no certificate")
	}
	h.token, h.admin = made.Token, api.OverSocket(filepath.Join(h.dir, "hub.sock"))
	h.http = &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13}, MaxIdleConnsPerHost: 2 * consoles,
	}}
	return nil
}

func (h *consoleHub) say(ctx context.Context, args ...string) ([]byte, error) {
	var errs bytes.Buffer
	cmd := exec.CommandContext(ctx, h.tocsin, append(args, "--hub-socket", filepath.Join(h.dir, "hub.sock"))...)
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		return out, fmt.Errorf("tocsin %v: %w: %s", args, err, errs.Bytes())
	}
	return out, nil
}

func (h *consoleHub) stop() {
	_ = h.cmd.Process.Signal(os.Interrupt) // gone already is as good
	select {
	case <-h.done:
	case <-time.After(patience):
		_ = h.cmd.Process.Kill() // gone already is as good
		<-h.done
	}
}

// ask opens a path of the API; the caller closes the body.
func (h *consoleHub) ask(ctx context.Context, path string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, h.base+path, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+h.token)
	resp, err := h.http.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		b, _ := io.ReadAll(io.LimitReader(resp.Body, 300)) // says why, or nothing
		_ = resp.Body.Close()                              // the status says all
		return nil, fmt.Errorf("%s: %s: %s", path, resp.Status, bytes.TrimSpace(b))
	}
	return resp, nil
}

// read asks for JSON.
func (h *consoleHub) read(ctx context.Context, path string, v any) error {
	resp, err := h.ask(ctx, path)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	return json.NewDecoder(resp.Body).Decode(v)
}
