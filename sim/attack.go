package sim

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/sighting"
)

// attacked is what became of an attack, in one share.
type attacked struct {
	Sent     int // sightings
	Accepted int
	Refused  int     // told to wait
	Took     []int64 // nanoseconds from a batch to its answer, of [samples] at most
	Nanos    int64   // from the first to the last
}

const (
	senders = 24   // guards of a share that send at a time; each sends one batch over a connection of its own, as a guard does
	batch   = 100  // sightings, at most
	samples = 5000 // answers whose time is kept
)

// attack has guards report sightings until the order's time is over.
func (s *share) attack(ctx context.Context, o order) *attacked {
	all := s.guardList()
	n := min(senders, len(all))
	if n == 0 || o.Rate <= 0 {
		return &attacked{}
	}
	ctx, cancel := context.WithTimeout(ctx, o.For)
	defer cancel()
	size := min(max(int(o.Rate)/n, 1), batch)
	every := max(time.Duration(float64(n*size)/o.Rate*float64(time.Second)), 1)
	var (
		sum attacked
		mu  sync.Mutex
		wg  sync.WaitGroup
	)
	start := time.Now()
	for i := range n {
		wg.Go(func() {
			pause(ctx, rand.N(every))
			begun := time.Now()
			for k := 0; ctx.Err() == nil; k++ {
				g := all[(i+k*n)%(len(all)-len(all)%n)] // no two senders share a guard
				one := g.send(ctx, size)
				mu.Lock()
				sum.add(one)
				mu.Unlock()
				pause(ctx, time.Until(begun.Add(time.Duration(k+1)*every)))
			}
		})
	}
	wg.Wait()
	sum.Nanos = int64(time.Since(start))
	return &sum
}

func (a *attacked) add(b attacked) {
	a.Sent, a.Accepted, a.Refused = a.Sent+b.Sent, a.Accepted+b.Accepted, a.Refused+b.Refused
	a.Nanos = max(a.Nanos, b.Nanos)
	if a.Took = append(a.Took, b.Took...); len(a.Took) > samples {
		a.Took = slices.Delete(a.Took, 0, len(a.Took)-samples)
	}
}

// send reports n sightings.
func (g *guard) send(ctx context.Context, n int) (a attacked) {
	config, err := g.id.TLS(g.share.clock)
	if err != nil {
		g.share.fail("sightings", err)
		return a
	}
	client := api.AsDevice(g.hub, config)
	defer client.Close()
	list := make([]tocsin.Sighting, n)
	for i := range list {
		list[i] = g.saw()
	}
	start := time.Now()
	taken, err := client.Send(ctx, g.share.clock.Now(), list)
	var refused *api.Error
	switch {
	case err == nil:
		a = attacked{Sent: n, Accepted: taken.Accepted, Took: []int64{int64(time.Since(start))}}
	case errors.As(err, &refused) && refused.RetryAfter > 0:
		a = attacked{Sent: n, Refused: n}
		g.told.Add(-uint64(n)) // nothing was taken: the next ones have these numbers
	case ctx.Err() == nil:
		a.Sent = n
		g.share.fail("sightings", err)
	}
	return a
}

// saw makes a sighting of a source that nobody owns: of 198.18.0.0/15, or one in
// three of 2001:db8::/32.
func (g *guard) saw() tocsin.Sighting {
	now := g.share.clock.Now().UTC()
	failures := 1 + rand.Uint32N(9)
	s := tocsin.Sighting{
		ID:     tocsin.ID{Device: g.device, Boot: g.boot, Counter: g.told.Add(1)},
		Source: source(), Port: uint16(1024 + rand.IntN(60_000)), Service: "ssh",
		First: now.Add(-time.Duration(failures) * time.Second), Last: now, Failures: failures, Provenance: tocsin.Attested,
		Accounts: []tocsin.Tried{{Tag: name(), Failures: failures}},
	}
	if failures >= 5 {
		s.Facts = s.Facts.With(tocsin.BlockedHere)
	}
	return s
}

func source() netip.Prefix {
	if rand.IntN(3) > 0 {
		return netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 18 + byte(rand.IntN(2)), byte(rand.IntN(256)), byte(rand.IntN(256))}), 32)
	}
	a := [16]byte{0x20, 0x01, 0x0d, 0xb8}
	binary.BigEndian.PutUint32(a[4:], rand.Uint32())
	return netip.PrefixFrom(netip.AddrFrom16(a), 64)
}

// tagKey stands for the key of an owner.
var tagKey = []byte("a key of an invented owner......")

// name returns the tag of an account: mostly one that everybody knows.
func name() tocsin.AccountTag {
	known := [...]tocsin.AccountTag{"root", "admin", "ubuntu", "test", "guest", "oracle", "postgres"}
	if n := rand.IntN(10); n < len(known) {
		return known[n]
	}
	return sighting.Tag(tagKey, fmt.Sprintf("person%d", rand.IntN(1000)))
}
