package sqlite_test

import (
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
