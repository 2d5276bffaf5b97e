package api_test

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/api/apitest"
	"github.com/tocsin-io/tocsin/store"
)

// hub is a hub of memory, without decisions.
type hub struct {
	mu       sync.Mutex // guards the fields below
	broken   error      // what every call returns, unless nil
	events   []tocsin.Event
	highest  map[tocsin.DeviceID]tocsin.ID
	clues    []tocsin.Clue
	contacts []tocsin.Contact
	reports  []api.State
	reporter api.Reporter
	key      api.OwnerKey
	list     []api.Device
	ordered  []api.Order
	keyed    []api.KeyChange
	rules    []api.Rule
	access   []store.Access
	codes    map[[32]byte]int
	used     map[int]api.Pass
	csv      string
	by       string
	copied   func(io.Writer) error
	incident *apitest.Incident
}

func newHub() *hub {
	return &hub{
		highest: map[tocsin.DeviceID]tocsin.ID{}, codes: map[[32]byte]int{}, used: map[int]api.Pass{}, incident: newIncident(),
		copied: func(w io.Writer) error { _, err := io.WriteString(w, "all of it"); return err },
	}
}

func (h *hub) config() api.Config {
	mounted := func(text string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain; version=0.0.4")
			switch text {
			case "frames":
				w.Header().Set("Content-Type", "application/octet-stream")
			case hello:
				w.Header().Set("Content-Type", "text/event-stream")
			}
			_, _ = io.WriteString(w, text)
		})
	}
	return api.Config{
		Enroller: h, Ingester: h, Keyring: h, Fleet: h, Registry: registry{h}, Accesses: h, Passes: h, Upkeep: h, Keys: h, Incident: h.incident,
		Feed: mounted("frames"), Metrics: mounted("up 1\n"), Live: mounted(hello), Console: pages{},
		Admin: func(uint32) bool { return true },
	}
}

func (h *hub) lock() (unlock func()) { h.mu.Lock(); return h.mu.Unlock }

func (h *hub) isRevoked(id tocsin.DeviceID) bool {
	defer h.lock()()
	return slices.ContainsFunc(h.list, func(d api.Device) bool { return d.ID == id && !d.Revoked.IsZero() })
}

func (h *hub) Enrol(_ context.Context, e api.Enrolment, _ netip.Addr) (api.Enrolled, error) {
	defer h.lock()()
	if e.Secret != "good" {
		return api.Enrolled{}, store.ErrSpent
	}
	return api.Enrolled{
		Device: "nas", Owner: "ada", Certificates: "PEM", CA: "PEM", Root: []byte("{}"), Lists: []string{"fleet/1h"},
	}, h.broken
}

func (h *hub) Renew(_ context.Context, p api.Peer, csr string) (api.Renewed, error) {
	return api.Renewed{Certificates: string(p.Device) + csr, CA: "PEM"}, nil
}

func (h *hub) Ingest(_ context.Context, r api.Reporter, after tocsin.ID, batch []tocsin.Sighting) (in api.Ingested, err error) {
	defer h.lock()()
	if h.broken != nil {
		return in, h.broken
	}
	h.reporter = r
	if in.Have = h.highest[r.Device]; after.Counter > in.Have.Counter {
		return in, nil
	}
	for _, s := range batch {
		last := h.highest[r.Device]
		if cmp.Or(cmp.Compare(s.ID.Boot, last.Boot), cmp.Compare(s.ID.Counter, last.Counter)) <= 0 {
			in.Repeated++
			continue
		}
		in.Fresh++
		h.highest[r.Device] = s.ID
		h.add(tocsin.Event{Received: &tocsin.Received{
			Sighting: s, At: r.At, Offset: r.Offset, From: r.From, Network: 64500, Channel: tocsin.Enrolled, Owner: r.Owner,
		}})
	}
	in.Have = h.highest[r.Device]
	return in, nil
}

func (h *hub) Clues(_ context.Context, r api.Reporter, after tocsin.ID, batch []tocsin.Clue) (in api.Ingested, err error) {
	defer h.lock()()
	in.Have = tocsin.ID{Device: r.Device}
	if n := len(h.clues); n > 0 {
		in.Have = h.clues[n-1].ID
	}
	if after.Counter > in.Have.Counter {
		return in, h.broken
	}
	for _, c := range batch {
		if c.ID.Counter <= in.Have.Counter {
			in.Repeated++
			continue
		}
		in.Fresh++
		in.Have = c.ID
		h.clues = append(h.clues, c)
	}
	return in, h.broken
}

func (h *hub) Contacts(_ context.Context, _ api.Reporter, batch []tocsin.Contact) error {
	defer h.lock()()
	h.contacts = append(h.contacts, batch...)
	return h.broken
}

