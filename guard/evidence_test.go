package guard

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/authlog"
	"github.com/tocsin-io/tocsin/firewall/memory"
	"github.com/tocsin-io/tocsin/logsource"
	"github.com/tocsin-io/tocsin/ruleset"
)

// notices is a source that a test has notice things.
type notices[T any] struct {
	ch   chan T
	fail chan error
	read tocsin.Coverage
}

func newNotices[T any](read tocsin.Coverage) *notices[T] {
	return &notices[T]{make(chan T), make(chan error), read}
}

func (n *notices[T]) Run(ctx context.Context, emit func(T) error) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-n.fail:
			return err
		case one := <-n.ch:
			if err := emit(one); err != nil {
				return err
			}
		}
	}
}

func (n *notices[T]) Coverage() tocsin.Coverage { return n.read }

// A life is one start of a guard until its end.
type life struct {
	*Guard
	lines    *lines
	clues    *notices[tocsin.Clue]
	contacts *notices[tocsin.Contact]
	log      strings.Builder
}

// live runs a guard while work does.
func live(t *testing.T, dir string, hub *Hub, work func(l *life)) {
	t.Helper()
	now := time.Now()
	l := &life{
		lines:    newLines(),
		clues:    newNotices[tocsin.Clue](tocsin.Coverage{Stream: tocsin.HostStream, From: now, Until: now}),
		contacts: newNotices[tocsin.Contact](tocsin.Coverage{}), // it does not know
	}
	g, err := New(t.Context(), testConfig(dir), Deps{
		Filter: memory.New(time.Now), Backend: "memory", Inputs: []Input{l.lines.input()}, Matcher: authlog.Default(),
		Log: slog.New(slog.NewTextHandler(&l.log, nil)), Metrics: prometheus.NewRegistry(), Now: time.Now, Zone: time.UTC, Hub: hub,
		Clues: []ClueSource{l.clues}, Contacts: []ContactSource{l.contacts},
	})
	if err != nil {
		t.Fatal(err)
	}
	l.Guard = g
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	synctest.Wait()
	work(l)
	synctest.Wait()
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestCluesAreNumberedAndNamesStay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var clues []tocsin.Clue
		var contacts []tocsin.Contact
		hub := &Hub{
			Owner: "home", Limits: ruleset.DefaultLimits, Tell: func([]tocsin.Sighting) {},
			TellClues:    func(c []tocsin.Clue) { clues = append(clues, c...) },
			TellContacts: func(c []tocsin.Contact) { contacts = append(contacts, c...) },
		}
		dir := t.TempDir()
		for range 2 {
			live(t, dir, hub, func(l *life) {
				l.clues.ch <- tocsin.Clue{Fact: tocsin.AccountAdded, Subject: "mallory", At: time.Now().Add(time.Hour)}
				l.clues.ch <- tocsin.Clue{Fact: tocsin.KeysChanged, Subject: "/home/mallory/.ssh/authorized_keys", Device: "other"}
				l.contacts.ch <- tocsin.Contact{To: netip.MustParseAddrPort("198.51.100.7:443")}
				l.clues.fail <- errors.New("the disk is gone")
				synctest.Wait()
				st, err := l.Status(t.Context())
				if err != nil || st.Clues != 2 || st.Contacts != 1 {
					t.Errorf("got %+v, %v", st, err)
				}
				if !strings.Contains(l.log.String(), "mend it") {
					t.Error("a source that failed was not told")
				}
				list := l.Coverage()
				if len(list) != 2 || list[0].Stream != tocsin.LogStream || list[1].Stream != tocsin.HostStream {
					t.Errorf("got %+v, want log and host", list)
				}
			})
		}
		if len(clues) != 4 || len(contacts) != 2 || contacts[0].Device != "nas" {
			t.Fatalf("got %d clues, %d contacts", len(clues), len(contacts))
		}
		for i, c := range clues {
			if strings.Contains(c.Subject, "mallory") || c.Subject == "" || c.Device != "nas" || c.ID.Device != "nas" || c.At.IsZero() || c.At.After(time.Now()) {
				t.Errorf("got %+v", c)
			}
			if before := clues[max(0, i-1)].ID; i > 0 && (c.ID.Boot < before.Boot || c.ID.Boot == before.Boot && c.ID.Counter != before.Counter+1) {
				t.Errorf("got %+v after %+v", c.ID, before)
			}
		}
	})
}

func TestWithoutAHubTheOwnerIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		live(t, t.TempDir(), nil, func(l *life) {
			for i := range 3 * mostClueLines {
				l.clues.ch <- tocsin.Clue{Fact: tocsin.AutorunAdded, Subject: fmt.Sprintf("/etc/cron.d/%d\x1b[2J", i)}
			}
			synctest.Wait()
			log := l.log.String()
			if n := strings.Count(log, "level=WARN msg=\"autorun entry added\""); n != mostClueLines || strings.Contains(log, "\x1b") {
				t.Errorf("got %d warnings", n)
			}
		})
	})
}

func TestCoverageOfLogs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		begin := time.Now().UTC()
		want := func(l *life, until time.Time, gaps ...tocsin.Gap) {
			t.Helper()
			got := l.Coverage()[0]
			if d := cmp.Diff(tocsin.Coverage{Stream: tocsin.LogStream, From: begin, Until: until, Gaps: gaps}, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		}
		at := func(d time.Duration) time.Time { return begin.Add(d) }
		live(t, dir, nil, func(l *life) {
			l.lines.write("nothing of interest", true)
			time.Sleep(time.Hour)
			want(l, at(time.Hour))
		})
		time.Sleep(time.Hour) // off
		live(t, dir, nil, func(l *life) {
			want(l, at(time.Hour)) // what was written meanwhile is read back first
			time.Sleep(time.Hour)
			want(l, at(3*time.Hour))
		})
		time.Sleep(time.Hour)
		lost := tocsin.Gap{Span: tocsin.Span{From: at(3 * time.Hour), To: at(4 * time.Hour)}, Reason: "test: it was cut"}
		live(t, dir, nil, func(l *life) {
			l.lines.ch <- logsource.Line{Missing: "it was cut"}
			time.Sleep(time.Hour)
			want(l, at(5*time.Hour), lost)
			for range 2 * tocsin.MaxGaps {
				l.lines.ch <- logsource.Line{Missing: "it was cut"}
				time.Sleep(time.Hour)
			}
			if got := l.Coverage()[0]; len(got.Gaps) != tocsin.MaxGaps || !got.From.Before(got.Gaps[0].From) || !got.From.After(begin) {
				t.Errorf("from %v, %d gaps", got.From, len(got.Gaps))
			}
		})
	})
}

func TestALogGivenUpEndsTheCoverage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		live(t, t.TempDir(), nil, func(l *life) {
			s := l.reading()[0]
			failed := time.Now().Add(time.Minute)
			s.mu.Lock()
			s.failed = failed
			s.mu.Unlock()
			time.Sleep(time.Hour)
			if got := l.Coverage()[0].Until; !got.Equal(failed) {
				t.Errorf("got %v, want %v", got, failed)
			}
			l.read.shift(time.Hour)
			if got := l.Coverage()[0].From; got.Before(l.since.Add(time.Hour)) {
				t.Errorf("got from %v after the clock was set", got)
			}
		})
	})
}
