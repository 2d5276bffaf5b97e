package console

import (
	"testing"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/api"
)

func TestWhichCampaignIsToldFirst(t *testing.T) {
	const who = 1
	numbers := api.CampaignLine{Status: tocsin.Open}
	for _, c := range []struct {
		name string
		list []api.CampaignLine
		want int
	}{
		{"none", nil, -1},
		{"the newest", []api.CampaignLine{numbers, numbers}, 0},
		{"one that tells who acts together", []api.CampaignLine{numbers, {Status: tocsin.Open, Sources: who}}, 1},
		{"one that goes on", []api.CampaignLine{{Status: tocsin.Ended, Sources: who}, numbers}, 1},
		{"one that is held goes on", []api.CampaignLine{{Status: tocsin.Joined, Sources: who}, numbers, {Status: tocsin.Held, Sources: who}}, 2},
		{"ended, if there is no other", []api.CampaignLine{{Status: tocsin.Ended}}, 0},
	} {
		if got := newest(c.list); got != c.want {
			t.Errorf("%s: got %d, want %d", c.name, got, c.want)
		}
	}
}
