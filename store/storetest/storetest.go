// Package storetest holds every implementation of package store to what its
// contract promises, and has the faults that tests of its users need.
//
// It tests what can be seen through the contract. Files, crashes and other
// processes are the business of each implementation's own tests.
package storetest

import (
	"iter"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/store"
)

// A Store is all that a hub asks of its database.
type Store interface {
	store.Ingest
	store.Log
	store.Devices
	store.Frames
	store.Values
	store.Accesses
	store.Clues
	store.Contacts
	store.Coverage
	store.Records
	store.Upkeep
	store.Users
	store.Sessions
	store.Invitations
	store.Ledger
	Close() error
}

// Open opens the database that a folder stands for, an empty one the first time;
// now is the clock that stamps events. A failure ends the test. The suite closes
// what it opens.
type Open func(t *testing.T, folder string, now func() time.Time) Store

// Run tests an implementation.
func Run(t *testing.T, open Open) {
	for _, part := range []struct {
		name string
		test func(*testing.T, *subject)
	}{
		{"serials have no gap", testSerials},
		{"repeats are left out for ever", testRepeats},
		{"a batch is of one device", testMixedBatch},
		{"what comes back is what went in", testSame},
		{"times never go back", testClockBack},
		{"since, from and about", testReading},
		{"forget", testForget},
		{"forget beside those who append", testForgetBeside},
		{"an ended context", testContext},
		{"a token is redeemed once", testRedeem},
		{"of many who race for a token one gets it", testRedeemRace},
		{"devices", testDevices},
		{"states", testStates},
		{"frames", testFrames},
		{"frames are forgotten once a snapshot has overtaken them", testForgetFrames},
		{"values", testValues},
		{"of many who put a new value one does", testPutNewRace},
		{"accesses", testAccesses},
		{"users", testUsers},
		{"sessions", testSessions},
		{"invitations", testInvitations},
		{"of many who accept an invitation one does", testAcceptRace},
		{"the log of what operators did", testLedger},
		{"clues", testClues},
		{"clues of many devices", testManyClues},
		{"contacts", testContacts},
		{"coverage", testCoverage},
		{"records", testRecords},
		{"of many who change a record one does", testRecordRace},
		{"backup, check and size", testUpkeep},
		{"a closed store", testClosed},
	} {
		t.Run(part.name, func(t *testing.T) {
			s := &subject{open: open, folder: t.TempDir(), clock: &clock{at: Noon}}
			s.Store = open(t, s.folder, s.clock.Now)
			t.Cleanup(func() {
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			})
			part.test(t, s)
		})
	}
}

// Noon is when the tests begin.
var Noon = time.Date(2023, 10, 14, 12, 0, 0, 7, time.UTC)

// A subject is the store under test.
type subject struct {
	Store
	open   Open
	folder string
	clock  *clock
}

// reopen closes the store and opens it again.
func (s *subject) reopen(t *testing.T) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s.Store = s.open(t, s.folder, s.clock.Now)
}

// A clock shows what it was set to.
type clock struct {
	mu sync.Mutex // guards at
	at time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) Set(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = t
}

// Sighting returns a sighting as a hub has received it, in every field; source
// is the last byte of its address.
func Sighting(device tocsin.DeviceID, boot, counter uint64, source byte) tocsin.Received {
	return tocsin.Received{
		Sighting: tocsin.Sighting{
			ID:     tocsin.ID{Device: device, Boot: boot, Counter: counter},
			Source: netip.PrefixFrom(netip.AddrFrom4([4]byte{203, 0, 113, source}), 32),
			Port:   40022, Service: "ssh", First: Noon.Add(-time.Minute), Last: Noon.Add(-time.Second),
			Failures: 5, Successes: 1, Probes: 2, Dropped: 70_000,
			Accounts: []tocsin.Tried{
				{Tag: "admin", Failures: 4, Unknown: true},
				{Tag: "k1:9f8e7d6c5b4a39281706f5e4", Failures: 1, Successes: 1},
			},
			Provenance: tocsin.Attested, Facts: tocsin.FactSet(0).With(tocsin.BlockedHere),
		},
		Offset: -90 * time.Second, From: netip.MustParseAddr("198.51.100.9"), Network: 64500,
		Channel: tocsin.Enrolled, Owner: "own-1", Enrolled: Noon.Add(-1000 * time.Hour),
	}
}

// batch returns sightings with counters from first on.
func batch(device tocsin.DeviceID, first uint64, n int) []tocsin.Received {
	all := make([]tocsin.Received, n)
	for i := range all {
		all[i] = Sighting(device, 1, first+uint64(i), byte(i))
	}
	return all
}

func order(prefix string) tocsin.Event {
	return tocsin.Event{Order: &tocsin.Order{Owner: "own-1", By: "anna", Decision: tocsin.Decision{
		Prefix: netip.MustParsePrefix(prefix), Action: tocsin.Pass, At: Noon, Until: Noon.Add(time.Hour),
		Origin: tocsin.ByOperator, Reason: "it is ours",
	}}}
}

func loss(prefix string) tocsin.Event {
	return tocsin.Event{Loss: &tocsin.Loss{Device: "dev-1", Owner: "own-1", Network: 64500, Enrolled: Noon,
		From: netip.MustParseAddr("2001:db8::1"), Prefix: netip.MustParsePrefix(prefix)}}
}

func appendAll(t *testing.T, s store.Ingest, b []tocsin.Received) []tocsin.Event {
	t.Helper()
	fresh, err := s.Append(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	return fresh
}

// all returns what a method yields; an error ends the test.
func all[T any](t *testing.T, seq iter.Seq2[T, error]) (got []T) {
	t.Helper()
	for v, err := range seq {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, v)
	}
	return got
}

// same fails the test unless got is want, times to the nanosecond and in UTC.
func same(t *testing.T, what string, got, want any) {
	t.Helper()
	exact := cmp.Options{
		cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
		cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
		cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b }),
		cmp.Comparer(func(a, b time.Time) bool { return a == b }),
		cmpopts.EquateErrors(),
	}
	if diff := cmp.Diff(want, got, exact); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// must ends the test on an error.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
