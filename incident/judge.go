package incident

import (
	"context"
	"encoding/json"
	"errors"
	"hash/fnv"
	"maps"
	"net/netip"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/compromise"
	"github.com/tocsin-io/tocsin/controller"
	"github.com/tocsin-io/tocsin/store"
)

// A judgement is all that was concluded at one moment, from what the hub had then.
type judgement struct {
	At        time.Time
	Period    compromise.Period // asked about: at most [Config.Keep], and not before anything was read
	covered   coverage
	Devices   []tocsin.Device // by ID, revoked ones left out
	ByID      map[tocsin.DeviceID]tocsin.Device
	States    map[tocsin.DeviceID]store.DeviceState
	From      map[tocsin.DeviceID]netip.Addr // where the hub saw it last
	Drops     map[tocsin.DeviceID]time.Time  // when it last told of dropped packets
	Campaigns []tocsin.Campaign
	Ranking   controller.Ranking
	Likely    map[tocsin.DeviceID]bool // as the ranking is told
	Assessed  []compromise.Assessment
	Summary   compromise.Summary
}

// newest returns the newest judgement, made now if there is none yet.
func (p *Part) newest(ctx context.Context) (judgement, error) {
	p.mu.Lock()
	last := p.last
	p.mu.Unlock()
	if !last.At.IsZero() {
		return last, nil
	}
	return p.judge(ctx)
}

// judge labels, ranks and assesses, in this order and without a circle: what is
// known of controllers never labels a device.
func (p *Part) judge(ctx context.Context) (judgement, error) {
	p.judging.Lock()
	defer p.judging.Unlock()
	if err := p.loadTold(ctx); err != nil {
		return judgement{}, err
	}
	j := judgement{At: p.deps.Now().UTC()}
	var err error
	if j.covered, err = p.readCoverage(ctx); err != nil {
		return judgement{}, err
	}
	j.Period = compromise.Period{From: j.At.Add(-p.cfg.Keep), To: j.At}
	if begins := j.covered.begins(); begins.After(j.Period.From) && begins.Before(j.At) {
		j.Period.From = begins
	}
	known, err := p.gather(ctx, &j)
	if err != nil {
		return judgement{}, err
	}
	facts := make([]compromise.Facts, len(known))
	contacts := make([]tocsin.Contact, 0, len(known))
	for i := range known {
		known[i].Clues = append(known[i].Clues, compromise.OutgoingScans(known[i].Contacts)...)
		facts[i] = known[i].Facts
		contacts = append(contacts, known[i].Contacts...)
	}
	labels := compromise.Label(j.Period, facts, j.Campaigns)
	j.Likely = make(map[tocsin.DeviceID]bool, len(labels))
	for _, l := range labels {
		j.Likely[l.Device] = l.Likely
	}
	j.Ranking = controller.Rank(controller.Input{
		Devices: p.ranked(j, labels), Contacts: contacts, Allow: p.cfg.Vendor, Seed: seedOf(j.At),
	})
	j.Assessed = compromise.Assess(j.Period, known, j.Campaigns, j.Ranking.Controllers())
	j.Summary = compromise.Count(j.Period, j.Assessed)
	p.mu.Lock()
	p.last = j
	p.mu.Unlock()
	p.tell(j)
	return j, errors.Join(p.suspect(ctx, j), p.keepTold(ctx))
}

// suspectKind is the kind of the documents that note which devices lost their say
// because of a judgement: what a person set is left alone.
const suspectKind = "suspect"

