package hub_test

import (
	"bytes"
	"testing"

	"github.com/tocsin-io/tocsin"
)

// TestOneRefusedHoldsUpNobody has a device tell what the hub cannot take, alone,
// among others, and to a hub that is restored.
func TestOneRefusedHoldsUpNobody(t *testing.T) {
	w := newWorld(t)
	a := w.enrol("home")
	tell := func(sources ...string) {
		var batch []tocsin.Sighting
		for _, s := range sources {
			batch = append(batch, a.saw(s, 1))
		}
		a.up.Tell(batch)
	}
	const wide = "203.0.113.0/24" // no source is that wide
	tell(wide)
	tell("198.51.100.1/32", wide, "198.51.100.2/32")
	w.acknowledged(2)
	var backup bytes.Buffer
	w.must(w.admin.Backup(t.Context(), &backup))
	tell(wide, wide, "198.51.100.3/32", "198.51.100.4/32", wide)
	w.acknowledged(4)
	w.restore(backup.Bytes())
	tell("198.51.100.5/32")
	w.acknowledged(5)
}
