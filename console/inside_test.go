package console

import (
	"testing"

	"github.com/tocsin-io/tocsin"
)

func TestWhichCampaignIsToldFirst(t *testing.T) {
	who := []tocsin.Member{{}}
	numbers := tocsin.Campaign{Status: tocsin.Open}
	for _, c := range []struct {
		name string
		list []tocsin.Campaign
		want int
	}{
		{"none", nil, -1},
		{"the newest", []tocsin.Campaign{numbers, numbers}, 0},
		{"one that tells who acts together", []tocsin.Campaign{numbers, {Status: tocsin.Open, Sources: who}}, 1},
		{"one that goes on", []tocsin.Campaign{{Status: tocsin.Ended, Sources: who}, numbers}, 1},
		{"one that is held goes on", []tocsin.Campaign{{Status: tocsin.Joined, Sources: who}, numbers, {Status: tocsin.Held, Sources: who}}, 2},
		{"ended, if there is no other", []tocsin.Campaign{{Status: tocsin.Ended}}, 0},
	} {
		if got := newest(c.list); got != c.want {
			t.Errorf("%s: got %d, want %d", c.name, got, c.want)
		}
	}
}