// suspect takes the say of devices away that somebody certainly entered, and gives it
// back once that is dismissed. Who is only suspected keeps it: mistyping a name before
// getting in is enough for that, and a fleet must not fall silent over typing errors.
//
// That it is because of a judgement is written down before: a device whose say was
// taken away and nobody knows why would never get it back.
func (p *Part) suspect(ctx context.Context, j judgement) error {
	var ours map[tocsin.DeviceID]bool
	entered := map[tocsin.DeviceID]bool{}
	for _, a := range j.Assessed {
		if a.State == compromise.Confirmed {
			entered[a.Device] = true
		}
	}
	r, err := p.deps.Store.Record(ctx, suspectKind, "all")
	if err == nil {
		err = json.Unmarshal(r.Body, &ours)
	}
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	next := map[tocsin.DeviceID]bool{}
	var changes []tocsin.DeviceID
	for _, d := range j.Devices {
		if change := entered[d.ID] != d.Suspect && (entered[d.ID] || ours[d.ID]); change {
			changes = append(changes, d.ID)
			next[d.ID] = true
		} else if d.Suspect && ours[d.ID] {
			next[d.ID] = true // others a person said so of
		}
	}
	if !maps.Equal(next, ours) {
		if err := p.change(ctx, suspectKind, "all", &ours, func() error { ours = next; return nil }); err != nil {
			return err
		}
	}
	var errs []error
	for _, id := range changes {
		errs = append(errs, p.deps.Fleet.Suspect(ctx, id, entered[id]))
	}
	return errors.Join(errs...)
}

// seedOf draws the permutations anew each day, and alike all day: a ranking that
// is asked for again is the same.
func seedOf(at time.Time) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(at.Format(time.DateOnly))) // never fails
	return h.Sum64()
}

// ranked joins labels to what the ranking has to know of devices.
func (p *Part) ranked(j judgement, labels []compromise.Labelled) []controller.Device {
	list := make([]controller.Device, 0, len(labels))
	for _, l := range labels {
		d := j.ByID[l.Device]
		list = append(list, controller.Device{
			ID: l.Device, Owner: d.Owner, Model: d.Labels["model"], Firmware: d.Labels["firmware"],
			Compromised: l.Likely, FirstAttack: l.Acted,
		})
	}
	return list
}

// gather reads what the hub has of every device.
func (p *Part) gather(ctx context.Context, j *judgement) ([]compromise.Device, error) {
	var err error
	if j.Campaigns, err = p.deps.Fleet.Campaigns(ctx); err != nil {
		return nil, err
	}
	j.ByID, j.States = map[tocsin.DeviceID]tocsin.Device{}, map[tocsin.DeviceID]store.DeviceState{}
	j.From, j.Drops = map[tocsin.DeviceID]netip.Addr{}, map[tocsin.DeviceID]time.Time{}
	for d, err := range p.deps.Store.Devices(ctx) {
		if err != nil {
			return nil, err
		}
		if d.Revoked.IsZero() {
			j.Devices = append(j.Devices, d)
			j.ByID[d.ID] = d
		}
	}
	for s, err := range p.deps.Store.States(ctx) {
		if err != nil {
			return nil, err
		}
		j.States[s.Device] = s
	}
	closings, err := p.closings(ctx)
	if err != nil {
		return nil, err
	}
	list := make([]compromise.Device, len(j.Devices))
	at := make(map[tocsin.DeviceID]*compromise.Device, len(list))
	for i, d := range j.Devices {
		list[i] = compromise.Device{
			Facts: compromise.Facts{Device: d.ID}, Closings: closings[d.ID],
			Coverage: compromise.Coverage{Read: j.covered.of(d.ID, p.cfg.Flows), Heard: j.States[d.ID].At},
		}
		at[d.ID] = &list[i]
	}
	return list, p.gatherFacts(ctx, j, at)
}

func (p *Part) gatherFacts(ctx context.Context, j *judgement, at map[tocsin.DeviceID]*compromise.Device) error {
	if err := p.memory.read(ctx, p.deps.Store, j.Period.From); err != nil {
		return err
	}
	for id, d := range at {
		d.Sightings = p.memory.of(id)
		if r := p.memory.devices[id]; r != nil {
			j.From[id], j.Drops[id] = r.from, r.drops
		}
	}
	for c, err := range p.deps.Store.Clues(ctx, "", j.Period.From) {
		if err != nil {
			return err
		}
		if d := at[c.Device]; d != nil {
			c.At = c.At.Add(-c.Offset) // by the hub's clock
			d.Clues = append(d.Clues, c.Clue)
		}
	}
	for c, err := range p.deps.Store.Contacts(ctx, "", j.Period.From) {
		if err != nil {
			return err
		}
		if d := at[c.Device]; d != nil {
			d.Contacts = append(d.Contacts, c)
		}
	}
	return nil
}
