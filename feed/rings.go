package feed

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"math"
	"slices"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/ruleset"
)

// Bulk goes out in rings: to one device of a hundred, after a hold to one of
// ten, after another to all. Fewer devices than minRinged have no rings.
const (
	hold      = 20 * time.Second
	minRinged = 20
)

var ringShares = [...]float64{0.01, 0.10}

// draw returns where a device stands in the roll-out of a list: a number that
// nobody without the secret can work out.
func draw(secret []byte, d tocsin.DeviceID, r ruleset.Ref) uint64 {
	h := hmac.New(sha256.New, secret)
	h.Write([]byte(d))
	h.Write([]byte{0})
	h.Write([]byte(r.String()))
	return binary.BigEndian.Uint64(h.Sum(nil))
}

// A rollout holds back what a list says from a position on.
type rollout struct {
	from  ruleset.Position
	start time.Time
	rings [len(ringShares)]uint64 // the highest draw in each ring but the last
}

// plan returns the roll-out of a bulk frame to devices with those draws, or
// false if all get it at once. The first ring is never empty.
func plan(from ruleset.Position, start time.Time, draws []uint64) (rollout, bool) {
	if len(draws) < minRinged {
		return rollout{}, false
	}
	sorted := slices.Sorted(slices.Values(draws))
	r := rollout{from: from, start: start}
	for i, share := range ringShares {
		r.rings[i] = sorted[int(math.Ceil(share*float64(len(sorted))))-1]
	}
	return r, true
}

// holds reports whether a message of that position is kept from a device with
// that draw at now.
func (r rollout) holds(p ruleset.Position, draw uint64, now time.Time) bool {
	if p.Compare(r.from) < 0 {
		return false
	}
	stage := int(now.Sub(r.start) / hold)
	return stage < len(r.rings) && draw > r.rings[max(stage, 0)]
}

// over reports whether everybody may have everything.
func (r rollout) over(now time.Time) bool {
	return now.Sub(r.start) >= hold*time.Duration(len(r.rings))
}
