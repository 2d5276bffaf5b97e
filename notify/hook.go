package notify

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Names of the headers of a webhook.
const (
	HeaderDelivery  = "Tocsin-Delivery"  // the name of the message: the same at every try
	HeaderTimestamp = "Tocsin-Timestamp" // seconds since 1970, of this try
	HeaderSignature = "Tocsin-Signature" // "sha256=" and the HMAC in hex
)

// MaxAge is how old a signature may be that [Verify] accepts, or how far ahead.
const MaxAge = 5 * time.Minute

// minSecret is how long a secret is at least, in bytes.
const minSecret = 16

// A Hook is a webhook: an address that messages are posted to, as JSON.
type Hook struct {
	URL     string
	Secret  []byte         // signs what is posted; at least 16 bytes
	Roots   *x509.CertPool // who may vouch for the server; nil is the system's
	Plain   bool           // also without TLS: for a network of one's own. A server on this machine needs no leave
	Timeout time.Duration  // 0 is 10 s
}

// A post is the body of a webhook.
type post struct {
	Version int `json:"version"` // of this format: 1
	Batch
	Subject string `json:"subject"`
}

// sender returns what posts to h.
func (h *Hook) sender() (func(context.Context, Batch) error, error) {
	u, err := url.Parse(h.URL)
	if err != nil {
		return nil, fmt.Errorf("notify: webhook: %w", err)
	}
	ip := net.ParseIP(u.Hostname())
	here := u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
	switch {
	case u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		return nil, fmt.Errorf("notify: webhook %q: needs the form https://server/path", h.URL)
	case u.Scheme == "http" && !here && !h.Plain:
		return nil, fmt.Errorf("notify: webhook %q: needs https, or plain = true for a network of your own", h.URL)
	case len(h.Secret) < minSecret:
		return nil, fmt.Errorf("notify: webhook %q: needs a secret of at least %d bytes; openssl rand -hex 32 makes one", h.URL, minSecret)
	}
	timeout := h.Timeout
	if timeout <= 0 {
		timeout = 10 * time.Second
	}
	client := &http.Client{
		Timeout: timeout,
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			TLSClientConfig:        &tls.Config{RootCAs: h.Roots, MinVersion: tls.VersionTLS12},
			MaxResponseHeaderBytes: 64 << 10,
			MaxIdleConnsPerHost:    1,
			IdleConnTimeout:        time.Minute,
		},
		// Somebody else than the owner named would get what is for the owner.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return func(ctx context.Context, b Batch) error { return h.post(ctx, client, b) }, nil
}

func (h *Hook) post(ctx context.Context, client *http.Client, b Batch) error {
	body, err := json.Marshal(post{Version: 1, Batch: b, Subject: b.Subject()})
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.URL, bytes.NewReader(body))
	if err != nil {
		return err
	}
	stamp := strconv.FormatInt(time.Now().Unix(), 10)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "tocsin")
	req.Header.Set(HeaderDelivery, b.ID)
	req.Header.Set(HeaderTimestamp, stamp)
	req.Header.Set(HeaderSignature, "sha256="+hex.EncodeToString(sum(h.Secret, stamp, body)))
	res, err := client.Do(req)
	if err != nil {
		var outer *url.Error
		if errors.As(err, &outer) {
			err = outer.Err // it repeats the address, which may hold a password
		}
		return fmt.Errorf("webhook: %w", err)
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 64<<10)) // so that the connection is used again
	switch {
	case res.StatusCode >= 200 && res.StatusCode < 300:
		return nil
	case res.StatusCode >= 300 && res.StatusCode < 400:
		return fmt.Errorf("webhook: status %d: redirects are not followed: configure where it leads to", res.StatusCode)
	}
	return fmt.Errorf("webhook: status %d", res.StatusCode)
}

// sum is the HMAC-SHA256 of the timestamp, a point, and the body.
func sum(secret []byte, stamp string, body []byte) []byte {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(stamp + "."))
	mac.Write(body)
	return mac.Sum(nil)
}

// Verify checks what a receiver got: that body was signed with secret, and not
// long ago. A receiver also remembers [HeaderDelivery] for as long, and leaves
// out what it had before.
func Verify(secret []byte, header http.Header, body []byte, now time.Time) error {
	stamp := header.Get(HeaderTimestamp)
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil {
		return fmt.Errorf("%s %q: not a number", HeaderTimestamp, stamp)
	}
	want := "sha256=" + hex.EncodeToString(sum(secret, stamp, body))
	if !hmac.Equal([]byte(want), []byte(header.Get(HeaderSignature))) {
		return errors.New(HeaderSignature + ": signed by somebody else, or changed on the way")
	}
	if age := now.Sub(time.Unix(seconds, 0)); age > MaxAge || age < -MaxAge {
		return fmt.Errorf("%s: %s old: sent again by somebody, or a clock is wrong", HeaderTimestamp, age)
	}
	return nil
}
