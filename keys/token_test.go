package keys_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/keys"
)

func contains(err error, part string) bool {
	return err != nil && strings.Contains(err.Error(), part)
}

func someToken(addresses ...string) keys.Token {
	return keys.Token{
		Addresses: addresses,
		Authority: [32]byte{1, 2, 3},
		Owner:     "smith",
		Groups:    []string{"nas", "paris"},
		Secret:    keys.NewSecret(),
		Expires:   start.Add(time.Hour),
	}
}

func text(t testing.TB, k keys.Token) string {
	t.Helper()
	s, err := k.Text()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestToken(t *testing.T) {
	k := someToken("hub.example:7443", "192.0.2.1:7443", "[2001:db8::1]:7443")
	s := text(t, k)
	for name, s := range map[string]string{"as it is": s, "from a mail": " " + s[:40] + "\r\n  " + s[40:] + "\n"} {
		got, err := keys.ParseToken(s)
		if err != nil || !reflect.DeepEqual(got, k) {
			t.Errorf("%s: got %v, %v, want %v", name, got, err, k)
		}
	}
	for n := range s {
		if _, err := keys.ParseToken(s[:n]); !errors.Is(err, keys.ErrToken) {
			t.Fatalf("first %d characters: got %v, want %v", n, err, keys.ErrToken)
		}
		b := []byte(s)
		b[n] ^= 1
		if _, err := keys.ParseToken(string(b)); !errors.Is(err, keys.ErrToken) {
			t.Fatalf("character %d changed: got %v, want %v", n, err, keys.ErrToken)
		}
	}
	if _, err := keys.ParseToken(strings.Repeat("tocsin1.", 1<<20)); !errors.Is(err, keys.ErrToken) {
		t.Errorf("giant: got %v", err)
	}
}

func TestTokenOfNonsenseIsNotMade(t *testing.T) {
	for name, change := range map[string]func(*keys.Token){
		"no address":     func(k *keys.Token) { k.Addresses = nil },
		"no port":        func(k *keys.Token) { k.Addresses = []string{"hub.example"} },
		"port 0":         func(k *keys.Token) { k.Addresses = []string{"hub.example:0"} },
		"a path":         func(k *keys.Token) { k.Addresses = []string{"hub.example/x:1"} },
		"a zone":         func(k *keys.Token) { k.Addresses = []string{"[fe80::1%eth0]:1"} },
		"no owner":       func(k *keys.Token) { k.Owner = "" },
		"owner of words": func(k *keys.Token) { k.Owner = "a b" },
		"group":          func(k *keys.Token) { k.Groups = []string{"a/b"} },
		"groups":         func(k *keys.Token) { k.Groups = make([]string, 99) },
		"1969":           func(k *keys.Token) { k.Expires = time.Unix(-5, 0) },
	} {
		k := someToken("hub.example:7443")
		change(&k)
		if s, err := k.Text(); err == nil {
			t.Errorf("%s: got %q", name, s)
		}
	}
}

func TestSecretsDoNotShow(t *testing.T) {
	k := someToken("hub.example:7443")
	var out bytes.Buffer
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "token", k, "secret", k.Secret)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "token", k, "secret", k.Secret)
	fmt.Fprintf(&out, "%v %+v %#v %s %x", k, k, k.Secret, k.Secret, k.Secret.String())
	js, err := json.Marshal(k)
	if err != nil {
		t.Fatal(err)
	}
	out.Write(js)
	for _, form := range []string{k.Secret.Text(), fmt.Sprint(k.Secret[:]), fmt.Sprintf("%x", k.Secret[:])} {
		if strings.Contains(out.String(), form) {
			t.Errorf("the secret shows as %q", form)
		}
	}
	got, err := keys.ParseSecret(k.Secret.Text())
	if err != nil || got != k.Secret || got.Hash() != k.Secret.Hash() {
		t.Errorf("got %v, %v", got.Text(), err)
	}
	if k.Secret.Hash() == keys.NewSecret().Hash() {
		t.Error("two secrets are the same")
	}
	for _, s := range []string{"", "x", k.Secret.Text() + "A", strings.Repeat("A", 1000)} {
		if _, err := keys.ParseSecret(s); err == nil {
			t.Errorf("secret %q was read", s)
		}
	}
}

func TestDialFindsTheHub(t *testing.T) {
	h := newHub(t)
	k := someToken("127.0.0.1:1", h.addr)
	k.Authority = h.Sum()
	c, authority, err := k.Dial(context.Background(), clockAt(start), "http/1.1")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if !authority.Equal(h.certificate(t)) {
		t.Error("another authority")
	}
	if b, err := io.ReadAll(c); err != nil || string(b) != "hello" {
		t.Errorf("got %q, %v", b, err)
	}
}

func TestManInTheMiddleLearnsNothing(t *testing.T) {
	h, foreign := newHub(t), newHub(t)
	certs := map[string]func() tls.Certificate{
		"an authority of his own": func() tls.Certificate {
			return serverCertificate(t, foreign, nil)
		},
		"the hub's authority behind his own certificate": func() tls.Certificate {
			return serverCertificate(t, foreign, h.certificate(t).Raw)
		},
	}
	for name, cert := range certs {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		heard := make(chan []byte)
		go func() {
			c, err := l.Accept()
			if err != nil {
				close(heard)
				return
			}
			s := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{cert()}, ClientAuth: tls.RequestClientCert})
			b, _ := io.ReadAll(s)
			c.Close()
			heard <- b
		}()
		k := someToken(l.Addr().String())
		k.Authority = h.Sum()
		if _, _, err := k.Dial(context.Background(), clockAt(start)); !errors.Is(err, keys.ErrHub) {
			t.Errorf("%s: got %v, want %v", name, err, keys.ErrHub)
		}
		if b := <-heard; len(b) > 0 {
			t.Errorf("%s: he learned %q", name, b)
		}
	}
}

// serverCertificate returns what h shows, with another authority if given.
func serverCertificate(t *testing.T, h *hub, authority []byte) tls.Certificate {
	config, err := h.ServerTLS([]string{"hub.example"}, func() time.Time { return start }, func(tocsin.DeviceID) bool { return false })
	if err != nil {
		t.Error(err)
		return tls.Certificate{}
	}
	c, err := config.GetCertificate(nil)
	if err != nil {
		t.Error(err)
		return tls.Certificate{}
	}
	if authority != nil {
		c.Certificate[1] = authority
	}
	return *c
}

func FuzzParseToken(f *testing.F) {
	for _, k := range []keys.Token{someToken("hub.example:7443"), someToken("192.0.2.1:1", "[2001:db8::1]:65535")} {
		f.Add(text(f, k))
	}
	f.Add("tocsin1.")
	f.Fuzz(func(t *testing.T, s string) {
		k, err := keys.ParseToken(s)
		if err != nil {
			if !errors.Is(err, keys.ErrToken) {
				t.Errorf("got %v", err)
			}
			return
		}
		// What is read is written again to the letter.
		if got := text(t, k); got != strings.Join(strings.Fields(s), "") {
			t.Errorf("got %q from %q", got, s)
		}
	})
}
