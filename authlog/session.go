package authlog

import (
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/tocsin-io/tocsin"
)

// Bounds of what a Parser remembers of sessions: an attacker opens as many as
// he likes.
const (
	sessionSets = 512
	sessionWays = 8
	// MaxSessions is how many sessions a Parser joins lines of; of those that
	// share a set the one that was silent longest goes first.
	MaxSessions = sessionSets * sessionWays
	// sessionLife is how long a silent session is remembered, in nanoseconds.
	// Process numbers come again, but not so soon from the same address; dovecot
	// tells a refused log-in for the second time after up to three minutes.
	sessionLife = int64(240 * time.Second)
)

// A sessionKey says which lines belong together: the address, and the process
// or the hash of the account.
type sessionKey struct {
	hi, lo uint64
	id     uint64
	def    uint16
}

// A session is what the lines of one session have told so far. Times are
// nanoseconds since 1970 by the stamps of the stream. It holds no pointer: a
// full table costs the garbage collector nothing.
type session struct {
	key     sessionKey
	seen    int64
	emitted int64    // when it last counted
	held    int32    // index+1 of a held echo
	slot    int32    // its place in the table
	owed    [4]uint8 // lines that do not count: failures of form A (and verdicts) and B, successes of A and B
	used    bool
	counted bool // it counted at all
}

type sessionTable [MaxSessions]session

func keyOf(def int, a netip.Addr, id uint64) sessionKey {
	b := a.As16()
	return sessionKey{
		hi: binary.BigEndian.Uint64(b[:8]), lo: binary.BigEndian.Uint64(b[8:]),
		id: id, def: uint16(def),
	}
}

func (k *sessionKey) set() uint64 {
	const m = 0x9e3779b97f4a7c15
	h := (k.hi ^ k.id) * m
	h = (h ^ h>>29 ^ k.lo ^ uint64(k.def)<<48) * m
	return h >> 55
}

// session returns the session of key at now, new if it was not known. It is
// mostly the last one that who was in.
func (p *Parser) session(who *visitor, key sessionKey, now int64) *session {
	if p.table == nil {
		p.table = new(sessionTable)
	}
	s := &p.table[who.slot]
	if !s.is(key, now) {
		s = p.find(key, now)
		who.slot = s.slot
	}
	s.seen = now
	return s
}

// is reports whether s is the session of key, still remembered at now.
func (s *session) is(key sessionKey, now int64) bool {
	gap := now - s.seen
	return s.used && s.key == key && gap <= sessionLife && gap >= -sessionLife
}

// find looks for the session of key in its set, and makes room there for a new
// one.
func (p *Parser) find(key sessionKey, now int64) *session {
	set := key.set() * sessionWays
	ways := p.table[set : set+sessionWays]
	take := 0
	for i := range ways {
		s := &ways[i]
		if s.used && s.key == key {
			if s.is(key, now) {
				return s
			}
			take = i
			break
		}
		if ways[take].used && (!s.used || s.seen < ways[take].seen) {
			take = i
		}
	}
	s := &ways[take]
	p.forget(s)
	*s = session{key: key, used: true, slot: int32(set) + int32(take)}
	return s
}

// forget empties s. What it held is told all the same.
func (p *Parser) forget(s *session) {
	if s.held > 0 {
		p.echoes.expire(s.held - 1)
	}
	*s = session{}
}

// settle decides how many attempts a line of role tells, given what the session
// told before; a may become the held echo that the line releases.
func (p *Parser) settle(role Role, s *session, a *tocsin.Attempt, n int, now int64, window time.Duration) int {
	switch role {
	case Echo, Offer:
		if s.counted && (role == Offer || a.Outcome == tocsin.Probe || now-s.emitted <= int64(window)) {
			return 0
		}
		p.hold(s, a, n, now, window)
		return 0
	case Closing:
		return p.close(s, a, n, now)
	case TwinA, TwinB:
		own, other := int(role-TwinA), int(TwinB-role)
		if a.Outcome == tocsin.Success {
			own, other = own+2, other+2
		}
		if now-s.emitted <= int64(window) && s.owed[own] > 0 {
			s.owed[own]--
			return 0
		}
		if now-s.emitted > int64(window) {
			s.owed = [4]uint8{}
		}
		s.owe(other, n)
	case Opening:
		s.owe(0, n)
	case Verdict:
		if a.Outcome == tocsin.Failure {
			absorbed := min(n, int(s.owed[0]))
			s.owed[0] -= uint8(absorbed)
			n -= absorbed
		}
	}
	p.drop(s)
	if n > 0 {
		s.counted, s.emitted = true, now
	}
	return n
}

func (s *session) owe(form, n int) {
	s.owed[form] = uint8(min(255, int(s.owed[form])+n))
}

// close settles a Closing line: the held echo first, for it knows more.
func (p *Parser) close(s *session, a *tocsin.Attempt, n int, now int64) int {
	if s.counted {
		p.drop(s)
		return 0
	}
	if s.held > 0 {
		e := &p.echoes.list[s.held-1]
		if e.attempt.Outcome == tocsin.Failure || a.Outcome == tocsin.Probe {
			*a, n = e.attempt, e.n
		}
		p.drop(s)
	}
	s.counted, s.emitted = true, now
	return n
}

// hold keeps a as the echo of s until another line tells it better.
func (p *Parser) hold(s *session, a *tocsin.Attempt, n int, now int64, window time.Duration) {
	if s.held > 0 {
		e := &p.echoes.list[s.held-1]
		if knowsMore(a, &e.attempt) {
			e.attempt = *a
		}
		return
	}
	s.held = p.echoes.add(echo{attempt: *a, n: n, at: now, received: p.received, slot: s.slot}, window) + 1
}

// knowsMore reports whether a says more of one attempt than b does.
func knowsMore(a, b *tocsin.Attempt) bool {
	if a.Outcome != tocsin.Failure {
		return false
	}
	return b.Outcome == tocsin.Probe || b.Account == "" && a.Account != ""
}

func (p *Parser) drop(s *session) {
	if s.held > 0 {
		p.echoes.remove(s.held - 1)
		s.held = 0
	}
}
