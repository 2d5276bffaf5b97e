package api

import (
	"context"
	"iter"
	"net/netip"

	"github.com/tocsin-io/tocsin"
)

// streamPage is how many rules are asked for at a time where all of them are
// wanted: enough that a million take seconds.
const streamPage = 10_000

// each yields all rules of a scope with that action, by prefix.
func (a *API) each(ctx context.Context, owner tocsin.OwnerID, action tocsin.Action) iter.Seq2[Rule, error] {
	return func(yield func(Rule, error) bool) {
		q := RuleQuery{Owner: owner, Action: action, Most: streamPage}
		for {
			list, err := a.Fleet.Rules(ctx, q)
			if err != nil {
				yield(Rule{}, err)
				return
			}
			for _, r := range list {
				if !yield(r, nil) {
					return
				}
			}
			if len(list) < streamPage {
				return
			}
			q.After = list[len(list)-1].Prefix
		}
	}
}

// merged yields the blocks of several scopes by prefix, each prefix once.
func merged(a *API, ctx context.Context, scopes []tocsin.OwnerID) iter.Seq2[netip.Prefix, error] {
	return func(yield func(netip.Prefix, error) bool) {
		type head struct {
			rule Rule
			err  error
			next func() (Rule, error, bool)
		}
		var heads []*head
		advance := func(h *head) bool {
			var ok bool
			h.rule, h.err, ok = h.next()
			return ok
		}
		for _, s := range scopes {
			next, stop := iter.Pull2(a.each(ctx, s, tocsin.Block))
			defer stop()
			if h := (&head{next: next}); advance(h) {
				heads = append(heads, h)
			}
		}
		for len(heads) > 0 {
			first := 0
			for i, h := range heads {
				if h.err != nil {
					yield(netip.Prefix{}, h.err)
					return
				}
				if h.rule.Prefix.Compare(heads[first].rule.Prefix) < 0 {
					first = i
				}
			}
			p := heads[first].rule.Prefix
			if !yield(p, nil) {
				return
			}
			rest := heads[:0]
			for _, h := range heads {
				if h.rule.Prefix != p || advance(h) {
					rest = append(rest, h)
				}
			}
			heads = rest
		}
	}
}

// sheltered is what passes protect, by prefix length.
type sheltered map[int]map[netip.Prefix]bool

func (s sheltered) add(p netip.Prefix) {
	if s[p.Bits()] == nil {
		s[p.Bits()] = map[netip.Prefix]bool{}
	}
	s[p.Bits()][p] = true
}

// touches reports whether a block of p would drop anything of it.
func (s sheltered) touches(p netip.Prefix) bool {
	for bits, passes := range s {
		if bits > p.Bits() {
			for pass := range passes {
				if pass.Overlaps(p) {
					return true
				}
			}
			continue
		}
		if around, err := p.Addr().Prefix(bits); err == nil && passes[around] {
			return true
		}
	}
	return false
}
