package api

import (
	"crypto/ecdh"
	"net/http"
	"regexp"
	"time"

	"github.com/tocsin-io/tocsin"
)

// Bounds of what devices send besides sightings.
const (
	maxPEM    = 8 << 10 // bytes of a certificate request
	maxText   = 128     // bytes of a name
	maxNote   = 1 << 10
	maxLists  = 16
	maxSealed = 512 // bytes of a sealed key
)

func (a *API) enrol(c *call) (any, error) {
	source := tocsin.SourcePrefix(c.from)
	if wait := a.refusals.wait(source, c.at); wait > 0 {
		return nil, &Error{Status: http.StatusTooManyRequests, Text: "too many wrong tokens from there: wait", RetryAfter: wait}
	}
	var e Enrolment
	if err := fromDevice(c.w, c.r, &e); err != nil {
		return nil, err
	}
	if err := e.check(); err != nil {
		return nil, err
	}
	enrolled, err := a.Enroller.Enrol(c.r.Context(), e, c.from)
	if err != nil {
		a.refusals.take(source, 1, c.at)
		return nil, err
	}
	return enrolled, nil
}

func (e Enrolment) check() error {
	if e.Secret == "" || !word(e.Secret, maxText) {
		return badRequest("secret: want that of an enrolment token (tocsin enroll)")
	}
	if e.CSR == "" || len(e.CSR) > maxPEM {
		return badRequest("csr: want a certificate request in PEM, at most %d bytes", maxPEM)
	}
	if _, err := ecdh.X25519().NewPublicKey(e.SealingKey); err != nil {
		return badRequest("sealing_key: want an X25519 public key")
	}
	for _, f := range []struct{ name, text string }{
		{"name", e.Name}, {"model", e.Model}, {"firmware", e.Firmware}, {"version", e.Version},
	} {
		if !word(f.text, maxText) {
			return badRequest("%s: want at most %d printable bytes", f.name, maxText)
		}
	}
	return nil
}

func (a *API) renew(c *call) (any, error) {
	var r Renewal
	if err := fromDevice(c.w, c.r, &r); err != nil {
		return nil, err
	}
	if r.CSR == "" || len(r.CSR) > maxPEM {
		return nil, badRequest("csr: want a certificate request in PEM, at most %d bytes", maxPEM)
	}
	return result(a.Enroller.Renew(c.r.Context(), c.peer, r.CSR))
}

// result hands on what a part returned.
func result[T any](v T, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return v, nil
}

// ingest takes a batch. How many sightings it holds is known only once it was
// read, so a device pays afterwards and waits before the next.
func (a *API) ingest(c *call) (any, error) {
	return takeBatch(a, c, a.sightings, decodeBatch, func(sent time.Time, b incoming) (any, error) {
		in, err := a.Ingester.Ingest(c.r.Context(), c.reporter(sent), b.after, b.sightings)
		return result(Taken{
			Accepted: in.Fresh, Repeated: in.Repeated, HaveBoot: in.Have.Boot, HaveCounter: in.Have.Counter,
		}, err)
	})
}

func (c *call) reporter(sent time.Time) Reporter {
	return Reporter{Peer: c.peer, From: c.from, At: c.at, Offset: sent.Sub(c.at)}
}

func (a *API) lose(c *call) (any, error) {
	var l Losses
	if err := fromDevice(c.w, c.r, &l); err != nil {
		return nil, err
	}
	switch {
	case !storable(l.Sent):
		return nil, badRequest("sent: want the device's clock, in a year from 1970 to 2199")
	case len(l.Prefixes) == 0 || len(l.Prefixes) > MaxLosses:
		return nil, badRequest("prefixes: want 1 to %d", MaxLosses)
	}
	for i, p := range l.Prefixes {
		if !p.IsValid() || p != p.Masked() || p.Addr().Is4In6() {
			return nil, &Error{Status: http.StatusBadRequest, Text: "prefixes: want masked ones, such as 203.0.113.7/32", Index: &i}
		}
	}
	return nil, a.Ingester.Lose(c.r.Context(), c.reporter(l.Sent), l.Prefixes)
}

func (a *API) report(c *call) (any, error) {
	var s State
	if err := fromDevice(c.w, c.r, &s); err != nil {
		return nil, err
	}
	switch {
	case !storable(s.Sent):
		return nil, badRequest("sent: want the device's clock, in a year from 1970 to 2199")
	case !word(s.Version, maxText) || !word(s.Note, maxNote):
		return nil, badRequest("version and note: want at most %d and %d printable bytes", maxText, maxNote)
	case len(s.Lists) > maxLists:
		return nil, badRequest("lists: want at most %d", maxLists)
	}
	for i, l := range s.Lists {
		if l.List == "" || !word(l.List, 2*maxText) || l.Epoch > 1<<62 || l.Serial > 1<<62 {
			return nil, &Error{Status: http.StatusBadRequest, Text: "lists: want the name of a list, an epoch and a serial", Index: &i}
		}
	}
	if err := checkCoverage(s.Coverage, s.Sent); err != nil {
		return nil, err
	}
	return nil, a.Ingester.Report(c.r.Context(), c.reporter(s.Sent), s)
}

// tufFile is what a file of a TUF repository may be called: no way out of it.
var tufFile = regexp.MustCompile(`^[0-9a-z][0-9a-z._-]{0,127}$`)

func (a *API) tuf(c *call) (any, error) {
	name := c.r.PathValue("file")
	if !tufFile.MatchString(name) {
		return nil, badRequest("file: want the name of a TUF file, such as timestamp.json")
	}
	b, err := a.Keyring.TUF(c.r.Context(), name)
	if err != nil {
		return nil, err
	}
	c.w.Header().Set("Content-Type", "application/octet-stream")
	_, _ = c.w.Write(b) // whoever hung up does not want it
	return answered, nil
}

func (a *API) ownerKey(c *call) (any, error) {
	return result(a.Keyring.OwnerKey(c.r.Context(), c.peer))
}

func (a *API) offerOwnerKey(c *call) (any, error) {
	var o OwnerKeyOffer
	if err := fromDevice(c.w, c.r, &o); err != nil {
		return nil, err
	}
	if o.Fingerprint == "" || !word(o.Fingerprint, maxText) {
		return nil, badRequest("fingerprint: want that of the owner's key")
	}
	if len(o.Sealed) > maxOwnerKeys {
		return nil, badRequest("sealed: want at most %d", maxOwnerKeys)
	}
	for i, s := range o.Sealed {
		if s.Device == "" || !word(string(s.Device), maxText) || len(s.Sealed) == 0 || len(s.Sealed) > maxSealed {
			return nil, &Error{Status: http.StatusBadRequest, Text: "sealed: want a device and what was sealed to it", Index: &i}
		}
	}
	return nil, a.Keyring.OfferOwnerKey(c.r.Context(), c.peer, o)
}
