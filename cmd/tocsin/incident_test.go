//go:build !small

package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/api/apitest"
	"github.com/tocsin-io/tocsin/takedown"
)

// began is when what the scripts are about happened.
var began = time.Date(2023, 10, 14, 18, 0, 0, 0, time.UTC)

// A stage is a hub in which something happened, for one script.
type stage struct {
	*apitest.Incident
	mu  sync.Mutex // guards the field below
	now time.Time
}

func (s *stage) clock() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

// TestIncidentScripts runs testdata/incident/*.txtar, each beside an API of its
// own whose hub is of memory: its socket is hub.sock. "later 31m" moves its clock,
// "colleague ID" has somebody else approve the mail of a case, "alone" leaves one
// person who may. UPDATE=1 rewrites what cmp compares with.
func TestIncidentScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:           "testdata/incident",
		UpdateScripts: os.Getenv("UPDATE") != "",
		Setup:         setStage,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"later": func(ts *testscript.TestScript, _ bool, args []string) {
				d, err := time.ParseDuration(args[0])
				ts.Check(err)
				s := stageOf(ts)
				s.mu.Lock()
				defer s.mu.Unlock()
				s.now = s.now.Add(d)
			},
			"colleague": func(ts *testscript.TestScript, _ bool, args []string) {
				s, id := stageOf(ts), takedown.ID(args[0])
				f, err := s.DraftCase(context.Background(), id, api.DraftWish{Keep: true})
				ts.Check(err)
				_, err = s.ApproveCase(context.Background(), id, f.Draft.Digest, "colleague")
				ts.Check(err)
			},
			"alone": func(ts *testscript.TestScript, _ bool, _ []string) { stageOf(ts).People = 1 },
			"field": field,
		},
	})
}

func stageOf(ts *testscript.TestScript) *stage { return ts.Value("stage").(*stage) }

func setStage(env *testscript.Env) error {
	env.Setenv("TZ", "UTC")
	s := &stage{now: began}
	s.Incident = apitest.Full(s.clock)
	env.Values["stage"] = s
	l, err := net.Listen("unix", filepath.Join(env.WorkDir, "hub.sock"))
	if err != nil {
		return err
	}
	server := api.New(api.Config{Incident: s.Incident, Now: s.clock, Admin: func(uint32) bool { return true }}).Server()
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	env.Defer(func() {
		if err := errors.Join(server.Close(), <-done); !errors.Is(err, http.ErrServerClosed) {
			panic(err)
		}
	})
	return nil
}

func TestWhatOthersWroteSteersNoTerminal(t *testing.T) {
	for in, want := range map[string]string{
		"\x1b]0;owned\x07":           "?]0;owned?",
		"a\r\nb\tc\u202ed\x9b":       "a?b c?d?",
		"l\u2019été\u00a0: 9\u202f%": "l\u2019été : 9 %",
		"\u200bzero\ufeff":           "?zero?",
	} {
		if got := safe(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
	if got := safeText("a\r\nb\x1b\nc\rd"); got != "a\nb?\nc?d" {
		t.Errorf("%q", got)
	}
	for in, want := range map[string]int{"a\r\nb\tc\u00a0d": 0, "a\x1b\u202e\r": 3} {
		if got := hidden(in); got != want {
			t.Errorf("%q: %d hidden, want %d", in, got, want)
		}
	}
}

func TestNothingOfOthersGoesIntoAShell(t *testing.T) {
	for _, p := range apitest.Full(func() time.Time { return began }).Ranked.Proposals {
		if line := openingCommand(p); strings.ContainsAny(line, "$(`;|&\"\n\x1b<>") {
			t.Error(line)
		}
	}
}

func TestSpreadsheetsGetNoFormulas(t *testing.T) {
	for in, want := range map[string]string{"=cmd()": "'=cmd()", "@x": "'@x", "-1": "'-1", "\t=x": "' =x", "a;=x": "a;'=x", "plain": "plain", "": ""} {
		if got := cell(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestFilesOfTextsStayInTheirFolder(t *testing.T) {
	seen := map[string]bool{}
	for _, owner := range []string{"../../etc/passwd", "..", "a/b", "a_b", strings.Repeat("x", 300), "\x00", ""} {
		n := api.Notice{}
		n.Kind, n.Language, n.To = "notice", "en", owner
		name := fileOf(n)
		if name != filepath.Base(name) || strings.Contains(name, "..") || len(name) > 80 || seen[name] {
			t.Errorf("%q: %q", owner, name)
		}
		seen[name] = true
	}
}

func TestOneAddress(t *testing.T) {
	for in, want := range map[string]string{
		"203.0.113.7": "203.0.113.7/32", "::ffff:203.0.113.7": "203.0.113.7/32", "2001:db8::1": "2001:db8::1/128",
		"2001:db8::/64": "2001:db8::/64", "203.0.113.7/32": "203.0.113.7/32",
		"203.0.113.0/24": "", "2001:db8::/48": "", "2001:db8::1/64": "", "10.0.0.1": "", "fe80::1%eth0": "", "example.net": "", "": "",
		"::ffff:203.0.113.7/128": "",
	} {
		got, err := oneAddress(in)
		if err == nil && got.String() != want || err != nil && want != "" {
			t.Errorf("%q: got %v, %v; want %q", in, got, err, want)
		}
	}
}
