package campaign

import (
	"slices"
	"strings"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/internal/accounts"
	"github.com/tocsin-io/tocsin/internal/window"
)

// maxTag bounds the bytes of an account's tag, and of a device's name, that are
// kept to be shown.
const maxTag = 128

// names remembers what hashes stand for, so that campaigns can tell it. Of more
// than its bounds the hashes are counted, but not named.
type names struct {
	seed     window.Seed
	devices  map[uint32]tocsin.DeviceID
	accounts map[uint32]tocsin.AccountTag
	services []tocsin.Service // by number
	numbers  map[tocsin.Service]uint8
	limits   [2]int
}

func newNames(p Policy) names {
	n := names{
		seed: p.Seed, devices: map[uint32]tocsin.DeviceID{}, accounts: map[uint32]tocsin.AccountTag{},
		numbers: map[tocsin.Service]uint8{}, limits: [2]int{p.Devices, p.Names},
	}
	for _, name := range accounts.Public() { // nobody can crowd out those
		n.accounts[n.hash(name)] = tocsin.AccountTag(name)
	}
	return n
}

// hash never returns 0, which stands for no name.
func (n *names) hash(s string) uint32 { return uint32(n.seed.HashBytes([]byte(s))>>32) | 1 }

func (n *names) device(id tocsin.DeviceID) uint32 {
	h := n.hash(string(id))
	if _, ok := n.devices[h]; !ok && len(n.devices) < n.limits[0] && len(id) <= maxTag {
		n.devices[h] = tocsin.DeviceID(strings.Clone(string(id)))
	}
	return h
}

func (n *names) account(tag tocsin.AccountTag) uint32 {
	if tag == "" {
		return 0
	}
	name := string(tag)
	if tag[0] != '#' {
		name = accounts.Fold(name)
	}
	h := n.hash(name)
	if _, ok := n.accounts[h]; !ok && len(n.accounts) < n.limits[1] && len(tag) <= maxTag {
		n.accounts[h] = tocsin.AccountTag(strings.Clone(name))
	}
	return h
}

// service returns the number of a service; what comes after the first 254 has
// one number together.
func (n *names) service(s tocsin.Service) uint8 {
	if i, ok := n.numbers[s]; ok {
		return i
	}
	if len(n.services) >= maxServices {
		return maxServices - 1
	}
	if len(n.services) == maxServices-1 {
		s = "other"
	}
	i := uint8(len(n.services))
	n.services = append(n.services, s)
	n.numbers[s] = i
	return i
}

// deviceNames returns the names that hashes stand for, sorted.
func (n *names) deviceNames(set map[uint32]uint32) []tocsin.DeviceID {
	list := make([]tocsin.DeviceID, 0, len(set))
	for h := range set {
		if id, ok := n.devices[h]; ok {
			list = append(list, id)
		}
	}
	slices.Sort(list)
	return list
}
