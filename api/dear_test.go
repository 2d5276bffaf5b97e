package api_test

import (
	"context"
	"net/http"
	"sync"
	"testing"

	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/store"
	"github.com/tocsin-io/tocsin/table"
)

// TestLongListsAreBounded: whoever asks for whole tables again and again, and reads
// none of them, takes no more memory than two of them do, and keeps nobody out.
func TestLongListsAreBounded(t *testing.T) {
	begun, goOn := make(chan struct{}), make(chan struct{})
	w := newWorld(t, func(c *api.Config) {
		c.Tables = map[string]api.Table{"slow": {View: table.Table[int]{Load: func(context.Context, table.Query) ([]int, error) {
			begun <- struct{}{}
			<-goOn
			return nil, nil
		}}, Role: store.Viewer}}
	})
	const path = "/v1/tables/slow?format=csv"
	var wg sync.WaitGroup
	for _, role := range []store.Role{store.Viewer, store.Viewer, store.Analyst} {
		wg.Go(func() {
			if resp, text := w.as(role, "GET", path, ""); resp.StatusCode != http.StatusOK {
				t.Errorf("%s: %s %s", role, resp.Status, text)
			}
		})
		<-begun
		if role == store.Viewer {
			continue
		}
		if resp, text := w.as(store.Viewer, "GET", path, ""); resp.StatusCode != http.StatusTooManyRequests || resp.Header.Get("Retry-After") == "" {
			t.Errorf("the third of one caller: %s %s", resp.Status, text)
		}
	}
	close(goOn)
	wg.Wait()
	go func() { <-begun }()
	if resp, text := w.as(store.Viewer, "GET", path, ""); resp.StatusCode != http.StatusOK {
		t.Errorf("afterwards: %s %s", resp.Status, text)
	}
}

// TestATableWithoutARole is for admins: who forgot to say gives nothing away.
func TestATableWithoutARole(t *testing.T) {
	w := newWorld(t, func(c *api.Config) {
		c.Tables = map[string]api.Table{"new": {View: table.Table[int]{Load: func(context.Context, table.Query) ([]int, error) { return nil, nil }}}}
	})
	for role, status := range map[store.Role]int{store.Viewer: 403, store.Analyst: 403, store.Admin: 200} {
		if resp, text := w.as(role, "GET", "/v1/tables/new", ""); resp.StatusCode != status {
			t.Errorf("%s: %s %s", role, resp.Status, text)
		}
	}
}
