package hub

import (
	"context"
	"encoding/hex"
	"errors"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/store"
)

// passes are one-time passes: for the day the owner is abroad and blocked.
type passes struct {
	values store.Values
	order  func(ctx context.Context, o tocsin.Order) (tocsin.Event, error)
	held   func(ctx context.Context, owner tocsin.OwnerID, a netip.Addr) (bool, error)
	now    func() time.Time

	mu sync.Mutex // one redeems at a time: a code is spent once
}

var _ api.Passes = (*passes)(nil)

const (
	passOf   = "pass/"   // + hash of the code → passRecord
	passesOf = "passes/" // + owner → hashes, in the order shown
	passFor  = 24 * time.Hour

	redeemTime = 30 * time.Second
)

// A passRecord is what is kept of one pass.
type passRecord struct {
	Owner  tocsin.OwnerID `json:"owner"`
	Number int            `json:"number"`
	Made   time.Time      `json:"made"`
	Used   time.Time      `json:"used,omitzero"`
	For    netip.Prefix   `json:"for,omitzero"`
}

// AddPasses implements [api.Passes].
func (p *passes) AddPasses(ctx context.Context, owner tocsin.OwnerID, codes [][32]byte, _ string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var old []string
	if err := getJSON(ctx, p.values, passesOf+string(owner), &old); err != nil {
		return err
	}
	var hashes []string
	for _, h := range old { // what was used stays on the list
		var r passRecord
		if err := getJSON(ctx, p.values, passOf+h, &r); err != nil {
			return err
		}
		if !r.Used.IsZero() && len(hashes) < 100 {
			hashes = append(hashes, h)
		} else if err := p.values.Drop(ctx, passOf+h); err != nil {
			return err
		}
	}
	now := p.now()
	for i, c := range codes {
		h := hex.EncodeToString(c[:])
		if err := putJSON(ctx, p.values, passOf+h, passRecord{Owner: owner, Number: i + 1, Made: now}); err != nil {
			return err
		}
		hashes = append(hashes, h)
	}
	return putJSON(ctx, p.values, passesOf+string(owner), hashes)
}

// Passes implements [api.Passes].
func (p *passes) Passes(ctx context.Context, owner tocsin.OwnerID) (list []api.Pass, err error) {
	var hashes []string
	if err := getJSON(ctx, p.values, passesOf+string(owner), &hashes); err != nil {
		return nil, err
	}
	for _, h := range hashes {
		var r passRecord
		if err := getJSON(ctx, p.values, passOf+h, &r); err != nil {
			return nil, err
		}
		list = append(list, api.Pass{Number: r.Number, Made: r.Made, Used: r.Used, For: r.For})
	}
	return list, nil
}

// RedeemPass implements [api.Passes].
func (p *passes) RedeemPass(ctx context.Context, code [32]byte, source netip.Prefix) (api.Redeemed, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	name := passOf + hex.EncodeToString(code[:])
	var r passRecord
	if err := getJSON(ctx, p.values, name, &r); err != nil {
		return api.Redeemed{}, err
	}
	if r.Made.IsZero() {
		return api.Redeemed{}, store.ErrNotFound
	}
	if !r.Used.IsZero() {
		return api.Redeemed{}, store.ErrSpent
	}
	// Who hangs up now, on a bad line far from home, must not lose the pass; and
	// one that takes effect twice does less harm than one that is lost.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), redeemTime)
	defer cancel()
	now := p.now()
	lifted, err := p.held(ctx, r.Owner, source.Addr())
	if err != nil {
		return api.Redeemed{}, err
	}
	until := now.Add(passFor)
	_, err = p.order(ctx, tocsin.Order{
		Owner: r.Owner, Lift: true, By: "one-time pass",
		Decision: tocsin.Decision{Prefix: source, Action: tocsin.Pass, At: now, Until: until, Origin: tocsin.ByOperator, Reason: "one-time pass"},
	})
	if err != nil {
		return api.Redeemed{}, err
	}
	if still, err := p.held(ctx, r.Owner, source.Addr()); err != nil || still {
		return api.Redeemed{}, errors.Join(err, api.Refuse(http.StatusServiceUnavailable, "too many passes are in force: have some taken back; this one stays good"))
	}
	r.Used, r.For = now, source
	return api.Redeemed{Prefix: source, Until: until, Lifted: lifted}, putJSON(ctx, p.values, name, r)
}
