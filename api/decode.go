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

// maxSighting bounds one sighting as JSON; a full one takes a quarter of it.
const maxSighting = 8 << 10

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
	dec := json.NewDecoder(bytes.NewReader(body))
	if err := want(dec, json.Delim('{')); err != nil {
		return incoming{}, err
	}
	b := incoming{after: tocsin.ID{Device: from}}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return incoming{}, badRequest("not understood: %v", err)
		}
		switch key {
		case "sent":
			err = dec.Decode(&b.sent)
		case "after_boot":
			err = dec.Decode(&b.after.Boot)
		case "after_counter":
			err = dec.Decode(&b.after.Counter)
		case "sightings":
			b.sightings, err = decodeSightings(dec, from)
		default:
			err = dec.Decode(new(json.RawMessage))
		}
		if err != nil {
			return incoming{}, asBadRequest(err)
		}
	}
	if err := want(dec, json.Delim('}')); err != nil {
		return incoming{}, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return incoming{}, badRequest("not understood: more than one JSON value")
	}
	if !storable(b.sent) {
		return incoming{}, badRequest("sent: want the device's clock, in a year from 1970 to 2199")
	}
	if err := checkOrder(b.sightings, b.sent); err != nil {
		return incoming{}, err
	}
	return b, nil
}

// An incoming is a [Batch] that was decoded and checked.
type incoming struct {
	sent      time.Time
	after     tocsin.ID
	sightings []tocsin.Sighting
}

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

func decodeSightings(dec *json.Decoder, from tocsin.DeviceID) ([]tocsin.Sighting, error) {
	if err := want(dec, json.Delim('[')); err != nil {
		return nil, err
	}
	var batch []tocsin.Sighting
	for dec.More() {
		i := len(batch)
		if i == MaxBatch {
			return nil, Refuse(http.StatusRequestEntityTooLarge, "more than %d sightings: send less at once", MaxBatch)
		}
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return nil, wrong(i, http.StatusBadRequest, err)
		}
		if len(raw) > maxSighting {
			return nil, wrong(i, http.StatusRequestEntityTooLarge, fmt.Errorf("larger than %d bytes", maxSighting))
		}
		var s Sighting
		if err := json.Unmarshal(raw, &s); err != nil {
			return nil, wrong(i, http.StatusBadRequest, err)
		}
		if s.Device == "" {
			s.Device = from
		}
		if s.Device != from {
			return nil, wrong(i, http.StatusForbidden, errors.New("it is another device's: a device speaks for itself only"))
		}
		t, err := s.Sighting()
		if err != nil {
			return nil, wrong(i, http.StatusBadRequest, err)
		}
		batch = append(batch, t)
	}
	return batch, want(dec, json.Delim(']'))
}

// maxAhead is how far a sighting may be ahead of the clock of its own device,
// which may have been set back a little in between.
const maxAhead = 2 * time.Minute

// checkOrder refuses what would be lost or misjudged silently: a repeat is
// recognised by its number, so numbers must grow.
func checkOrder(batch []tocsin.Sighting, sent time.Time) error {
	for i, s := range batch {
		if s.Last.Sub(sent) > maxAhead {
			return wrong(i, http.StatusUnprocessableEntity, errors.New("it is of the future, by the device's own clock"))
		}
		if i == 0 {
			continue
		}
		before := batch[i-1].ID
		if s.ID.Boot < before.Boot || s.ID.Boot == before.Boot && s.ID.Counter <= before.Counter {
			return wrong(i, http.StatusBadRequest, errors.New("its number is not above that of the one before"))
		}
	}
	return nil
}

// wrong is the refusal of a whole batch for one of its sightings.
func wrong(i, status int, err error) *Error {
	return &Error{Status: status, Text: fmt.Sprintf("sighting %d: %v; nothing of the batch was taken", i, err), Index: &i}
}

func asBadRequest(err error) error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return badRequest("not understood: %v", err)
}
