package incident

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"maps"
	"net/http"
	"net/netip"
	"slices"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/compromise"
	"github.com/tocsin-io/tocsin/dossier"
	"github.com/tocsin-io/tocsin/stix"
	"github.com/tocsin-io/tocsin/takedown"
)

// Campaigns returns what is known of campaigns, the newest first.
func (p *Part) Campaigns(ctx context.Context) ([]tocsin.Campaign, error) {
	return p.deps.Fleet.Campaigns(ctx)
}

// Campaign returns one, and the sources active beside it that nothing joins to it.
func (p *Part) Campaign(ctx context.Context, id tocsin.CampaignID) (api.CampaignPage, error) {
	c, err := p.deps.Fleet.Campaign(ctx, id)
	if err != nil {
		return api.CampaignPage{}, err
	}
	others, err := p.deps.Fleet.Unattributed(ctx, id)
	return api.CampaignPage{Campaign: c, Unattributed: others}, err
}

// Ranking returns every candidate for a controller, best first, and the cases worth
// opening.
func (p *Part) Ranking(ctx context.Context) (api.Ranking, error) {
	j, err := p.newest(ctx)
	if err != nil {
		return api.Ranking{}, err
	}
	r := j.Ranking
	answer := api.Ranking{Candidates: r.Candidates, Observed: r.Observed, Devices: r.Devices, Labelled: r.Labelled, Lacking: r.Lacking}
	answer.Proposals, err = p.Proposals(ctx)
	return answer, err
}

// Compromise returns the answer about every device, and the sum.
func (p *Part) Compromise(ctx context.Context) (api.Compromise, error) {
	j, err := p.newest(ctx)
	if err != nil {
		return api.Compromise{}, err
	}
	answer := api.Compromise{At: j.At, Summary: j.Summary}
	for _, a := range j.Assessed {
		answer.Devices = append(answer.Devices, j.show(a))
	}
	return answer, nil
}

func (j judgement) show(a compromise.Assessment) api.Assessed {
	d := j.ByID[a.Device]
	return api.Assessed{Assessment: a, Name: d.Name, Owner: d.Owner, Why: a.Why(), Likely: j.Likely[a.Device]}
}

// exported is what is kept from one bundle to the next.
type exported struct {
	Fleet    string        `json:"fleet"`
	Versions stix.Versions `json:"versions"`
}

const stixKind = "stix"

// STIX returns campaigns and controllers as a bundle for others: all campaigns, or
// the one named. Nothing in it tells of owners or devices.
func (p *Part) STIX(ctx context.Context, id tocsin.CampaignID, tlp string) ([]byte, error) {
	j, err := p.newest(ctx)
	if err != nil {
		return nil, err
	}
	in := stix.Input{At: j.At, Except: slices.Clone(p.cfg.Spare)}
	if tlp != "" {
		if err := in.TLP.UnmarshalText([]byte(tlp)); err != nil {
			return nil, api.Refuse(http.StatusBadRequest, "%v", err)
		}
	}
	if in.Campaigns, err = p.deps.Fleet.Campaigns(ctx); err != nil {
		return nil, err
	}
	for _, c := range j.Ranking.Candidates {
		if c.Admitted {
			in.Controllers = append(in.Controllers, c.Controller)
		}
	}
	if id != "" {
		c, err := p.Campaign(ctx, id)
		if err != nil {
			return nil, err
		}
		in.Campaigns = []tocsin.Campaign{c.Campaign}
	}
	own := slices.Collect(maps.Values(j.From)) // the fleet's own addresses are nobody else's business
	for _, d := range j.Devices {
		own = append(own, j.addressOf(d))
	}
	for _, a := range own {
		if a.IsValid() {
			in.Except = append(in.Except, netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()))
		}
	}
	var kept exported
	var bundle stix.Bundle
	err = p.change(ctx, stixKind, "versions", &kept, func() error {
		if kept.Fleet == "" {
			var random [16]byte
			if _, err := rand.Read(random[:]); err != nil {
				return err
			}
			kept.Fleet = hex.EncodeToString(random[:])
		}
		in.Fleet = kept.Fleet
		b, after, _, err := stix.Export(in, kept.Versions)
		bundle, kept.Versions = b, after
		return err
	})
	if err != nil {
		return nil, err
	}
	return json.Marshal(bundle)
}

// Print returns a case with its clock for people: "md" or "html".
func (p *Part) Print(ctx context.Context, id takedown.ID, form string) ([]byte, error) {
	f, err := p.file(ctx, id)
	if err != nil {
		return nil, err
	}
	now := p.deps.Now().UTC()
	switch form {
	case "md":
		return []byte(dossier.Markdown(f.Case, now)), nil
	case "html":
		var b bytes.Buffer
		err := dossier.HTML(&b, f.Case, now)
		return b.Bytes(), err
	}
	return nil, api.Refuse(http.StatusBadRequest, "form %q is neither md nor html", form)
}
