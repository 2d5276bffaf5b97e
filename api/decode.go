package api

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"sync"
	"time"

	"github.com/tocsin-io/tocsin"
)

// maxItem bounds one sighting, clue or contact as JSON; a full contact takes the
// most, some 5 KiB.
const maxItem = 8 << 10

var unzippers sync.Pool

// readBody reads what a device sent, unpacked and bounded.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	sent := http.MaxBytesReader(w, r.Body, MaxBody)
	switch encoding := r.Header.Get("Content-Encoding"); encoding {
	case "", "identity":
		b, err := io.ReadAll(sent)
		return b, bodyError(err)
	case "gzip":
		return unzip(sent)
	default:
		return nil, Refuse(http.StatusUnsupportedMediaType, "content encoding %q is not read: send gzip, or none", cut(encoding))
	}
}

func unzip(sent io.Reader) ([]byte, error) {
	z, ok := unzippers.Get().(*gzip.Reader)
	if !ok {
		z = new(gzip.Reader)
	}
	defer unzippers.Put(z)
	if err := z.Reset(sent); err != nil {
		return nil, bodyError(err)
	}
	b, err := io.ReadAll(io.LimitReader(z, MaxExpanded+1))
	if err == nil && len(b) > MaxExpanded {
		return nil, Refuse(http.StatusRequestEntityTooLarge, "unpacked, the body is larger than %d bytes: send less at once", MaxExpanded)
	}
	return b, bodyError(err)
}

// bodyError says what is wrong with a body that could not be read.
func bodyError(err error) error {
	var large *http.MaxBytesError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &large):
		return Refuse(http.StatusRequestEntityTooLarge, "the body is larger than %d bytes: send less at once", large.Limit)
	}
	return badRequest("the body broke off or is not gzip: send it again")
}

// fromDevice decodes what a device sent. Fields that are not known are ignored,
// so that a newer guard is understood.
func fromDevice(w http.ResponseWriter, r *http.Request, v any) error {
	b, err := readBody(w, r)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, v); err != nil {
		return badRequest("not understood: %v", err)
	}
	return nil
}

// fromPerson decodes what a person or program sent. A field that is not known is
// a mistake that would do something else than meant.
func fromPerson(w http.ResponseWriter, r *http.Request, v any) error {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return Refuse(http.StatusUnsupportedMediaType, "want JSON: send it with Content-Type: application/json")
	}
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxBody))
	if err != nil {
		return bodyError(err)
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return badRequest("not understood: %v", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return badRequest("not understood: more than one JSON value")
	}
	return nil
}

// ReadBatch reads the body of POST /v1/sightings, unpacked, as the hub does for
// that device: when it was sent, and the sightings. Its errors are of type
// [*Error]; with one, nothing is returned.
func ReadBatch(body []byte, from tocsin.DeviceID) (time.Time, []tocsin.Sighting, error) {
	b, err := decodeBatch(body, from)
	return b.sent, b.sightings, err
}

// decodeBatch reads a [Batch] of a device, sighting by sighting, so that what
// it takes is bounded and an error names the one that is wrong. Nothing of a
// wrong batch is returned.
func decodeBatch(body []byte, from tocsin.DeviceID) (incoming, error) {
	b := incoming{after: tocsin.ID{Device: from}}
	err := decodeFields(body, &b.sent, func(key json.Token, dec *json.Decoder) (err error) {
		switch key {
		case "after_boot":
			return dec.Decode(&b.after.Boot)
		case "after_counter":
			return dec.Decode(&b.after.Counter)
		case "sightings":
			b.sightings, err = decodeItems(dec, "sighting", func(_ int, raw []byte) (tocsin.Sighting, error) { return decodeSighting(raw, from) })
			return err
		}
		return dec.Decode(new(json.RawMessage))
	})
	if err == nil {
		err = checkOrder(b.sightings, b.sent)
	}
	if err != nil {
		return incoming{}, err
	}
	return b, nil
}

