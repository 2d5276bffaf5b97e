// Package tracemix invents traces for tests and benchmarks: attackers of many
// kinds, and people who belong there and make the mistakes that people make. The
// same seed always gives the same trace. Addresses are those kept for
// documentation and benchmarks.
package tracemix

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/internal/accounts"
	"github.com/tocsin-io/tocsin/replay"
)

// Start is when invented attackers begin.
var Start = time.Date(2023, 10, 14, 0, 0, 0, 0, time.UTC)

// Device returns the name of one of the devices that people have.
func Device(i int) tocsin.DeviceID { return tocsin.DeviceID(fmt.Sprintf("nas-%d", i)) }

// Attackers returns attempts of so many sources over eight weeks. As on real
// honeypots, most sources come a few times, some thousands of times; they come in
// sessions of a few attempts, minutes to days apart. Without names no attempt
// tells an account.
func Attackers(sources int, names bool, seed uint64) (list []replay.Attempt) {
	const span = 56 * 24 * time.Hour
	r := rand.New(rand.NewPCG(seed, 1))
	public := accounts.Public()
	for i := range sources {
		source := netip.AddrFrom4([4]byte{198, 18 + byte(i>>16&1), byte(i >> 8), byte(i)})
		left := min(int(math.Pow(r.Float64(), -1.1)*2), 2000)
		at := Start.Add(time.Duration(r.Float64() * float64(span) * 0.9))
		pause := time.Duration(math.Exp(4+7*r.Float64())) * time.Second // 1 min to 16 h
		for left > 0 && at.Before(Start.Add(span)) {
			port := uint16(1024 + r.IntN(60_000))
			moment := at
			for range min(1+r.IntN(4), left) {
				a := replay.Attempt{Attempt: tocsin.Attempt{
					At: moment, Service: "ssh", Outcome: tocsin.Failure, Source: netip.AddrPortFrom(source, port),
				}}
				if names {
					a.Account, a.Unknown = guess(r, public)
				}
				list = append(list, a)
				moment = moment.Add(time.Duration((1 + 3*r.Float64()) * float64(time.Second)))
				left--
			}
			at = moment.Add(time.Duration(r.ExpFloat64() * float64(pause)))
		}
	}
	return sorted(list)
}

// Name gives every attempt an account name as dictionaries have them: half of
// them root, three in ten another that everybody knows, the others names that no
// device has an account of.
func Name(trace []replay.Attempt, seed uint64) []replay.Attempt {
	r := rand.New(rand.NewPCG(seed, 3))
	public := accounts.Public()
	trace = slices.Clone(trace)
	for i := range trace {
		trace[i].Account, trace[i].Unknown = guess(r, public)
	}
	return trace
}

// Deal gives every attempt one of so many devices, of those that [People] have.
func Deal(trace []replay.Attempt, devices int, seed uint64) []replay.Attempt {
	r := rand.New(rand.NewPCG(seed, 4))
	trace = slices.Clone(trace)
	for i := range trace {
		trace[i].Device = Device(r.IntN(devices))
	}
	return trace
}

// guess returns a name as dictionaries have them, and whether the devices have
// no such account.
func guess(r *rand.Rand, public []string) (name string, unknown bool) {
	switch n := r.IntN(10); {
	case n < 5:
		return "root", false
	case n < 8:
		return public[r.IntN(len(public))], false
	}
	return fmt.Sprintf("user%d", r.IntN(5000)), true
}

// Shared is the address that one of the [People] shares with an attacker.
var Shared = netip.MustParseAddr("203.0.113.250")

// People returns attempts, all labelled benign but for those of the attacker at
// [Shared], from start on for so long, which should be two weeks at least: 200
// people who mistype one to four times on their own account and device, two
// phones that go on with an old password, an office of 20 behind one address, one
// who comes from an IPv6 network by ever new addresses, and one who shares an
// address with an attacker.
func People(start time.Time, span time.Duration, devices int, seed uint64) []replay.Attempt {
	m := mix{r: rand.New(rand.NewPCG(seed, 2)), devices: devices}
	m.people(start, span)
	m.phones(start, span)
	m.office(start, span)
	m.privacy(start, span)
	m.shared(start, span)
	return sorted(m.list)
}

type mix struct {
	r       *rand.Rand
	devices int
	list    []replay.Attempt
}

func (m *mix) add(at time.Time, o tocsin.Outcome, source netip.Addr, account string, device int) {
	m.list = append(m.list, replay.Attempt{Benign: true, Attempt: tocsin.Attempt{
		At: at, Device: Device(device % m.devices), Service: "ssh", Outcome: o, Account: account,
		Source: netip.AddrPortFrom(source, uint16(1024+m.r.IntN(60_000))),
	}})
}

