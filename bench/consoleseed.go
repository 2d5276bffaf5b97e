package main

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/internal/accounts"
	"github.com/tocsin-io/tocsin/store"
	"github.com/tocsin-io/tocsin/store/sqlite"
)

// What the hub of the part console has in its database.
const (
	seededOrders    = 90_000 // the devices' and the fleet's own decisions come on top
	seededDevices   = 10_000
	seededOwners    = 700
	seededSightings = 1_000_000
	seededBatch     = 100
	seededSpan      = 6 * time.Hour // over which all that came, until now
	seededEntered   = 40            // devices that somebody guessed his way into
	seededWriters   = 64
)

// A seeder fills a database as an attack of some hours would leave it, but for the
// waiting: the store's clock is its own.
type seeder struct {
	db    *sqlite.Store
	start time.Time
	done  atomic.Int64 // sightings
	bots  [3]botnet
}

// A botnet is sources that work through one list of accounts.
type botnet struct {
	mu    sync.Mutex // guards next
	next  int        // guess
	count int        // sources
	third byte       // byte of their addresses
}

// seedConsole makes the database in a folder.
func seedConsole(ctx context.Context, folder string) (err error) {
	s := &seeder{start: time.Now().Add(-seededSpan - time.Minute)}
	for i := range s.bots {
		s.bots[i].count, s.bots[i].third = 300+100*i, byte(32*i)
	}
	if s.db, err = sqlite.Open(ctx, folder, s.now); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.db.Close()) }()
	for _, step := range []func(context.Context) error{s.devices, s.sightings, s.entered, s.orders} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// now is where in the time of the seed its sightings are.
func (s *seeder) now() time.Time {
	return s.start.Add(time.Duration(float64(s.done.Load()) / seededSightings * float64(seededSpan)))
}

// many runs f for 0 to n-1, several at a time, so that they share commits.
func many(ctx context.Context, n int, f func(i int) error) error {
	errs := make([]error, 4*seededWriters)
	var next atomic.Int64
	var wg sync.WaitGroup
	for w := range errs {
		wg.Go(func() {
			for errs[w] == nil && ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				errs[w] = f(i)
			}
		})
	}
	wg.Wait()
	return errors.Join(append(errs, ctx.Err())...)
}

func seededDevice(i int) tocsin.DeviceID {
	return tocsin.DeviceID(fmt.Sprintf("5eed5eed5eed5eed-%06d", i))
}

func seededOwner(i int) tocsin.OwnerID {
	return tocsin.OwnerID(fmt.Sprintf("owner-%03d", i%seededOwners))
}

func (s *seeder) devices(ctx context.Context) error {
	models := [...]string{"TS-453D", "TS-231P3", "DS920+", "TVS-872XT", "RS1221+"}
	return many(ctx, seededDevices, func(i int) error {
		at := s.now().Add(-60 * 24 * time.Hour)
		hash := sha256.Sum256(fmt.Append(nil, "seed", i))
		token := store.Token{Hash: hash, Owner: seededOwner(i), Groups: []string{fmt.Sprint("site-", i%40)}, Made: at, Until: at.Add(time.Hour), By: "bench"}
		if err := s.db.AddToken(ctx, token); err != nil {
			return err
		}
		d := tocsin.Device{
			ID: seededDevice(i), Name: fmt.Sprintf("nas-%05d", i),
			Labels: map[string]string{"model": models[i%len(models)], "firmware": fmt.Sprintf("5.%d.%d", i%3, i%11), "address": deviceAddress(i).String()},
		}
		if _, err := s.db.Redeem(ctx, hash, at, d); err != nil {
			return err
		}
		state := store.DeviceState{Device: d.ID, At: s.start.Add(seededSpan), Version: "bench", Offset: time.Duration(i%7) * time.Millisecond}
		return s.db.Reported(ctx, d.ID, state)
	})
}

func deviceAddress(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{192, 0, 2, byte(i)})
}

// sightings has every device report one batch.
func (s *seeder) sightings(ctx context.Context) error {
	order := rand.New(rand.NewPCG(5, 1)).Perm(seededDevices)
	return many(ctx, seededSightings/seededBatch, func(i int) error {
		r := rand.New(rand.NewPCG(5, uint64(i)+2))
		device := order[i%seededDevices]
		now := s.now()
		batch := make([]tocsin.Received, seededBatch)
		for k := range batch {
			batch[k] = s.seen(r, device, uint64(i/seededDevices*seededBatch+k+1), now)
		}
		_, err := s.db.Append(ctx, batch)
		s.done.Add(seededBatch)
		return err
	})
}

var seededServices = [...]tocsin.Service{"ssh", "ssh", "ssh", "qnap", "qnap", "samba", "vsftpd", "dsm"}

