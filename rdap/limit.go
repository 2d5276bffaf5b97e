package rdap

import (
	"context"
	"fmt"
	"maps"
	"time"
)

// burst is how many questions a server gets at once before they are spread.
const burst = 3

// maxServers bounds the buckets: redirects choose the names.
const maxServers = 64

// A BusyError says that a server wants to be left alone for a while.
type BusyError struct {
	Server string
	Until  time.Time
}

func (e *BusyError) Error() string {
	return fmt.Sprintf("%s has had enough questions until %s", e.Server, e.Until.UTC().Format(time.RFC3339))
}

// A bucket holds the questions that one server may be asked.
type bucket struct {
	name   string
	tokens float64
	at     time.Time // when tokens was right
	until  time.Time // not before: the server's word
}

func (c *Client) server(host string) *bucket {
	b := c.servers[host]
	if b == nil {
		if len(c.servers) >= maxServers {
			// Those that asked for a pause get it.
			now := c.now()
			maps.DeleteFunc(c.servers, func(_ string, b *bucket) bool { return b.until.Before(now) })
		}
		b = &bucket{name: host, tokens: burst, at: c.now()}
		c.servers[host] = b
	}
	return b
}

// take takes one question, and returns how long to wait before it is asked.
func (b *bucket) take(now time.Time, perMinute int) (time.Duration, bool) {
	if now.Before(b.until) {
		return 0, false
	}
	rate := float64(perMinute) / float64(time.Minute)
	if passed := now.Sub(b.at); passed > 0 {
		b.tokens = min(burst, b.tokens+rate*float64(passed))
	}
	b.at = now
	if b.tokens--; b.tokens >= 0 {
		return 0, true
	}
	return time.Duration(-b.tokens / rate), true
}

func (b *bucket) wait(ctx context.Context, now time.Time, perMinute int) error {
	d, ok := b.take(now, perMinute)
	if !ok {
		return &BusyError{Server: b.name, Until: b.until}
	}
	if d == 0 {
		return nil
	}
	if end, ok := ctx.Deadline(); ok && d > time.Until(end) {
		b.tokens++ // not asked after all
		return &BusyError{Server: b.name, Until: now.Add(d)}
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
