package quorum

import (
	"encoding/hex"
	"time"
	"unsafe"

	"github.com/tocsin-io/tocsin"
)

// owner is what is remembered of an owner: its standing follows it, whatever
// devices come and go.
type owner struct {
	id       tocsin.OwnerID
	standing uint16 // thousandths
	blocks   quota
	votes    quota
}

const ownerBytes = unsafe.Sizeof(owner{})

// device is what is remembered of a device.
type device struct {
	blocks quota
	votes  quota
	lossAt uint32 // when it last reported a lost session
}

// visit is when somebody who belongs there got in from a source on one device.
type visit struct{ first, last uint32 }

// ownerNumber returns the number of an owner, a new one if need be. There is
// none for nobody, nor for owners beyond the bound: their word counts for
// nothing. Devices cannot make owners: the hub's operator does.
func (t *Tally) ownerNumber(id tocsin.OwnerID) uint32 {
	if id == "" {
		return 0
	}
	n, ok := t.owners[id]
	if !ok && len(t.standings) < min(max(t.policy.MaxOwners, 1), maxEntries) {
		t.standings = append(t.standings, owner{id: id, standing: uint16(min(max(t.policy.Begin, 0), 1000))})
		n = uint32(len(t.standings))
		t.owners[id] = n
	}
	return n
}

// A quota counts in hours and days that start with their first event.
type quota struct {
	hour, day     uint32
	inHour, inDay uint16
}

// take counts one more, unless it is too many.
func (q *quota) take(now uint32, perHour, perDay int) bool {
	if now-q.hour >= 3600 || now < q.hour {
		q.hour, q.inHour = now, 0
	}
	if now-q.day >= daySeconds || now < q.day {
		q.day, q.inDay = now, 0
	}
	if int(q.inHour) >= min(perHour, 1<<16-1) || int(q.inDay) >= min(perDay, 1<<16-1) {
		return false
	}
	q.inHour++
	q.inDay++
	return true
}

// trust returns, in thousandths, what an owner's device of that age weighs.
func (t *Tally) trust(owner, enrolled, now uint32) int {
	if owner == 0 || enrolled == 0 || now <= enrolled {
		return 0
	}
	age, probation, ramp := uint64(now-enrolled), uint64(span(t.policy.Probation)), uint64(span(t.policy.Ramp))
	if age <= probation {
		return 0
	}
	standing := uint64(t.standings[owner-1].standing)
	if age -= probation; age < ramp {
		standing = standing * age / ramp
	}
	return int(standing)
}

func (t *Tally) confirm(owner uint32) {
	s := &t.standings[owner-1].standing
	*s = uint16(min(int(*s)+t.policy.Confirming, 1000))
}

func (t *Tally) refute(owner uint32) { t.standings[owner-1].standing /= 2 }

// Standing returns what an owner's word weighs once its device is old enough,
// between 0 and 1.
func (t *Tally) Standing(id tocsin.OwnerID) float64 {
	if n := t.owners[id]; n != 0 {
		return float64(t.standings[n-1].standing) / 1000
	}
	return float64(t.policy.Begin) / 1000
}

// pseudonym stands for an owner where everybody may read.
func (t *Tally) pseudonym(owner uint32) string {
	if owner == 0 {
		return "nobody"
	}
	h := t.policy.Seed.HashBytes([]byte("pseudonym\x00" + string(t.standings[owner-1].id)))
	var b [4]byte
	for i := range b {
		b[i] = byte(h >> (8 * i))
	}
	return hex.EncodeToString(b[:])
}

func at(second uint32) time.Time {
	if second == 0 {
		return time.Time{}
	}
	return time.Unix(int64(second), 0).UTC()
}
