package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/tocsin-io/tocsin"
)

// A ClueBatch is clues in the order of their numbers, oldest first; the other
// fields are those of a [Batch].
type ClueBatch struct {
	Sent         time.Time `json:"sent"`
	Clues        []Clue    `json:"clues"` // none asks what the hub has
	AfterBoot    uint64    `json:"after_boot,omitempty"`
	AfterCounter uint64    `json:"after_counter,omitempty"`
}

// A ContactBatch is windows of outgoing connections. One that was told before, by
// destination, protocol and first, is replaced.
type ContactBatch struct {
	Sent     time.Time        `json:"sent"`
	Contacts []tocsin.Contact `json:"contacts"` // their device may be left out
}

// A ContactsTaken answers a [ContactBatch] after the commit.
type ContactsTaken struct {
	Accepted int `json:"accepted"`
}

// SendClues hands in clues that follow what the hub said it has, at most
// [MaxBatch]; see [Client.SendAfter]. Clues are numbered apart from sightings.
func (c *Client) SendClues(ctx context.Context, sent time.Time, after tocsin.ID, batch []tocsin.Clue) (t Taken, err error) {
	b := ClueBatch{Sent: sent, Clues: make([]Clue, len(batch)), AfterBoot: after.Boot, AfterCounter: after.Counter}
	for i, one := range batch {
		b.Clues[i] = ClueOf(one)
	}
	return t, c.packed(ctx, "/v1/clues", b, &t)
}

// SendContacts hands in contacts, at most [MaxBatch]. They may be sent again: a
// repeat replaces itself.
func (c *Client) SendContacts(ctx context.Context, sent time.Time, batch []tocsin.Contact) (t ContactsTaken, err error) {
	return t, c.packed(ctx, "/v1/contacts", ContactBatch{sent, batch}, &t)
}

// packed asks with a body of gzip.
func (c *Client) packed(ctx context.Context, path string, in, out any) error {
	body, err := pack(in)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	return c.send(ctx, http.MethodPost, path, "application/json", "gzip", body, out)
}

// takeClues takes a batch of clues, as ingest does of sightings.
func (a *API) takeClues(c *call) (any, error) {
	return takeBatch(a, c, a.clues, decodeClues, func(sent time.Time, b incomingClues) (any, error) {
		in, err := a.Ingester.Clues(c.r.Context(), c.reporter(sent), b.after, b.clues)
		return result(Taken{Accepted: in.Fresh, Repeated: in.Repeated, HaveBoot: in.Have.Boot, HaveCounter: in.Have.Counter}, err)
	})
}

// takeContacts takes a batch of contacts.
func (a *API) takeContacts(c *call) (any, error) {
	return takeBatch(a, c, a.contacts, decodeContacts, func(sent time.Time, b incomingContacts) (any, error) {
		return result(ContactsTaken{len(b.contacts)}, a.Ingester.Contacts(c.r.Context(), c.reporter(sent), b.contacts))
	})
}

// takeBatch reads one body of a device, charges it, and hands on what it holds.
func takeBatch[B interface {
	size() int
	time() time.Time
}](a *API, c *call, limit *limiter[tocsin.DeviceID], decode func([]byte, tocsin.DeviceID) (B, error), do func(time.Time, B) (any, error)) (any, error) {
	id := c.peer.Device
	if wait := limit.wait(id, c.at); wait > 0 {
		return nil, &Error{Status: http.StatusTooManyRequests, Text: "this device sends too much: keep it and wait", RetryAfter: wait}
	}
	if !a.sending.enter(id) {
		return nil, &Error{Status: http.StatusTooManyRequests, Text: "this device sends too many batches at once: wait for the answer", RetryAfter: time.Second}
	}
	defer a.sending.leave(id)
	body, err := readBody(c.w, c.r)
	if err != nil {
		limit.take(id, MaxBatch, c.at) // what is refused was work, too
		return nil, err
	}
	select { // the slow read is over: from here a place is held for milliseconds
	case a.busy <- struct{}{}:
		defer func() { <-a.busy }()
	case <-c.r.Context().Done():
		return nil, c.r.Context().Err()
	}
	b, err := decode(body, id)
	limit.take(id, max(1, float64(b.size())), c.at)
	if err != nil {
		return nil, err
	}
	return do(b.time(), b)
}

// An incomingClues is a [ClueBatch] that was decoded and checked.
type incomingClues struct {
	sent  time.Time
	after tocsin.ID
	clues []tocsin.Clue
}

func (b incomingClues) size() int       { return len(b.clues) }
func (b incomingClues) time() time.Time { return b.sent }

