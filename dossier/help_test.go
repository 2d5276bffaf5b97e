package dossier

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/takedown"
)

var day0 = time.Date(2023, 10, 14, 18, 42, 7, 0, time.UTC)

var us = Party{Org: "Example Fleet", Contact: "abuse-reports@fleet.example", Domain: "fleet.example"}

const evil7 = "198.51.100.7"

func opened(tb testing.TB, k takedown.Kind) takedown.Case {
	tb.Helper()
	o := takedown.Opening{ID: takedown.NewID(day0, [5]byte{1, 2, 3, 4, 5}), Kind: k, Source: netip.MustParsePrefix(evil7 + "/32")}
	if k == takedown.Controller {
		o.Port, o.Protocol = 8443, 6
	}
	c, err := takedown.Open(o, "anna", "seen by many", day0)
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

// input is a case with n devices of three owners, each of which the source tried
// and each of which contacted it.
func input(tb testing.TB, k takedown.Kind, n int) Input {
	in := Input{Case: opened(tb, k), Reporter: us, Sender: us, To: "abuse@example.net",
		Victims: map[tocsin.DeviceID]Victim{}, Fleet: Fleet{Devices: 1000, Covered: 900, Attacked: 400, Compromised: 30}}
	for i := range n {
		id, owner := tocsin.DeviceID(fmt.Sprintf("DEVICE%d", i)), tocsin.OwnerID(fmt.Sprintf("OWNER%d", i%3))
		address := netip.AddrFrom4([4]byte{203, 0, 113, byte(1 + i%250)})
		if i%5 == 4 {
			address = netip.MustParseAddr(fmt.Sprintf("2001:db8:77::%x", 0xabc0+i))
		}
		at := day0.Add(time.Duration(i) * time.Minute)
		in.Victims[id] = Victim{Address: address, Owner: owner, Model: fmt.Sprintf("MODEL%d", i%2), Firmware: "FIRMWARE5"}
		in.Sightings = append(in.Sightings, tocsin.Received{Owner: owner, From: address, Sighting: tocsin.Sighting{
			ID: tocsin.ID{Device: id, Boot: 1, Counter: uint64(i)}, Source: in.Case.Source, Port: uint16(40000 + i), Service: "ssh",
			First: at, Last: at.Add(30 * time.Second), Failures: 12, Provenance: tocsin.Attested,
			Accounts: []tocsin.Tried{{Tag: "admin", Failures: 6}, {Tag: "#KEYEDNAME", Failures: 3}, {Tag: "PERSONALNAME", Failures: 3}}}})
		in.Contacts = append(in.Contacts, tocsin.Contact{Device: id, To: netip.AddrPortFrom(in.Case.Source.Addr(), 8443), Protocol: 6,
			First: at, Last: at.Add(time.Hour), Count: 60, Sent: 6000})
	}
	in.Controller = &tocsin.Controller{Address: in.Case.Source.Addr(), Port: 8443, Protocol: 6, Class: tocsin.Commands, Q: 0.0004,
		Score: 0.83, Admitted: true, Devices: n, Labelled: n, Strata: 2, Reasons: []tocsin.Reason{"contacted by DEVICE1 of OWNER1"}}
	in.Campaign = &tocsin.Campaign{ID: "CAMPAIGNID", Status: tocsin.Open, First: day0, Last: day0.Add(time.Hour), Attempts: 4711,
		Confidence: 0.9, Size: tocsin.Estimate{Value: 500, Low: 450, High: 600}, Targets: []tocsin.DeviceID{"DEVICE0"},
		Sources: []tocsin.Member{{Source: in.Case.Source, Confidence: 0.95, Attempts: 60, Reasons: []tocsin.Reason{"tried DEVICE1"}}}}
	in.Evidence = []Evidence{{Name: "answer of the registry", At: day0, Digest: [32]byte{1}, Size: 2000},
		{Name: "auth.log", Device: "DEVICE0", At: day0, Zone: "+02:00", Digest: [32]byte{2}, Size: 9000},
		{Name: "SECRETLOG of another", Device: "DEVICE1", At: day0, Zone: "+02:00", Digest: [32]byte{3}}}
	return in
}

var kinds = []takedown.Kind{takedown.Controller, takedown.BruteForce, takedown.CompromisedServer}
