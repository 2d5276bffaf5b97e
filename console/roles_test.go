package console_test

import (
	"log/slog"
	"maps"
	"testing"
	"time"

	"github.com/tocsin-io/tocsin/console"
	"github.com/tocsin-io/tocsin/live"
	"github.com/tocsin-io/tocsin/store"
	"github.com/tocsin-io/tocsin/store/sqlite"
)

// TestRolesOfTables: what names owners' letters and passes is for analysts, API tokens
// are for admins. A new table needs a line here.
func TestRolesOfTables(t *testing.T) {
	db, err := sqlite.Open(t.Context(), t.TempDir(), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	p, err := console.New(console.Deps{Store: db, Live: live.New(live.Config{}), Log: slog.New(slog.DiscardHandler), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]store.Role{}
	for name, table := range p.Tables() {
		got[name] = table.Role
	}
	want := map[string]store.Role{
		"rules": store.Viewer, "devices": store.Viewer, "sources": store.Viewer, "campaigns": store.Viewer, "members": store.Viewer,
		"targets": store.Viewer, "controllers": store.Viewer, "compromise": store.Viewer, "cases": store.Viewer,
		"notices": store.Analyst, "passes": store.Analyst, "accesses": store.Admin,
	}
	if !maps.Equal(got, want) {
		t.Errorf("got %v", got)
	}
}
