package feed

import (
	"encoding/binary"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"strconv"
	"time"

	"github.com/tocsin-io/tocsin/internal/logkey"
	"github.com/tocsin-io/tocsin/ruleset"
)

// contentType of an answer to a long poll: messages, each after its length in
// four bytes, big endian.
const contentType = "application/vnd.tocsin.feed"

// maxPoll bounds how long a long poll waits.
const maxPoll = 50 * time.Second

// maxAnswer bounds an answer in bytes; what is left comes with the next.
const maxAnswer = 24 << 20

// Poll answers GET /v1/feed?list=…&epoch=…&serial=…&wait=50s, with a list, an
// epoch and a serial for each list: at once if there is something new, else once
// there is, or with the last heartbeats when the time is up. Where a device says
// it stands counts as in force. Who asks is told by identify, whatever vouches
// for it; an error refuses it. Errors are sentences in plain text.
func (s *Server) Poll(identify func(*http.Request) (Device, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d, err := identify(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusForbidden)
			return
		}
		have, wait, err := parsePoll(r.URL.RawQuery)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		select {
		case s.polls <- struct{}{}:
			defer func() { <-s.polls }()
		default:
			w.Header().Set("Retry-After", strconv.Itoa(int(max(time.Minute, s.Window()).Seconds())))
			http.Error(w, "the hub is full: too many devices wait", http.StatusServiceUnavailable)
			return
		}
		s.poll(w, r, d, have, wait)
	})
}

func parsePoll(query string) (have []ruleset.Position, wait time.Duration, err error) {
	if len(query) > maxText {
		return nil, 0, fmt.Errorf("query of %d bytes, want at most %d", len(query), maxText)
	}
	q, err := url.ParseQuery(query)
	if err != nil {
		return nil, 0, err
	}
	lists, epochs, serials := q["list"], q["epoch"], q["serial"]
	if n := len(lists); n == 0 || n > MaxLists || len(epochs) != n || len(serials) != n {
		return nil, 0, fmt.Errorf("want list, epoch and serial, once for each of at most %d lists", MaxLists)
	}
	for n := range lists {
		p := ruleset.Position{}
		if p.Ref, err = ruleset.ParseRef(lists[n]); err != nil {
			return nil, 0, err
		}
		if p.Epoch, err = strconv.ParseUint(epochs[n], 10, 64); err != nil {
			return nil, 0, fmt.Errorf("epoch: %w", err)
		}
		if p.Serial, err = strconv.ParseUint(serials[n], 10, 64); err != nil {
			return nil, 0, fmt.Errorf("serial: %w", err)
		}
		have = append(have, p)
	}
	if text := q.Get("wait"); text != "" {
		if wait, err = time.ParseDuration(text); err != nil {
			return nil, 0, fmt.Errorf("wait: %w", err)
		}
	}
	return have, min(max(wait, 0), maxPoll), nil
}

func (s *Server) poll(w http.ResponseWriter, r *http.Request, d Device, have []ruleset.Position, wait time.Duration) {
	var topics []*topic
	for _, p := range have {
		for _, ref := range d.Lists {
			if ref == p.Ref {
				topics = append(topics, s.topic(ref))
			}
		}
	}
	if len(topics) != len(have) {
		http.Error(w, "a list that is not this device's", http.StatusForbidden)
		return
	}
	s.mu.Lock()
	s.polled[d.ID] = Follower{Device: d.ID, Since: s.now(), Polls: true, InForce: have}
	s.mu.Unlock()
	timeout := time.NewTimer(wait)
	defer timeout.Stop()
	for {
		news := signals(topics)
		sealed, err := s.lacking(r, d, topics, have)
		if err != nil {
			s.cfg.Log.Error("frames cannot be read", logkey.Device, d.ID, logkey.Err, err)
			http.Error(w, "the hub cannot read its lists", http.StatusInternalServerError)
			return
		}
		if len(sealed) > 0 {
			answer(w, sealed)
			return
		}
		if !waitAny(r, timeout.C, news) {
			answer(w, beats(topics))
			return
		}
	}
}

// signals returns channels that tell of news; they are taken before one looks.
func signals(topics []*topic) (out []<-chan struct{}) {
	for _, t := range topics {
		t.mu.Lock()
		out = append(out, t.changed)
		t.mu.Unlock()
	}
	return out
}

// waitAny reports whether there may be news, rather than no time left.
func waitAny(r *http.Request, timeout <-chan time.Time, news []<-chan struct{}) bool {
	cases := []reflect.SelectCase{
		{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(r.Context().Done())},
		{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(timeout)},
	}
	for _, c := range news {
		cases = append(cases, reflect.SelectCase{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(c)})
	}
	n, _, _ := reflect.Select(cases)
	return n > 1
}

func (s *Server) lacking(r *http.Request, d Device, topics []*topic, have []ruleset.Position) (out []ruleset.Sealed, err error) {
	size := 0
	for n, t := range topics {
		issues, err := t.since(r.Context(), s.cfg.Library, d.ID, have[n], s.now())
		if err != nil {
			return nil, err
		}
		for _, i := range issues {
			if size += i.size; size > maxAnswer {
				return out, nil
			}
			out = append(out, i.sealed())
		}
	}
	return out, nil
}

func beats(topics []*topic) (out []ruleset.Sealed) {
	for _, t := range topics {
		t.mu.Lock()
		if t.beat.size > 0 {
			out = append(out, t.beat.sealed())
		}
		t.mu.Unlock()
	}
	return out
}

func answer(w http.ResponseWriter, sealed []ruleset.Sealed) {
	size := 0
	for _, s := range sealed {
		size += 4 + len(s)
	}
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(size))
	w.Header().Set("Cache-Control", "no-store")
	for _, s := range sealed {
		if _, err := w.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(s))), s...)); err != nil {
			return // the device asks again
		}
	}
}
