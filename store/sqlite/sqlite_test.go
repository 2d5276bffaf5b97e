package sqlite_test

import (
	"errors"
	"testing"
	"time"

	"github.com/tocsin-io/tocsin/store/sqlite"
	"github.com/tocsin-io/tocsin/store/storetest"
)

func open(t *testing.T, folder string, now func() time.Time) storetest.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), folder, now)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestStore(t *testing.T) { storetest.Run(t, open) }

// What a caller does whose answer was lost: he asks again, and nothing is twice.
func TestFaulty(t *testing.T) {
	f := &storetest.Faulty{Store: open(t, t.TempDir(), time.Now)}
	defer f.Close()
	broken := errors.New("broken")
	f.Fail("Append", 1, broken)
	f.Lose("Append", 2, broken)
	f.Fail("Since", 1, broken)
	for i, want := range []struct {
		fresh int
		err   error
	}{{0, broken}, {0, broken}, {0, nil}} {
		fresh, err := f.Append(t.Context(), sightings(1, 1, 3))
		if len(fresh) != want.fresh || !errors.Is(err, want.err) {
			t.Errorf("call %d: got %d fresh, %v", i+1, len(fresh), err)
		}
	}
	for _, want := range []int{0, 3} {
		got := 0
		for _, err := range f.Since(t.Context(), 0) {
			if err == nil {
				got++
			} else if !errors.Is(err, broken) {
				t.Error(err)
			}
		}
		if got != want {
			t.Errorf("got %d events, want %d", got, want)
		}
	}
}
