package feed

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/tocsin-io/tocsin/ruleset"
)

// A position is a list's position as it travels in JSON.
type position struct {
	List   string `json:"list"`
	Epoch  uint64 `json:"epoch"`
	Serial uint64 `json:"serial"`
}

// A hello is what a device says: where its lists stand, so that it gets what
// comes after; or what its kernel enforces.
type hello struct {
	Have    []position `json:"have,omitempty"`
	InForce []position `json:"in_force,omitempty"`
}

// A welcome is what the hub answers: how long the device shall wait, a random
// part of it, before it connects again or reports.
type welcome struct {
	Retry  int64 `json:"retry_ms"`
	Report int64 `json:"report_ms"`
}

func encodeHello(have, inForce []ruleset.Position) []byte {
	b, err := json.Marshal(hello{told(have), told(inForce)})
	if err != nil {
		panic(err) // strings and numbers always encode
	}
	return b
}

func told(ps []ruleset.Position) []position {
	var out []position
	for _, p := range ps {
		out = append(out, position{p.Ref.String(), p.Epoch, p.Serial})
	}
	return out
}

// decodeHello reads what a device said. Words that a newer device may know are
// passed over.
func decodeHello(b []byte) (have, inForce []ruleset.Position, err error) {
	if len(b) > maxText {
		return nil, nil, fmt.Errorf("%d bytes, want at most %d", len(b), maxText)
	}
	var h hello
	d := json.NewDecoder(bytes.NewReader(b))
	if err := d.Decode(&h); err != nil {
		return nil, nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, nil, errors.New("more than one message")
	}
	if have, err = heard(h.Have); err != nil {
		return nil, nil, err
	}
	inForce, err = heard(h.InForce)
	return have, inForce, err
}

func heard(ps []position) ([]ruleset.Position, error) {
	if len(ps) > MaxLists {
		return nil, fmt.Errorf("%d lists, want at most %d", len(ps), MaxLists)
	}
	var out []ruleset.Position
	for _, p := range ps {
		ref, err := ruleset.ParseRef(p.List)
		if err != nil {
			return nil, err
		}
		out = append(out, ruleset.Position{Ref: ref, Epoch: p.Epoch, Serial: p.Serial})
	}
	return out, nil
}

// maxWait bounds how long a hub can make a device wait.
const maxWait = 10 * time.Minute

// decodeWelcome reads what a hub said.
func decodeWelcome(b []byte) (retry, report time.Duration, err error) {
	var w welcome
	if len(b) > maxText {
		return 0, 0, fmt.Errorf("%d bytes, want at most %d", len(b), maxText)
	}
	if err := json.Unmarshal(b, &w); err != nil {
		return 0, 0, err
	}
	return bounded(w.Retry), bounded(w.Report), nil
}

func bounded(ms int64) time.Duration {
	return time.Duration(min(max(ms, 0), maxWait.Milliseconds())) * time.Millisecond
}

// retryMark stands in the reason of a close, before milliseconds.
const retryMark = "retry_ms="

func withRetry(reason string, window time.Duration) string {
	return reason + "; " + retryMark + strconv.FormatInt(window.Milliseconds(), 10)
}

// retryIn returns the window that a reason tells, or 0.
func retryIn(reason string) time.Duration {
	_, after, ok := strings.Cut(reason, retryMark)
	if !ok {
		return 0
	}
	ms, err := strconv.ParseInt(strings.TrimSpace(after), 10, 64)
	if err != nil {
		return 0
	}
	return bounded(ms)
}
