package notify

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A receiver takes messages, or not.
type receiver struct {
	mu   sync.Mutex
	got  []Batch
	at   []time.Time
	fail error
}

func (r *receiver) send(_ context.Context, b Batch) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fail != nil {
		return r.fail
	}
	r.got, r.at = append(r.got, b), append(r.at, time.Now())
	return nil
}

func (r *receiver) turn(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fail = err
}

func (r *receiver) titles() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var list []string
	for _, b := range r.got {
		for _, e := range b.Events {
			list = append(list, e.Title)
		}
	}
	return list
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// start runs a notifier with one receiver for everything and one for campaigns.
func begin(t *testing.T, cfg Config) (n *Notifier, all, campaigns *receiver, stop func()) {
	t.Helper()
	cfg.Recipients = []Recipient{
		{Name: "all", Mail: "all@owner.example"},
		{Name: "campaigns", Mail: "campaigns@owner.example", Kinds: []Kind{CampaignOpened}},
	}
	n, err := New(cfg, func(context.Context, string, string, string) error { return nil }, quiet())
	if err != nil {
		t.Fatal(err)
	}
	all, campaigns = &receiver{}, &receiver{}
	n.line[0].send, n.line[1].send = all.send, campaigns.send
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	return n, all, campaigns, func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func TestNotifier(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, all, campaigns, stop := begin(t, Config{})
		defer stop()
		began := time.Now()
		n.Notify(event(CampaignOpened, 1))
		n.Notify(event(CampaignOpened, 2))
		n.Notify(event(CaseState, 3))
		n.Notify(Event{Kind: 99, Title: "of no kind"})
		time.Sleep(59 * time.Second)
		synctest.Wait()
		if got := all.titles(); len(got) != 0 {
			t.Errorf("told before the window is over: %q", got)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if got := all.titles(); !slices.Equal(got, []string{"event 1", "event 2", "event 3"}) {
			t.Errorf("got %q", got)
		}
		if got := campaigns.titles(); !slices.Equal(got, []string{"event 1", "event 2"}) {
			t.Errorf("got %q", got)
		}
		if took := all.at[0].Sub(began); took != time.Minute {
			t.Errorf("after %v", took)
		}
		if s := n.Status(); s[0].Messages != 0 || s[0].Events != 0 || s[0].Failing != "" || s[0].Sent.IsZero() {
			t.Errorf("status %+v", s)
		}
	})
}

// A receiver that is down gets everything later, in order; another one does not
// wait for it.
func TestReceiverIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, all, campaigns, stop := begin(t, Config{})
		defer stop()
		all.turn(errors.New("connection refused"))
		for i := range 5 {
			n.Notify(event(CampaignOpened, i))
			time.Sleep(20 * time.Minute)
		}
		if got := campaigns.titles(); len(got) != 5 {
			t.Errorf("the other got %q", got)
		}
		if s := n.Status()[0]; s.Messages != 5 || s.Failing != "connection refused" {
			t.Errorf("status %+v", s)
		}
		all.turn(nil)
		time.Sleep(lastWait)
		synctest.Wait()
		if got := all.titles(); !slices.Equal(got, []string{"event 0", "event 1", "event 2", "event 3", "event 4"}) {
			t.Errorf("got %q", got)
		}
	})
}

// What waits is there after a restart, also what was to be tried again.
func TestRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := Config{Folder: t.TempDir()}
		n, all, _, stop := begin(t, cfg)
		all.turn(errors.New("down"))
		n.Notify(event(CaseState, 1))
		time.Sleep(2 * time.Minute)
		n.Notify(event(CaseState, 2)) // not put together yet
		stop()

		n, all, _, stop = begin(t, cfg)
		time.Sleep(lastWait)
		synctest.Wait()
		if got := all.titles(); !slices.Equal(got, []string{"event 1", "event 2"}) {
			t.Errorf("got %q", got)
		}
		stop()
		if s := n.Status()[0]; s.Messages+s.Events != 0 {
			t.Errorf("status %+v", s)
		}
	})
}