// atEnd refuses what follows a batch, and one without the device's clock.
func atEnd(dec *json.Decoder, sent time.Time) error {
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return badRequest("not understood: more than one JSON value")
	}
	if !storable(sent) {
		return badRequest("sent: want the device's clock, in a year from 1970 to 2199")
	}
	return nil
}

// An incoming is a [Batch] that was decoded and checked.
type incoming struct {
	sent      time.Time
	after     tocsin.ID
	sightings []tocsin.Sighting
}

func (b incoming) size() int       { return len(b.sightings) }
func (b incoming) time() time.Time { return b.sent }

func want(dec *json.Decoder, d json.Delim) error {
	got, err := dec.Token()
	switch {
	case err != nil:
		return badRequest("not understood: %v", err)
	case got != d:
		return badRequest("not understood: got %.20v, want %v", got, d)
	}
	return nil
}

// decodeItems reads an array of what a device tells, called so in errors, one by
// one.
func decodeItems[T any](dec *json.Decoder, called string, decode func(i int, raw []byte) (T, error)) ([]T, error) {
	if err := want(dec, json.Delim('[')); err != nil {
		return nil, err
	}
	var batch []T
	for dec.More() {
		i := len(batch)
		if i == MaxBatch {
			return nil, Refuse(http.StatusRequestEntityTooLarge, "more than %d %ss: send less at once", MaxBatch, called)
		}
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return nil, wrongItem(called, i, http.StatusBadRequest, err)
		}
		if len(raw) > maxItem {
			return nil, wrongItem(called, i, http.StatusRequestEntityTooLarge, fmt.Errorf("larger than %d bytes", maxItem))
		}
		t, err := decode(i, raw)
		if errors.Is(err, errOther) {
			return nil, wrongItem(called, i, http.StatusForbidden, err)
		}
		if err != nil {
			return nil, wrongItem(called, i, http.StatusBadRequest, err)
		}
		batch = append(batch, t)
	}
	return batch, want(dec, json.Delim(']'))
}

func decodeSighting(raw []byte, from tocsin.DeviceID) (tocsin.Sighting, error) {
	var s Sighting
	if err := json.Unmarshal(raw, &s); err != nil {
		return tocsin.Sighting{}, err
	}
	if s.Device == "" {
		s.Device = from
	}
	if s.Device != from {
		return tocsin.Sighting{}, errOther
	}
	return s.Sighting()
}

// What is wrong with one of a batch.
var (
	errOther  = errors.New("it is another device's: a device speaks for itself only")
	errFuture = errors.New("it is of the future, by the device's own clock")
	errOrder  = errors.New("its number is not above that of the one before")
)

// maxAhead is how far a sighting may be ahead of the clock of its own device,
// which may have been set back a little in between.
const maxAhead = 2 * time.Minute

// checkOrder refuses what would be lost or misjudged silently: a repeat is
// recognised by its number, so numbers must grow.
func checkOrder(batch []tocsin.Sighting, sent time.Time) error {
	for i, s := range batch {
		if s.Last.Sub(sent) > maxAhead {
			return wrongItem("sighting", i, http.StatusUnprocessableEntity, errFuture)
		}
		if i > 0 && !above(s.ID, batch[i-1].ID) {
			return wrongItem("sighting", i, http.StatusBadRequest, errOrder)
		}
	}
	return nil
}

// above reports whether a is newer than b, of one device.
func above(a, b tocsin.ID) bool {
	return a.Boot > b.Boot || a.Boot == b.Boot && a.Counter > b.Counter
}

// wrongItem is the refusal of a whole batch for one of what it holds.
func wrongItem(called string, i, status int, err error) *Error {
	return &Error{Status: status, Text: fmt.Sprintf("%s %d: %v; nothing of the batch was taken", called, i, err), Index: &i}
}

func asBadRequest(err error) error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return badRequest("not understood: %v", err)
}