// An incomingContacts is a [ContactBatch] that was decoded and checked.
type incomingContacts struct {
	sent     time.Time
	contacts []tocsin.Contact
}

func (b incomingContacts) size() int       { return len(b.contacts) }
func (b incomingContacts) time() time.Time { return b.sent }

// ReadClues reads the body of POST /v1/clues, unpacked, as the hub does for that
// device; see [ReadBatch].
func ReadClues(body []byte, from tocsin.DeviceID) (time.Time, []tocsin.Clue, error) {
	b, err := decodeClues(body, from)
	return b.sent, b.clues, err
}

// ReadContacts reads the body of POST /v1/contacts, unpacked, as the hub does for
// that device; see [ReadBatch].
func ReadContacts(body []byte, from tocsin.DeviceID) (time.Time, []tocsin.Contact, error) {
	b, err := decodeContacts(body, from)
	return b.sent, b.contacts, err
}

// decodeClues reads a [ClueBatch], clue by clue, as decodeBatch does.
func decodeClues(body []byte, from tocsin.DeviceID) (incomingClues, error) {
	b := incomingClues{after: tocsin.ID{Device: from}}
	err := decodeFields(body, &b.sent, func(key json.Token, dec *json.Decoder) (err error) {
		switch key {
		case "after_boot":
			return dec.Decode(&b.after.Boot)
		case "after_counter":
			return dec.Decode(&b.after.Counter)
		case "clues":
			b.clues, err = decodeItems(dec, "clue", func(i int, raw []byte) (tocsin.Clue, error) { return decodeClue(raw, from) })
			return err
		}
		return dec.Decode(new(json.RawMessage))
	})
	if err != nil {
		return incomingClues{}, err
	}
	for i, c := range b.clues {
		switch {
		case c.At.Sub(b.sent) > maxAhead:
			return incomingClues{}, wrongItem("clue", i, http.StatusUnprocessableEntity, errFuture)
		case i > 0 && !above(c.ID, b.clues[i-1].ID):
			return incomingClues{}, wrongItem("clue", i, http.StatusBadRequest, errOrder)
		}
	}
	// What an older hub cannot read must not hold up what it can.
	kept := b.clues[:0]
	for _, c := range b.clues {
		if c.Fact != 0 {
			kept = append(kept, c)
		}
	}
	b.clues = kept
	return b, nil
}

// decodeClue reads one clue. One of a fact that is not known comes back without.
func decodeClue(raw []byte, from tocsin.DeviceID) (tocsin.Clue, error) {
	var c Clue
	if err := json.Unmarshal(raw, &c); err != nil {
		return tocsin.Clue{}, err
	}
	if c.Device == "" {
		c.Device = from
	}
	if c.Device != from {
		return tocsin.Clue{}, errOther
	}
	t, err := c.Clue()
	if errors.Is(err, errNewFact) {
		return tocsin.Clue{ID: tocsin.ID{Device: from, Boot: c.Boot, Counter: c.Counter}, Device: from, At: c.At}, nil
	}
	return t, err
}

// decodeContacts reads a [ContactBatch], contact by contact.
func decodeContacts(body []byte, from tocsin.DeviceID) (incomingContacts, error) {
	var b incomingContacts
	err := decodeFields(body, &b.sent, func(key json.Token, dec *json.Decoder) (err error) {
		if key != "contacts" {
			return dec.Decode(new(json.RawMessage))
		}
		b.contacts, err = decodeItems(dec, "contact", func(_ int, raw []byte) (c tocsin.Contact, err error) {
			if err := json.Unmarshal(raw, &c); err != nil {
				return c, err
			}
			if c.Device == "" {
				c.Device = from
			}
			if c.Device != from {
				return c, errOther
			}
			return c, checkContact(c)
		})
		return err
	})
	if err != nil {
		return incomingContacts{}, err
	}
	for i, c := range b.contacts {
		if c.Last.Sub(b.sent) > maxAhead {
			return incomingContacts{}, wrongItem("contact", i, http.StatusUnprocessableEntity, errFuture)
		}
	}
	return b, nil
}

// decodeFields reads a batch, field by field: sent, and what field takes.
func decodeFields(body []byte, sent *time.Time, field func(key json.Token, dec *json.Decoder) error) error {
	dec := json.NewDecoder(bytes.NewReader(body))
	if err := want(dec, json.Delim('{')); err != nil {
		return err
	}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return badRequest("not understood: %v", err)
		}
		if key == "sent" {
			err = dec.Decode(sent)
		} else {
			err = field(key, dec)
		}
		if err != nil {
			return asBadRequest(err)
		}
	}
	if err := want(dec, json.Delim('}')); err != nil {
		return err
	}
	return atEnd(dec, *sent)
}
