package hub

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/blocklist"
	"github.com/tocsin-io/tocsin/fleet"
	"github.com/tocsin-io/tocsin/ruleset"
	"github.com/tocsin-io/tocsin/store"
)

// orders is what people see of the fleet's mind, and tell it.
type orders struct {
	log     store.Log
	decider *decider
	release func(ruleset.Ref) // ends what a list holds back
	now     func() time.Time
}

var _ api.Fleet = (*orders)(nil)

// How long an order lasts when the person does not say.
const (
	blockFor   = 24 * time.Hour
	unblockFor = time.Hour
	allowFor   = 10 * 365 * 24 * time.Hour // for good, in terms of a deadline
)

// made returns an order as it goes into the log, or why it cannot be carried out.
func (o *orders) made(a api.Order, now time.Time) (tocsin.Order, error) {
	d := tocsin.Decision{
		Prefix: a.Prefix.Masked(), Action: tocsin.Pass, At: now, Origin: tocsin.ByOperator, Reason: reasonOf(a),
	}
	order := tocsin.Order{Owner: a.Owner, By: a.By}
	length := func(usual time.Duration) time.Time {
		if a.Seconds > 0 {
			return now.Add(min(time.Duration(a.Seconds)*time.Second, allowFor))
		}
		return now.Add(usual)
	}
	if source := tocsin.SourcePrefix(d.Prefix.Addr()); source.IsValid() && source.Bits() < d.Prefix.Bits() {
		d.Prefix = source // of IPv6 a whole network of one customer is the least
	}
	switch a.Verb {
	case api.Block:
		d.Action, d.Until = tocsin.Block, length(blockFor)
	case api.Allow:
		d.Until = length(allowFor)
	case api.Unblock:
		order.Lift, d.Until = true, length(unblockFor)
	case api.End:
		order.End, d.Until = true, now
		if a.Of == api.Block {
			d.Action = tocsin.Block
		}
	default:
		return order, api.Refuse(http.StatusBadRequest, "order %q is not known", a.Verb)
	}
	order.Decision = d
	if err := fleet.Check(order); err != nil {
		return order, api.Refuse(http.StatusBadRequest, "%v", err)
	}
	return order, nil
}

// Order implements [api.Fleet].
func (o *orders) Order(ctx context.Context, a api.Order) (api.Done, error) {
	order, err := o.made(a, o.now())
	if err != nil {
		return api.Done{}, err
	}
	d := order.Decision
	e, err := o.put(ctx, order)
	if err != nil {
		return api.Done{}, err
	}
	if a.Emergency {
		if err := o.hurry(ctx, a.Owner); err != nil {
			return api.Done{}, err
		}
	}
	return api.Done{Prefix: d.Prefix, Until: d.Until, Serial: e.Serial, Note: o.hint(ctx, order)}, nil
}

// put commits an order and returns once it is published.
func (o *orders) put(ctx context.Context, order tocsin.Order) (tocsin.Event, error) {
	e, err := o.log.Add(ctx, tocsin.Event{Order: &order})
	if err != nil {
		o.decider.look()
		return e, err
	}
	o.decider.committed(ctx, []tocsin.Event{e})
	return e, o.decider.sync(ctx, e.Serial)
}

// hurry publishes what waits, and ends what the lists of an owner hold back.
func (o *orders) hurry(ctx context.Context, owner tocsin.OwnerID) error {
	var failed error
	if err := o.decider.ask(ctx, func(time.Time) { failed = o.decider.told(ctx) }); err != nil {
		return err
	}
	for _, ref := range bothOf(owner) {
		o.release(ref)
	}
	return failed
}

// hint says what else bears on the order.
func (o *orders) hint(ctx context.Context, order tocsin.Order) string {
	d := order.Decision
	x, err := o.decider.explain(ctx, order.Owner, d.Prefix.Addr())
	switch {
	case err != nil || order.End:
		return ""
	case d.Action == tocsin.Pass && (!x.held || x.entry.Action != tocsin.Pass):
		return "It does not take effect: too many passes are in force; take some back first."
	case d.Action == tocsin.Block && (!x.held || x.entry.Action != tocsin.Block):
		return "It does not take effect: the allowlist or a pass covers it, and that wins."
	case d.Action == tocsin.Block:
		return "Devices that depend on it, or that somebody lately logged in to from there, go on letting it in."
	}
	return ""
}

func (o *orders) held(ctx context.Context, owner tocsin.OwnerID, a netip.Addr) (bool, error) {
	x, err := o.decider.explain(ctx, owner, a)
	return x.held && x.entry.Action == tocsin.Block, err
}

func reasonOf(a api.Order) tocsin.Reason {
	word := map[api.Verb]string{api.Block: "blocked", api.Unblock: "unblocked", api.Allow: "allowed", api.End: "taken back"}[a.Verb]
	r := word + " by " + a.By
	if a.Emergency {
		r += ", an emergency"
	}
	if a.Note != "" {
		r += ": " + a.Note
	}
	return tocsin.Reason(r)
}

// Rules implements [api.Fleet].
func (o *orders) Rules(ctx context.Context, q api.RuleQuery) ([]api.Rule, error) {
	entries, err := o.decider.entries(ctx, q.Owner)
	if err != nil {
		return nil, err
	}
	var list []api.Rule
	for _, e := range entries {
		after := !q.After.IsValid() || e.Prefix.Compare(q.After) > 0
		wanted := q.Action == 0 || e.Action == q.Action
		whole := len(list) > 0 && list[len(list)-1].Prefix == e.Prefix
		if after && wanted && (len(list) < q.Most || whole) {
			list = append(list, ruleOf(e, q.Owner))
		}
	}
	return list, o.reasons(ctx, list)
}

// reasons adds why the fleet decided: the lists do not keep it.
func (o *orders) reasons(ctx context.Context, list []api.Rule) error {
	return o.decider.ask(ctx, func(now time.Time) {
		for i, r := range list {
			if r.Reason != "" {
				continue
			}
			x := o.decider.mind.Explain(r.Owner, r.Prefix.Addr(), now)
			switch {
			case r.Owner != fleet.Everybody && x.AtOwner != nil:
				list[i].Reason = x.AtOwner.Reason
			case x.AtAll != nil:
				list[i].Reason = x.AtAll.Reason
			}
		}
	})
}

func ruleOf(e blocklist.Entry, owner tocsin.OwnerID) api.Rule {
	r := api.Rule{Prefix: e.Prefix, Action: e.Action.String(), Owner: owner, Since: e.At, Until: e.Until, Reason: e.Reason}
	for _, origin := range e.Origins {
		r.Origin = origin.String()
	}
	return r
}

// Explain implements [api.Fleet].
func (o *orders) Explain(ctx context.Context, owner tocsin.OwnerID, a netip.Addr) (api.Explanation, error) {
	x, err := o.decider.explain(ctx, owner, a)
	out := api.Explanation{Address: a, Owner: owner, Lines: x.Lines(), Rules: []api.Rule{}}
	if x.held {
		out.Rules = append(out.Rules, ruleOf(x.entry, x.by))
	}
	return out, errors.Join(err, o.reasons(ctx, out.Rules))
}

// About implements [api.Fleet].
func (o *orders) About(ctx context.Context, source netip.Prefix, before uint64, most int) ([]tocsin.Event, error) {
	return o.log.About(ctx, source.String(), before, most)
}