func (h *hub) add(e tocsin.Event) {
	e.Serial, e.At = uint64(len(h.events)+1), noon
	h.events = append(h.events, e)
}

func (h *hub) Lose(_ context.Context, r api.Reporter, rules []netip.Prefix) error {
	defer h.lock()()
	for _, p := range rules {
		h.add(tocsin.Event{Loss: &tocsin.Loss{Device: r.Device, Owner: r.Owner, From: r.From, Prefix: p}})
	}
	return h.broken
}

func (h *hub) Report(_ context.Context, r api.Reporter, s api.State) error {
	defer h.lock()()
	h.reports, h.reporter = append(h.reports, s), r
	return h.broken
}

func (h *hub) TUF(_ context.Context, name string) ([]byte, error) {
	if name != "timestamp.json" {
		return nil, store.ErrNotFound
	}
	return []byte(`{"signed":{}}`), nil
}

func (h *hub) OwnerKey(context.Context, api.Peer) (api.OwnerKey, error) {
	defer h.lock()()
	return h.key, h.broken
}

func (h *hub) OfferOwnerKey(_ context.Context, _ api.Peer, o api.OwnerKeyOffer) error {
	defer h.lock()()
	if h.key.Fingerprint != "" && h.key.Fingerprint != o.Fingerprint {
		return api.Refuse(http.StatusConflict, "the owner's key has another fingerprint: wait until a device seals it to this one")
	}
	h.key.Fingerprint = o.Fingerprint
	return nil
}

func (h *hub) Rules(_ context.Context, q api.RuleQuery) (list []api.Rule, err error) {
	defer h.lock()()
	for _, r := range h.rules {
		if r.Owner != q.Owner || q.Action != 0 && r.Action != q.Action.String() || q.After.IsValid() && r.Prefix.Compare(q.After) <= 0 {
			continue
		}
		if len(list) >= q.Most && list[len(list)-1].Prefix != r.Prefix {
			break
		}
		list = append(list, r)
	}
	return list, h.broken
}

func (h *hub) Explain(_ context.Context, owner tocsin.OwnerID, a netip.Addr) (api.Explanation, error) {
	defer h.lock()()
	return api.Explanation{Address: a, Owner: owner, Lines: []string{"three owners in three networks"}}, h.broken
}

func (h *hub) Order(_ context.Context, o api.Order) (api.Done, error) {
	defer h.lock()()
	h.ordered = append(h.ordered, o)
	d := tocsin.Decision{Prefix: o.Prefix, Action: tocsin.Pass, At: noon, Until: noon.Add(time.Hour), Origin: tocsin.ByOperator}
	if o.Verb == api.Block || o.Of == api.Block {
		d.Action = tocsin.Block
	}
	h.add(tocsin.Event{Order: &tocsin.Order{Owner: o.Owner, Decision: d, Lift: o.Verb == api.Unblock, End: o.Verb == api.End, By: o.By}})
	return api.Done{Prefix: o.Prefix, Until: d.Until, Serial: uint64(len(h.events))}, h.broken
}

func (h *hub) Import(_ context.Context, orders []api.Order, dry bool) (map[int]string, error) {
	defer h.lock()()
	refused := map[int]string{}
	for i, o := range orders {
		if o.Prefix.Bits() < 24 {
			refused[i] = "too wide"
		} else if !dry {
			h.ordered = append(h.ordered, o)
		}
	}
	return refused, h.broken
}

func (h *hub) About(_ context.Context, source netip.Prefix, before uint64, most int) (list []tocsin.Event, err error) {
	defer h.lock()()
	for _, e := range slices.Backward(h.events) {
		if (before == 0 || e.Serial < before) && len(list) < most && about(e).Overlaps(source) {
			list = append(list, e)
		}
	}
	return list, h.broken
}

func about(e tocsin.Event) netip.Prefix {
	switch {
	case e.Received != nil:
		return e.Received.Source
	case e.Order != nil:
		return e.Order.Decision.Prefix
	}
	return e.Loss.Prefix
}

// registry keeps the methods of a Registry apart from those of a Fleet.
type registry struct{ *hub }

func (h registry) Devices(_ context.Context, owner tocsin.OwnerID, after tocsin.DeviceID, most int) (list []api.Device, err error) {
	defer h.lock()()
	for _, d := range h.list {
		if d.ID > after && (owner == "" || d.Owner == owner) && len(list) < most {
			list = append(list, d)
		}
	}
	return list, h.broken
}

func (h registry) Device(_ context.Context, id tocsin.DeviceID) (api.Device, error) {
	return h.with(id, func(*api.Device) {})
}

func (h registry) with(id tocsin.DeviceID, do func(*api.Device)) (api.Device, error) {
	defer h.lock()()
	for i := range h.list {
		if h.list[i].ID == id {
			do(&h.list[i])
			return h.list[i], h.broken
		}
	}
	return api.Device{}, store.ErrNotFound
}

