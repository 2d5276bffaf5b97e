package postbox_test

import (
	"bytes"
	"context"
	"net/smtp"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tocsin-io/tocsin/mail"
	"github.com/tocsin-io/tocsin/sim/postbox"
)

// TestBounces wants a letter kept as it came, and its return taken for a bounce of
// it.
func TestBounces(t *testing.T) {
	dir := t.TempDir()
	ready, took, ended := make(chan string, 1), make(chan postbox.Letter, 1), make(chan error, 1)
	ctx, stop := context.WithCancel(t.Context())
	go func() {
		ended <- postbox.Run(ctx, postbox.Config{
			Listen: "127.0.0.1:0", Out: filepath.Join(dir, "out"), Bounces: filepath.Join(dir, "back"),
			Took: func(l postbox.Letter) { took <- l }, Ready: func(a string) { ready <- a },
		})
	}()
	const id = "<TC-1.0011@example.net>"
	raw := "From: a@example.net\r\nTo: b@example.org\r\nSubject: x [TC-1]\r\nMessage-Id: " + id + "\r\n\r\nText.\r\n"
	if err := smtp.SendMail(<-ready, nil, "a@example.net", []string{"b@example.org"}, []byte(raw)); err != nil {
		t.Fatal(err)
	}
	l := <-took
	kept, err := os.ReadFile(l.File)
	if err != nil || string(kept) != raw || l.To != "b@example.org" || l.Subject != "x [TC-1]" {
		t.Errorf("%+v, %q, %v", l, kept, err)
	}
	back, err := os.ReadFile(l.Bounce)
	if err != nil {
		t.Fatal(err)
	}
	r, err := mail.ReadReply(bytes.NewReader(back))
	if err != nil || r.Kind != mail.Bounced {
		t.Fatalf("%+v, %v", r, err)
	}
	if about, ok := r.Concerns(func(one string) bool { return one == id || "<"+one+">" == id }); !ok {
		t.Errorf("it is about %q", about)
	}
	stop()
	if err := <-ended; err != nil {
		t.Errorf("it ended with %v", err)
	}
}

// TestOnThisMachineOnly wants nobody else's letters taken.
func TestOnThisMachineOnly(t *testing.T) {
	for _, listen := range []string{"0.0.0.0:2525", "192.0.2.1:2525", "localhost", ""} {
		if err := postbox.Run(t.Context(), postbox.Config{Listen: listen, Out: t.TempDir()}); err == nil || !strings.Contains(err.Error(), "loopback") {
			t.Errorf("%q: %v", listen, err)
		}
	}
}