// session is a person who mistypes some times, then gets in.
func (m *mix) session(at time.Time, errors int, source netip.Addr, account string, device int) {
	for range errors {
		m.add(at, tocsin.Failure, source, account, device)
		at = at.Add(time.Duration(3+m.r.IntN(20)) * time.Second)
	}
	m.add(at, tocsin.Success, source, account, device)
}

func (m *mix) moment(start time.Time, span time.Duration) time.Time {
	return start.Add(time.Duration(m.r.Float64() * float64(span))).Truncate(time.Second)
}

func (m *mix) people(start time.Time, span time.Duration) {
	for i := range 200 {
		source := netip.AddrFrom4([4]byte{203, 0, 113, byte(1 + i)})
		for range 3 {
			m.session(m.moment(start, span), 1+m.r.IntN(4), source, fmt.Sprintf("person%d", i), i)
		}
	}
}

func (m *mix) phones(start time.Time, span time.Duration) {
	for i, every := range []time.Duration{time.Minute, 20 * time.Minute} {
		source, account := netip.AddrFrom4([4]byte{192, 0, 2, byte(10 + i)}), fmt.Sprintf("phone%d", i)
		at := start.Add(span / 10)
		m.add(at, tocsin.Success, source, account, i)
		at = at.Add(time.Hour) // somebody changes the password
		for range 500 {
			m.add(at, tocsin.Failure, source, account, i)
			at = at.Add(every/2 + time.Duration(m.r.Float64()*float64(every)))
		}
		m.add(at, tocsin.Success, source, account, i)
	}
}

func (m *mix) office(start time.Time, span time.Duration) {
	source := netip.AddrFrom4([4]byte{192, 0, 2, 50})
	for day := start; day.Before(start.Add(span)); day = day.Add(24 * time.Hour) {
		for i := range 20 {
			errors := max(0, m.r.IntN(5)-2)
			m.session(m.moment(day.Add(8*time.Hour), 2*time.Hour), errors, source, fmt.Sprintf("clerk%d", i), i)
		}
	}
}

func (m *mix) privacy(start time.Time, span time.Duration) {
	for at := m.moment(start, 24*time.Hour); at.Before(start.Add(span)); at = at.Add(time.Duration(6+m.r.IntN(12)) * time.Hour) {
		b := netip.MustParseAddr("2001:db8:0:7::").As16()
		for i := 8; i < 16; i++ {
			b[i] = byte(m.r.Uint32())
		}
		m.session(at, m.r.IntN(3), netip.AddrFrom16(b), "traveller", 3)
	}
}

func (m *mix) shared(start time.Time, span time.Duration) {
	for day := start; day.Before(start.Add(span)); day = day.Add(24 * time.Hour) {
		m.session(m.moment(day, 20*time.Hour), m.r.IntN(2), Shared, "neighbour", 4)
	}
	at := start.Add(span / 2)
	for i := range 60 {
		m.add(at, tocsin.Failure, Shared, "root", m.r.IntN(m.devices))
		m.list[len(m.list)-1].Benign = false
		at = at.Add(time.Duration(1+i%7) * time.Minute)
	}
}

// Merge puts traces together in the order of time, with the numbers of lines
// that [Write] gives them.
func Merge(traces ...[]replay.Attempt) []replay.Attempt { return sorted(slices.Concat(traces...)) }

func sorted(list []replay.Attempt) []replay.Attempt {
	slices.SortStableFunc(list, func(a, b replay.Attempt) int { return a.At.Compare(b.At) })
	for i := range list {
		list[i].Line = i + 1
	}
	return list
}

// Write writes a trace as tocsin replay reads it.
func Write(w io.Writer, trace []replay.Attempt) error {
	type line struct {
		Time    time.Time       `json:"time"`
		Service tocsin.Service  `json:"service"`
		Outcome string          `json:"outcome"`
		Source  netip.Addr      `json:"source"`
		Port    uint16          `json:"port"`
		Account string          `json:"account"`
		Device  tocsin.DeviceID `json:"device,omitempty"`
		Owner   tocsin.OwnerID  `json:"owner,omitempty"`
		Label   string          `json:"label,omitempty"`
		Unknown bool            `json:"unknown,omitempty"`
	}
	enc := json.NewEncoder(w)
	for _, a := range trace {
		l := line{
			Time: a.At, Service: a.Service, Outcome: a.Outcome.String(), Source: a.Source.Addr(), Port: a.Source.Port(),
			Account: a.Account, Device: a.Device, Owner: a.Owner, Unknown: a.Unknown,
		}
		if a.Benign {
			l.Label = "benign"
		}
		if err := enc.Encode(l); err != nil {
			return err
		}
	}
	return nil
}
