package hub_test

import (
	"errors"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/keys"
)

// TestLossesOfOneDeviceAreBounded has a device report lost sessions without end:
// the log keeps each for ever.
func TestLossesOfOneDeviceAreBounded(t *testing.T) {
	w := newWorld(t)
	a := w.enrol("home")
	id, err := keys.OpenIdentity(a.folder)
	w.must(err)
	config, err := id.TLS(keys.NewClock(time.Now, keys.Built(), time.Time{}))
	w.must(err)
	client := api.AsDevice(w.addr, config)
	defer client.Close()
	list := make([]netip.Prefix, api.MaxLosses)
	for i := range list {
		list[i] = tocsin.SourcePrefix(netip.AddrFrom4([4]byte{198, 18, 0, byte(i)}))
	}
	for range 10 {
		err = client.Lose(t.Context(), time.Now(), list)
	}
	var refused *api.Error
	if !errors.As(err, &refused) || refused.Status != http.StatusTooManyRequests {
		t.Errorf("got %v", err)
	}
	if s, err := w.admin.Status(t.Context()); err != nil || s.Events > 4*api.MaxLosses {
		t.Errorf("%d events, %v", s.Events, err)
	}
}
