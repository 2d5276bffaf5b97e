package stix

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"time"

	"github.com/google/uuid"
)

const spec = "2.1"

// keep is how long a version is remembered of an object that is in no bundle.
const keep = 400 * 24 * time.Hour

var (
	// space is the name space in which every fleet has its own.
	space = uuid.MustParse("a2f0c6c4-54b9-4a0e-8c8d-7d2d3f1b6e15")
	// observables is the name space that the specification prescribes, so that the
	// same address has the same identifier at everybody's.
	observables = uuid.MustParse("00abedb4-aa42-466c-9c01-fed23315a9b7")
)

// A Version is the last state of an object that was exported.
type Version struct {
	Created  time.Time `json:"created"`
	Modified time.Time `json:"modified"`
	Content  string    `json:"content"` // SHA-256 of all but the times
}

// Versions are the last states by identifier. The hub keeps them from one export
// to the next.
type Versions map[string]Version

// A writer collects the objects of a bundle.
type writer struct {
	in         *Input
	own        uuid.UUID // name space of the fleet
	before     Versions
	after      Versions
	list       []any
	written    map[string]bool
	indicators map[netip.Prefix]string
	fleet      string // identifier of the fleet
	block      string // of the course of action
	sources    int
	left       int
	err        error
}

func newWriter(in *Input, before Versions) *writer {
	w := &writer{in: in, own: uuid.NewSHA1(space, []byte(in.Fleet)), before: before, after: Versions{},
		written: map[string]bool{}, indicators: map[netip.Prefix]string{}}
	w.list = append(w.list, in.TLP.marking())
	name := w.uuid("identity", "fleet")
	w.fleet = w.add(&Identity{Name: "Tocsin fleet " + name[:8], Class: "group"}, "identity", "fleet")
	w.block = w.add(&CourseOfAction{Name: "Block the address",
		Description: "Drop packets from and to the address until the indicator is no longer valid."}, "course-of-action", "block")
	return w
}

// uuid is the identifier of an object of this fleet, without its type.
func (w *writer) uuid(kind, key string) string {
	return uuid.NewSHA1(w.own, []byte(kind+"\n"+key)).String()
}

// add writes o, and returns its identifier. An object that is there already
// stays as it is.
func (w *writer) add(o object, kind, key string) string {
	h := o.head()
	h.Type, h.Spec, h.ID = kind, spec, kind+"--"+w.uuid(kind, key)
	h.Markings = []string{colours[w.in.TLP].id}
	if kind != "identity" {
		h.CreatedBy = w.fleet
	}
	if w.written[h.ID] {
		return h.ID
	}
	w.written[h.ID] = true
	content, err := json.Marshal(o)
	if err != nil {
		w.err = fmt.Errorf("stix: %s: %w", h.ID, err)
		return h.ID
	}
	v := w.version(h.ID, content)
	h.Created, h.Modified = stamp(v.Created), stamp(v.Modified)
	w.after[h.ID] = v
	w.list = append(w.list, o)
	return h.ID
}

// version returns when an object with that content was created and modified:
// now, unless nothing changed. It never goes back in time.
func (w *writer) version(id string, content []byte) Version {
	sum := sha256.Sum256(content)
	hash, now := hex.EncodeToString(sum[:]), w.in.At.UTC().Truncate(time.Millisecond)
	v, known := w.before[id]
	switch {
	case !known:
		v = Version{Created: now, Modified: now}
	case v.Content != hash && now.After(v.Modified):
		v.Modified = now
	case v.Content != hash:
		v.Modified = v.Modified.Add(time.Millisecond)
	}
	v.Content = hash
	return v
}

// observable writes an address. Its identifier is the specification's.
func (w *writer) observable(p netip.Prefix) string {
	kind := "ipv4-addr"
	if p.Addr().Is6() {
		kind = "ipv6-addr"
	}
	value := host(p)
	id := kind + "--" + uuid.NewSHA1(observables, []byte(`{"value":"`+value+`"}`)).String()
	if !w.written[id] {
		w.written[id] = true
		w.list = append(w.list, &Observable{Common: Common{Type: kind, Spec: spec, ID: id, Markings: []string{colours[w.in.TLP].id}}, Value: value})
	}
	return id
}

func (w *writer) relate(from, kind, to string) {
	w.add(&Relationship{Kind: kind, From: from, To: to}, "relationship", from+" "+kind+" "+to)
}

// finish returns the bundle, and the versions of the next one.
func (w *writer) finish() (Bundle, Versions, error) {
	if w.err != nil {
		return Bundle{}, w.before, w.err
	}
	all, err := json.Marshal(w.list)
	if err != nil {
		return Bundle{}, w.before, fmt.Errorf("stix: %w", err)
	}
	after := maps.Clone(w.after)
	for id, v := range w.before {
		if _, ok := after[id]; !ok && w.in.At.Sub(v.Modified) < keep {
			after[id] = v
		}
	}
	return Bundle{Type: "bundle", ID: "bundle--" + uuid.NewSHA1(w.own, all).String(), Objects: w.list}, after, nil
}