func (h registry) Change(_ context.Context, id tocsin.DeviceID, c api.DeviceChange, by string) (api.Device, error) {
	return h.with(id, func(d *api.Device) {
		h.by = by
		if c.Labels != nil {
			d.Labels = *c.Labels
		}
		if c.Suspect != nil {
			d.Suspect = *c.Suspect
		}
		if c.Groups != nil {
			d.Groups = *c.Groups
		}
		if c.Name != nil {
			d.Name = *c.Name
		}
	})
}

func (h registry) Revoke(_ context.Context, id tocsin.DeviceID, by string) (api.Device, error) {
	return h.with(id, func(d *api.Device) { h.by, d.Revoked = by, noon })
}

func (h registry) NewToken(_ context.Context, w api.TokenWish, by string) (api.Token, error) {
	defer h.lock()()
	h.by = by
	return api.Token{Token: "tocsin1." + string(w.Owner), Until: noon.Add(time.Hour)}, h.broken
}

func (h *hub) AddAccess(_ context.Context, a store.Access) error {
	defer h.lock()()
	if slices.ContainsFunc(h.access, func(b store.Access) bool { return a.Name == b.Name }) {
		return store.ErrExists
	}
	h.access = append(h.access, a)
	return h.broken
}

func (h *hub) UseAccess(_ context.Context, hash [32]byte, at time.Time) error {
	defer h.lock()()
	for i := range h.access {
		if h.access[i].Hash == hash {
			h.access[i].Used = at
			return nil
		}
	}
	return store.ErrNotFound
}

func (h *hub) Access(_ context.Context, hash [32]byte) (store.Access, error) {
	defer h.lock()()
	for _, a := range h.access {
		if a.Hash == hash {
			return a, nil
		}
	}
	return store.Access{}, store.ErrNotFound
}

func (h *hub) Accesses(context.Context) ([]store.Access, error) {
	defer h.lock()()
	return slices.Clone(h.access), h.broken
}

func (h *hub) DropAccess(_ context.Context, name string) error {
	defer h.lock()()
	i := slices.IndexFunc(h.access, func(a store.Access) bool { return a.Name == name })
	if i < 0 {
		return store.ErrNotFound
	}
	h.access = slices.Delete(h.access, i, i+1)
	return h.broken
}

func (h *hub) AddPasses(_ context.Context, _ tocsin.OwnerID, codes [][32]byte, _ string) error {
	defer h.lock()()
	for i, c := range codes {
		h.codes[c] = i + 1
	}
	return h.broken
}

func (h *hub) Passes(context.Context, tocsin.OwnerID) (list []api.Pass, err error) {
	defer h.lock()()
	for _, n := range h.codes {
		p := h.used[n]
		p.Number, p.Made = n, noon
		list = append(list, p)
	}
	slices.SortFunc(list, func(a, b api.Pass) int { return a.Number - b.Number })
	return list, h.broken
}

func (h *hub) RedeemPass(_ context.Context, code [32]byte, source netip.Prefix) (api.Redeemed, error) {
	defer h.lock()()
	n, ok := h.codes[code]
	switch {
	case h.broken != nil:
		return api.Redeemed{}, h.broken
	case !ok:
		return api.Redeemed{}, store.ErrNotFound
	case !h.used[n].Used.IsZero():
		return api.Redeemed{}, store.ErrSpent
	}
	h.used[n] = api.Pass{Used: noon, For: source}
	return api.Redeemed{Prefix: source, Until: noon.Add(24 * time.Hour), Lifted: n == 1}, nil
}

func (h *hub) Status(context.Context) (api.Status, error) {
	defer h.lock()()
	return api.Status{
		Version: "1", Since: noon, Lists: []api.ListHead{{ListState: store.ListState{List: "fleet/1h", Epoch: 1, Serial: 9}, Rules: 3}},
		Networks: networkTable(""),
	}, h.broken
}

func (h *hub) Ready(context.Context) error {
	defer h.lock()()
	return h.broken
}

func (h *hub) Backup(_ context.Context, w io.Writer) error {
	defer h.lock()()
	return errors.Join(h.broken, h.copied(w))
}

func (h *hub) Networks(context.Context) (api.NetworkTable, error) {
	defer h.lock()()
	return networkTable(h.csv), h.broken
}

func (h *hub) ImportNetworks(_ context.Context, csv io.Reader, by string) (api.NetworkTable, error) {
	defer h.lock()()
	b, err := io.ReadAll(csv)
	h.csv, h.by = string(b), by
	return networkTable(h.csv), errors.Join(h.broken, err)
}

func networkTable(csv string) api.NetworkTable {
	return api.NetworkTable{Date: noon, Source: "a test", Quality: "made up", Ranges: strings.Count(csv, "\n")}
}
