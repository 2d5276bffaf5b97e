package api

import (
	"context"
	"io"
	"iter"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"time"

	"github.com/tocsin-io/tocsin"
)

// Enrol lets this device in. The connection must prove the hub first: the secret
// is in the body.
func (c *Client) Enrol(ctx context.Context, e Enrolment) (r Enrolled, err error) {
	return r, c.post(ctx, "/v1/enroll", e, &r)
}

// Renew asks for the next certificate of the same key.
func (c *Client) Renew(ctx context.Context, csr string) (r Renewed, err error) {
	return r, c.post(ctx, "/v1/renew", Renewal{csr}, &r)
}

// Send hands in sightings in the order of their numbers, at most [MaxBatch]. Sent
// is the device's clock. Once it returned without an error, the hub has them for
// ever; after an error they may be sent again.
func (c *Client) Send(ctx context.Context, sent time.Time, batch []tocsin.Sighting) (t Taken, err error) {
	return c.SendAfter(ctx, sent, tocsin.ID{}, batch)
}

// SendAfter hands in a batch that follows what the hub said it has. A hub that
// has less by now takes nothing, and says what it has.
func (c *Client) SendAfter(ctx context.Context, sent time.Time, after tocsin.ID, batch []tocsin.Sighting) (t Taken, err error) {
	b := Batch{Sent: sent, Sightings: make([]Sighting, len(batch)), AfterBoot: after.Boot, AfterCounter: after.Counter}
	for i, s := range batch {
		b.Sightings[i] = SightingOf(s)
	}
	return t, c.packed(ctx, "/v1/sightings", b, &t)
}

// Lose tells that rules cut off people who belong there.
func (c *Client) Lose(ctx context.Context, sent time.Time, rules []netip.Prefix) error {
	return c.post(ctx, "/v1/losses", Losses{sent, rules}, nil)
}

// Report tells what is in force here.
func (c *Client) Report(ctx context.Context, s State) error { return c.post(ctx, "/v1/state", s, nil) }

// TUF fetches a file of the TUF repository; one that is not there is
// [store.ErrNotFound].
func (c *Client) TUF(ctx context.Context, name string) (file []byte, err error) {
	return file, c.get(ctx, "/v1/tuf/"+url.PathEscape(name), &file)
}

// OwnerKey asks what this device may know of its owner's key.
func (c *Client) OwnerKey(ctx context.Context) (k OwnerKey, err error) {
	return k, c.get(ctx, "/v1/owner-key", &k)
}

// OfferOwnerKey claims the fingerprint and hands in what was sealed to others.
func (c *Client) OfferOwnerKey(ctx context.Context, o OwnerKeyOffer) error {
	return c.post(ctx, "/v1/owner-key", o, nil)
}

// Devices yields all devices, of one owner unless it is "".
func (c *Client) Devices(ctx context.Context, owner tocsin.OwnerID) iter.Seq2[Device, error] {
	return pages(func(cursor string) ([]Device, string, error) {
		var p DevicePage
		err := c.get(ctx, "/v1/devices"+query("owner", string(owner), "limit", strconv.Itoa(MaxPage), "cursor", cursor), &p)
		return p.Devices, p.Next, err
	})
}

// Device asks about one device.
func (c *Client) Device(ctx context.Context, id tocsin.DeviceID) (d Device, err error) {
	return d, c.get(ctx, devicePath(id), &d)
}

// ChangeDevice changes a device.
func (c *Client) ChangeDevice(ctx context.Context, id tocsin.DeviceID, change DeviceChange) (d Device, err error) {
	return d, c.ask(ctx, http.MethodPatch, devicePath(id), change, &d)
}

// RevokeDevice throws a device out for ever, at once.
func (c *Client) RevokeDevice(ctx context.Context, id tocsin.DeviceID) (d Device, err error) {
	return d, c.post(ctx, devicePath(id)+"/revoke", nil, &d)
}

// NewToken makes an enrolment token.
func (c *Client) NewToken(ctx context.Context, w TokenWish) (t Token, err error) {
	return t, c.post(ctx, "/v1/tokens", w, &t)
}

