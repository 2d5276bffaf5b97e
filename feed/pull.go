package feed

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/tocsin-io/tocsin/ruleset"
)

// poll asks once, and waits for an answer.
func (c *Client) poll(ctx context.Context, f *follower) error {
	want := f.wanted(time.Now(), true)
	if len(want) == 0 {
		sleep(ctx, jitter(2*firstWindow))
		return nil
	}
	q := url.Values{"wait": {maxPoll.String()}}
	for _, p := range want {
		q.Add("list", p.Ref.String())
		q.Add("epoch", strconv.FormatUint(p.Epoch, 10))
		q.Add("serial", strconv.FormatUint(p.Serial, 10))
	}
	ctx, cancel := context.WithTimeout(ctx, maxPoll+5*time.Minute) // a snapshot may take its time
	defer cancel()
	answer, err := c.get(ctx, c.hub, c.cfg.Poll+"?"+q.Encode())
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if t := answer.Header.Get("Content-Type"); t != contentType {
		return fmt.Errorf("%s answers with %q: it is no feed", c.cfg.Poll, t)
	}
	c.set(ViaPoll)
	r := bufio.NewReader(io.LimitReader(answer.Body, maxAnswer+MaxLists*ruleset.MaxSnapshot))
	for {
		s, err := readMessage(r)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		f.deliver(s, time.Now())
	}
}

// readMessage reads one message of an answer, or io.EOF after the last.
func readMessage(r io.Reader) (ruleset.Sealed, error) {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(size[:])
	if n > ruleset.MaxSnapshot {
		return nil, fmt.Errorf("message of %d bytes, want at most %d", n, ruleset.MaxSnapshot)
	}
	b, err := io.ReadAll(io.LimitReader(r, int64(n)))
	if err == nil && len(b) < int(n) {
		err = io.ErrUnexpectedEOF
	}
	return b, err
}

func (c *Client) get(ctx context.Context, client *http.Client, address string) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	answer, err := client.Do(r)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode != http.StatusOK {
		defer answer.Body.Close()
		return nil, refusedBy(answer)
	}
	return answer, nil
}

// mirror looks once through an export.
func (c *Client) mirror(ctx context.Context, f *follower) error {
	var errs []error
	for _, p := range f.wanted(time.Now(), true) {
		if err := c.mirrorList(ctx, f, p); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", p.Ref, err))
		}
	}
	return errors.Join(errs...)
}

// maxFetched is how many frames are fetched one by one; beyond it, the snapshot
// is cheaper.
const maxFetched = 300

func (c *Client) mirrorList(ctx context.Context, f *follower, p ruleset.Position) error {
	text, err := c.file(ctx, maxText, p.Ref, headFile)
	if err != nil {
		return err
	}
	var h head
	if err := json.Unmarshal(text, &h); err != nil {
		return fmt.Errorf("head: %w", err)
	}
	c.set(ViaMirror)
	if h.Epoch > p.Epoch || h.Epoch == p.Epoch && (p.Serial < h.Snapshot || h.Serial > p.Serial+maxFetched) {
		s, err := c.file(ctx, ruleset.MaxSnapshot, p.Ref, snapshotFile)
		if err != nil {
			return err
		}
		at, err := ruleset.Peek(s)
		if err != nil {
			return err
		}
		f.deliver(s, time.Now())
		p = at.Position // that of a newer export, maybe
	}
	for n := 0; p.Epoch == h.Epoch && p.Serial < h.Serial && n < maxFetched; n++ {
		p.Serial++
		s, err := c.file(ctx, ruleset.MaxDelta, p.Ref, strconv.FormatUint(p.Epoch, 10), strconv.FormatUint(p.Serial, 10)+frameSuffix)
		if err != nil {
			return err
		}
		f.deliver(s, time.Now())
	}
	if h.Beat {
		s, err := c.file(ctx, ruleset.MaxBeat, p.Ref, beatFile)
		if err != nil {
			return err
		}
		f.deliver(s, time.Now())
	}
	return nil
}

// file fetches one file of an export.
func (c *Client) file(ctx context.Context, most int64, list ruleset.Ref, name ...string) ([]byte, error) {
	address, err := url.JoinPath(c.cfg.Mirror, append(strings.Split(list.String(), "/"), name...)...)
	if err != nil {
		return nil, err
	}
	answer, err := c.get(ctx, c.cfg.Web, address)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(io.LimitReader(answer.Body, most+1))
	if err == nil && int64(len(b)) > most {
		err = fmt.Errorf("%s has more than %d bytes", address, most)
	}
	return b, err
}
