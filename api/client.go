package api

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	dialTime     = 10 * time.Second
	answerTime   = 60 * time.Second // of a request that is no stream
	maxAnswer    = 16 << 20         // bytes
	maxErrorBody = 64 << 10
)

// A Client asks a hub. It never retries by itself: whoever asks knows what may
// wait, and an [*Error] says for how long. It is safe for concurrent use.
type Client struct {
	base  string
	token string
	http  *http.Client
}

// OverSocket returns a client for the hub of this machine, by its Unix socket:
// the kernel tells the hub who asks.
func OverSocket(path string) *Client {
	t := transport(nil)
	t.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		d := net.Dialer{Timeout: dialTime}
		c, err := d.DialContext(ctx, "unix", path)
		if err != nil {
			return nil, fmt.Errorf("no hub answers at %s: start it (tocsin hub), or name its socket: %w", path, err)
		}
		return c, nil
	}
	return &Client{base: "http://hub", http: &http.Client{Transport: t}}
}

// WithToken returns a client for people and programs. Hub is its address, such as
// "hub.example.net:8443"; trust says which certificates hold, nil is those that
// the system trusts.
func WithToken(hub, token string, trust *tls.Config) *Client {
	return &Client{base: "https://" + hub, token: token, http: &http.Client{Transport: transport(trust)}}
}

// AsDevice returns a client for a guard: the certificate in id says which, and
// before the enrolment there is none.
func AsDevice(hub string, id *tls.Config) *Client {
	return &Client{base: "https://" + hub, http: &http.Client{Transport: transport(id)}}
}

// OverConn returns a client that asks over one connection whose other end is
// proved already, as at an enrolment. It is gone when the connection is.
func OverConn(conn net.Conn) *Client {
	t := transport(nil)
	t.DialTLSContext = func(context.Context, string, string) (net.Conn, error) { return conn, nil }
	return &Client{base: "https://hub", http: &http.Client{Transport: t}}
}

func transport(t *tls.Config) *http.Transport {
	if t == nil {
		t = &tls.Config{}
	}
	t = t.Clone()
	t.MinVersion = tls.VersionTLS13
	return &http.Transport{
		TLSClientConfig:     t,
		DialContext:         (&net.Dialer{Timeout: dialTime}).DialContext,
		TLSHandshakeTimeout: dialTime,
		// No ResponseHeaderTimeout: a backup of a large database takes minutes to
		// begin. Every other request has a deadline of its own.
		MaxResponseHeaderBytes: 16 << 10,
		MaxIdleConns:           2,
		IdleConnTimeout:        90 * time.Second,
		DisableCompression:     true, // what a hub answers is small, and bounded as it is
	}
}

// Close ends connections that wait for the next request.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// get, post and the like ask and decode the answer into out, unless it is nil.
func (c *Client) get(ctx context.Context, path string, out any) error {
	return c.ask(ctx, http.MethodGet, path, nil, out)
}

func (c *Client) post(ctx context.Context, path string, in, out any) error {
	return c.ask(ctx, http.MethodPost, path, in, out)
}

func (c *Client) ask(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(b)
	}
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	return c.send(ctx, method, path, "application/json", "", body, out)
}

// send asks with a body as it is.
func (c *Client) send(ctx context.Context, method, path, kind, encoding string, body io.Reader, out any) error {
	resp, err := c.open(ctx, method, path, kind, encoding, body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return fmt.Errorf("%s: the answer broke off: %w", path, err)
	case len(b) > maxAnswer:
		return fmt.Errorf("%s: the answer is larger than %d bytes", path, maxAnswer)
	case out == nil:
		return nil
	}
	if raw, ok := out.(*[]byte); ok {
		*raw = b
		return nil
	}
	if err := json.Unmarshal(b, out); err != nil {
		return fmt.Errorf("%s: answer not understood: %w", path, err)
	}
	return nil
}

// open asks and returns an answer that is no refusal; the caller closes its body.
func (c *Client) open(ctx context.Context, method, path, kind, encoding string, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", kind)
	}
	if encoding != "" {
		req.Header.Set("Content-Encoding", encoding)
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode/100 == 2 {
		return resp, nil
	}
	defer resp.Body.Close()
	return nil, refusal(resp)
}

// refusal reads an [*Error] from an answer, whoever wrote it: a proxy on the way
// may not speak JSON.
func refusal(resp *http.Response) *Error {
	e := &Error{Status: resp.StatusCode, Text: "the hub answered " + resp.Status}
	if s, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && s > 0 {
		e.RetryAfter = min(time.Duration(s), 24*60*60) * time.Second
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
	if err != nil {
		return e
	}
	var body errorBody
	if json.Unmarshal(b, &body) == nil && body.Error != "" {
		e.Text, e.Index = strings.ToValidUTF8(body.Error, "?"), body.Index
	}
	return e
}

// pack returns v as JSON, compressed.
func pack(v any) (*bytes.Buffer, error) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	return &b, errors.Join(json.NewEncoder(z).Encode(v), z.Close())
}

// download copies an answer that may be large; it broke off if there is an error.
func (c *Client) download(ctx context.Context, path string, w io.Writer) error {
	resp, err := c.open(ctx, http.MethodGet, path, "", "", nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(w, resp.Body); err != nil {
		return fmt.Errorf("%s broke off: %w", path, err)
	}
	return nil
}