// A crash right after a second costs nothing either.
func TestCrash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := Config{Folder: t.TempDir()}
		n, _, _, stop := begin(t, cfg)
		n.Notify(event(CaseState, 1))
		time.Sleep(saveEvery + time.Second)
		synctest.Wait()
		raw, err := os.ReadFile(filepath.Join(cfg.Folder, "notify.json"))
		if err != nil || !strings.Contains(string(raw), "event 1") {
			t.Errorf("on the disk: %s, %v", raw, err)
		}
		stop()
	})
}

func TestUnreadableFileIsSetAside(t *testing.T) {
	cfg := Config{Folder: t.TempDir(), Recipients: []Recipient{{Name: "all", Mail: "a@owner.example"}}}
	mail := func(context.Context, string, string, string) error { return nil }
	path := filepath.Join(cfg.Folder, "notify.json")
	for _, text := range []string{"{", `{"all":{"lanes":{"party":{}}}}`} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := New(cfg, mail, quiet()); err != nil {
			t.Error(err)
		}
		if got, err := os.ReadFile(path + ".unreadable"); err != nil || string(got) != text {
			t.Errorf("got %q, %v", got, err)
		}
	}
	if err := os.WriteFile(path, []byte(`{"all":{"lanes":{"case-state":null}},"gone":{}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	n, err := New(cfg, mail, quiet())
	if err != nil {
		t.Fatal(err)
	}
	n.Notify(event(CaseState, 1))
	if s := n.Status(); s[0].Events != 1 {
		t.Errorf("status %+v", s)
	}
}

func TestTestSaysWhoCannotBeReached(t *testing.T) {
	n, all, campaigns, stop := begin(t, Config{})
	defer stop()
	all.turn(errors.New("no such host"))
	err := n.Test(t.Context())
	if err == nil || err.Error() != "notify: all: no such host" {
		t.Errorf("got %v", err)
	}
	if got := campaigns.titles(); len(got) != 1 || campaigns.got[0].Kind != TestMessage {
		t.Errorf("got %q", got)
	}
}

func TestMailHasSubjectAndText(t *testing.T) {
	var to, subject, text string
	n, err := New(Config{Recipients: []Recipient{{Name: "me", Mail: "me@owner.example"}}}, func(_ context.Context, a, s, b string) error {
		to, subject, text = a, s, b
		return nil
	}, quiet())
	if err != nil {
		t.Fatal(err)
	}
	batch := Batch{Kind: ControllerProposed, Lost: 2, Events: []Event{
		{Kind: ControllerProposed, At: start, Title: "192.0.2.7 port 443 may command 5 devices", Todo: "Look, then open a case.", Link: "https://hub.example/c/1"},
	}}
	if err := n.line[0].send(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	want := `2026-03-01 12:00:00 UTC  192.0.2.7 port 443 may command 5 devices
  What to do: Look, then open a case.
  https://hub.example/c/1

Before this, messages could not be delivered and were given up: 2.
`
	if to != "me@owner.example" || subject != "[Tocsin] 192.0.2.7 port 443 may command 5 devices" || text != want {
		t.Errorf("to %q, subject %q, text:\n%s", to, subject, text)
	}
}

func TestNewNamesEveryMistake(t *testing.T) {
	hook := func(u string) *Hook { return &Hook{URL: u, Secret: make([]byte, minSecret)} }
	_, err := New(Config{Recipients: []Recipient{
		{Name: "one", Mail: "a@owner.example"}, {Name: "one", Mail: "a@owner.example"}, {Name: "both", Mail: "a", Hook: hook("https://a.example")},
		{Name: "none"}, {Name: "plain", Hook: hook("http://a.example/")}, {Name: "form", Hook: hook("ftp://a.example/")},
		{Name: "short", Hook: &Hook{URL: "https://a.example/"}},
	}}, nil, quiet())
	for _, want := range []string{"mail is not set up", "name of its own", `"both": needs a mail address or a webhook`, `"none": needs`,
		"needs https, or plain", "needs the form", "secret of at least 16 bytes"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v\nwant %q", err, want)
		}
	}
}