// seen is one sighting: of a botnet, of a person, or of one of very many scanners,
// of which some come far more often than others.
func (s *seeder) seen(r *rand.Rand, device int, counter uint64, now time.Time) tocsin.Received {
	failures := 1 + r.Uint32N(9)
	names := accounts.Public()
	t := tocsin.Received{
		Sighting: tocsin.Sighting{
			ID: tocsin.ID{Device: seededDevice(device), Boot: 1, Counter: counter}, Port: uint16(1024 + r.IntN(60_000)),
			Service: seededServices[r.IntN(len(seededServices))], Last: now, Provenance: tocsin.Attested,
		},
		From: deviceAddress(device), Network: 64_496 + uint32(device%15), Channel: tocsin.Enrolled,
		Owner: seededOwner(device), Enrolled: s.start.Add(-60 * 24 * time.Hour),
	}
	switch n := r.IntN(1000); {
	case n < 40:
		b := &s.bots[r.IntN(len(s.bots))]
		var name string
		t.Source, name = b.guess(names)
		t.Service, failures = "ssh", 1
		t.Accounts = []tocsin.Tried{{Tag: tocsin.AccountTag(name), Failures: 1}}
	case n < 100:
		t.Source = netip.PrefixFrom(netip.AddrFrom4([4]byte{203, 0, 113, byte(device)}), 32)
		t.Successes, failures = 1, r.Uint32N(2)
		t.Accounts = []tocsin.Tried{{Tag: tocsin.AccountTag(fmt.Sprintf("k1:%024x", device)), Failures: failures, Successes: 1}}
	default:
		t.Source = scanner(int(float64(60_000) * r.Float64() * r.Float64()))
		name := "root"
		if r.IntN(10) == 0 {
			name = names[r.IntN(len(names))]
		}
		t.Accounts = []tocsin.Tried{{Tag: tocsin.AccountTag(name), Failures: failures}}
		t.Dropped = r.Uint32N(3) * r.Uint32N(50)
		if failures >= 5 {
			t.Facts = t.Facts.With(tocsin.BlockedHere)
		}
	}
	t.Failures, t.First = failures, now.Add(-time.Duration(failures)*time.Second)
	return t
}

// guess is the next source of a botnet and the account that it tries: each works
// through the list from a place of its own.
func (b *botnet) guess(names []string) (netip.Prefix, string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := b.next
	b.next++
	i := n % b.count
	a := netip.AddrFrom4([4]byte{198, 18, b.third + byte(i>>5), byte(i << 3)})
	return netip.PrefixFrom(a, 32), names[(i*7+n/b.count)%len(names)]
}

// scanner is the source of that number: two in three of 198.19.0.0/16, the others
// of IPv6.
func scanner(i int) netip.Prefix {
	if i%3 > 0 {
		return netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 19, byte(i >> 8), byte(i)}), 32)
	}
	a := [16]byte{0x20, 0x01, 0x0d, 0xb8}
	binary.BigEndian.PutUint32(a[4:], uint32(i))
	return netip.PrefixFrom(netip.AddrFrom16(a), 64)
}

// entered has some devices tell what an intruder left behind, and all of these
// and as many others whom they talked to.
func (s *seeder) entered(ctx context.Context) error {
	return many(ctx, 4*seededEntered, func(i int) error {
		device, at := seededDevice(i*61), s.start.Add(seededSpan*3/4)
		var clues []store.Clue
		facts := []tocsin.Fact{tocsin.SuccessAfterFailures, tocsin.KeysChanged, tocsin.AutorunAdded}
		for n, fact := range facts[:1+i%3] {
			clues = append(clues, store.Clue{Owner: seededOwner(i * 61), Clue: tocsin.Clue{
				ID: tocsin.ID{Device: device, Boot: 1, Counter: uint64(n + 1)}, Device: device, At: at, Fact: fact, Subject: "admin",
				Source: netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 18, byte(i >> 5), byte(i << 3)}), 32), Digest: sha256.Sum256(fmt.Append(nil, i, n)),
			}})
		}
		if i < seededEntered {
			if _, err := s.db.AddClues(ctx, clues); err != nil {
				return err
			}
		}
		var list []tocsin.Contact
		for n := range 12 {
			to := netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, 100, byte(n*17 + i%3)}), 443)
			if n == 0 && i < seededEntered {
				to = netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, 100, 250}), 4443)
			}
			list = append(list, tocsin.Contact{
				Device: device, To: to, Protocol: 6, First: at.Add(time.Duration(n) * time.Minute), Last: at.Add(time.Duration(n)*time.Minute + time.Hour),
				Count: 12, Sent: 4000, Received: 2000, Longest: time.Minute,
			})
		}
		return s.db.AddContacts(ctx, list)
	})
}

// orders are what a person imported: blocks of a week.
func (s *seeder) orders(ctx context.Context) error {
	return many(ctx, seededOrders, func(i int) error {
		p := netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 18, 128 + byte(i>>8)%64, byte(i)}), 32)
		if i >= 1<<14 {
			a := [16]byte{0x20, 0x01, 0x0d, 0xb8, 0xff}
			binary.BigEndian.PutUint16(a[5:], uint16(i>>8))
			a[7] = byte(i)
			p = netip.PrefixFrom(netip.AddrFrom16(a), 64)
		}
		now := s.now()
		d := tocsin.Decision{
			Prefix: p, Action: tocsin.Block, At: now, Until: now.Add(7 * 24 * time.Hour), Origin: tocsin.ByOperator, Reason: "imported from a list of known scanners",
		}
		_, err := s.db.Add(ctx, tocsin.Event{Order: &tocsin.Order{Decision: d, By: "bench"}})
		return err
	})
}