// Rules yields the rules in force by prefix: those that bind every owner, or with
// an owner those of its own.
func (c *Client) Rules(ctx context.Context, owner tocsin.OwnerID) iter.Seq2[Rule, error] {
	return pages(func(cursor string) ([]Rule, string, error) {
		var p RulePage
		err := c.get(ctx, "/v1/rules"+query("owner", string(owner), "limit", strconv.Itoa(MaxPage), "cursor", cursor), &p)
		return p.Rules, p.Next, err
	})
}

// Explain asks why an address is blocked for an owner, or is not.
func (c *Client) Explain(ctx context.Context, owner tocsin.OwnerID, a netip.Addr) (e Explanation, err error) {
	return e, c.get(ctx, "/v1/rules/explain"+query("owner", string(owner), "address", a.String()), &e)
}

// Order has o carried out.
func (c *Client) Order(ctx context.Context, o Order) (d Done, err error) {
	return d, c.post(ctx, "/v1/orders", o, &d)
}

// Events yields what is known about a source, newest first.
func (c *Client) Events(ctx context.Context, source netip.Prefix) iter.Seq2[Event, error] {
	return pages(func(cursor string) ([]Event, string, error) {
		var p EventPage
		err := c.get(ctx, "/v1/events"+query("source", source.String(), "limit", strconv.Itoa(MaxPage), "cursor", cursor), &p)
		return p.Events, p.Next, err
	})
}

// List writes what the devices of an owner block, one prefix a line, for firewalls
// that read lists; with "" what every device blocks.
func (c *Client) List(ctx context.Context, owner tocsin.OwnerID, w io.Writer) error {
	return c.download(ctx, "/v1/list"+query("owner", string(owner)), w)
}

// Accesses lists the API tokens, without their secrets.
func (c *Client) Accesses(ctx context.Context) (list []Access, err error) {
	return list, c.get(ctx, "/v1/accesses", &list)
}

// NewAccess makes an API token.
func (c *Client) NewAccess(ctx context.Context, w AccessWish) (a AccessMade, err error) {
	return a, c.post(ctx, "/v1/accesses", w, &a)
}

// DropAccess ends an API token, or returns [store.ErrNotFound].
func (c *Client) DropAccess(ctx context.Context, name string) error {
	return c.ask(ctx, http.MethodDelete, "/v1/accesses/"+url.PathEscape(name), nil, nil)
}

// NewPasses makes ten one-time passes in place of those that an owner did not use.
func (c *Client) NewPasses(ctx context.Context, owner tocsin.OwnerID) (codes Codes, err error) {
	return codes, c.post(ctx, "/v1/passes", passesWish{owner}, &codes)
}

// Passes lists an owner's passes, without their codes.
func (c *Client) Passes(ctx context.Context, owner tocsin.OwnerID) (list []Pass, err error) {
	return list, c.get(ctx, "/v1/passes"+query("owner", string(owner)), &list)
}

// Status asks how the hub is.
func (c *Client) Status(ctx context.Context) (s Status, err error) {
	return s, c.get(ctx, "/v1/status", &s)
}

// Backup writes a copy of all that the hub keeps; without an error it is whole.
func (c *Client) Backup(ctx context.Context, w io.Writer) error {
	return c.download(ctx, "/v1/backup", w)
}

// Networks asks about the table of autonomous systems.
func (c *Client) Networks(ctx context.Context) (n NetworkTable, err error) {
	return n, c.get(ctx, "/v1/networks", &n)
}

// ImportNetworks replaces it by a CSV table of start, end, number, name.
func (c *Client) ImportNetworks(ctx context.Context, csv io.Reader) (n NetworkTable, err error) {
	return n, c.send(ctx, http.MethodPut, "/v1/networks", "text/csv", "", csv, &n)
}

func devicePath(id tocsin.DeviceID) string { return "/v1/devices/" + url.PathEscape(string(id)) }

// query returns "?" and the pairs whose value is not "".
func query(pairs ...string) string {
	v := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			v.Set(pairs[i], pairs[i+1])
		}
	}
	if len(v) == 0 {
		return ""
	}
	return "?" + v.Encode()
}

// pages yields items page by page until the cursor ends.
func pages[T any](fetch func(cursor string) ([]T, string, error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for cursor := ""; ; {
			items, next, err := fetch(cursor)
			for _, item := range items {
				if !yield(item, nil) {
					return
				}
			}
			if err != nil {
				var zero T
				yield(zero, err)
				return
			}
			if next == "" {
				return
			}
			cursor = next
		}
	}
}
