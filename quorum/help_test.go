package quorum

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/tocsin-io/tocsin"
)

var day0 = time.Date(2023, 10, 14, 6, 0, 0, 0, time.UTC)

// told makes a sighting of failures on accounts; an account "" is none told.
// Names that are not public travel as tags.
func told(owner, device, source string, after time.Duration, names ...string) tocsin.Received {
	at := day0.Add(after)
	r := tocsin.Received{
		Sighting: tocsin.Sighting{
			ID:     tocsin.ID{Device: tocsin.DeviceID(device), Boot: 1},
			Source: tocsin.SourcePrefix(netip.MustParseAddr(source)), Service: "ssh",
			First: at, Last: at, Failures: uint32(len(names)), Provenance: tocsin.Attested,
		},
		At: at, From: netip.MustParseAddr("198.18.0.1"), Network: 64500, Channel: tocsin.Enrolled,
		Owner: tocsin.OwnerID(owner), Enrolled: day0.Add(-90 * 24 * time.Hour),
	}
	for _, n := range names {
		if n == "" {
			continue
		}
		i := 0
		for i < len(r.Accounts) && r.Accounts[i].Tag != tocsin.AccountTag(n) {
			i++
		}
		if i == len(r.Accounts) {
			r.Accounts = append(r.Accounts, tocsin.Tried{Tag: tocsin.AccountTag(n)})
		}
		r.Accounts[i].Failures++
	}
	return r
}

func in(r tocsin.Received, name string) tocsin.Received {
	r.Successes++
	for i := range r.Accounts {
		if r.Accounts[i].Tag == tocsin.AccountTag(name) {
			r.Accounts[i].Successes++
			return r
		}
	}
	r.Accounts = append(r.Accounts, tocsin.Tried{Tag: tocsin.AccountTag(name), Successes: 1})
	return r
}

// from puts the reporter into a network of its own.
func from(r tocsin.Received, network int) tocsin.Received {
	r.Network = uint32(64500 + network)
	r.From = netip.AddrFrom4([4]byte{198, 18, byte(network), 1})
	return r
}

func blocked(r tocsin.Received) tocsin.Received {
	r.Facts = r.Facts.With(tocsin.BlockedHere)
	return r
}

func words(rulings []Ruling) (list []string) {
	for _, r := range rulings {
		owner := string(r.Owner)
		if owner == "" {
			owner = "everybody"
		}
		word := r.Action.String()
		if r.Withdraw {
			word = "withdraw"
		}
		list = append(list, fmt.Sprintf("%s %s %v", owner, word, r.Until.Sub(r.At)))
	}
	return list
}

func knocked(r tocsin.Received) tocsin.Received { r.Dropped++; return r }

func suspect(r tocsin.Received) tocsin.Received { r.Suspect = true; return r }

func channel(r tocsin.Received, c tocsin.Channel) tocsin.Received { r.Channel = c; return r }

func provenance(r tocsin.Received, p tocsin.Provenance) tocsin.Received { r.Provenance = p; return r }

func old(r tocsin.Received, by time.Duration) tocsin.Received { r.At = r.At.Add(by); return r }
