package rdap

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/netip"
)

// A finder is a service that tells the abuse contact of an address.
type finder struct {
	address func(a string) string
	mails   func(top map[string]any) []string
}

// finders are those that are switched on, in the order in which they are asked.
func (c *Client) finders() []finder {
	var list []finder
	if base := slash(c.cfg.AbuseContact); base != "" {
		list = append(list, finder{
			address: func(a string) string { return base + "abuse-contact/" + a + ".json" },
			mails: func(top map[string]any) []string {
				contacts, _ := top["abuse-contacts"].(map[string]any)
				return texts(nil, contacts["email"])
			},
		})
	}
	if base := slash(c.cfg.AbuseFinder); base != "" {
		list = append(list, finder{
			address: func(a string) string { return base + "data/abuse-contact-finder/data.json?resource=" + a },
			mails: func(top map[string]any) []string {
				data, _ := top["data"].(map[string]any)
				return texts(nil, data["abuse_contacts"])
			},
		})
	}
	return list
}

func (c *Client) askFinder(ctx context.Context, f finder, s subject) (Contact, error) {
	got, err := c.get(ctx, f.address(s.addr.String()), MaxAnswer)
	if err != nil {
		return Contact{}, err
	}
	var top map[string]any
	if err := json.Unmarshal(got.body, &top); err != nil {
		return Contact{}, fmt.Errorf("%s: answer is not a JSON object: %w", got.url, err)
	}
	found := Contact{
		Subject: s.String(), Found: ByFinder, Network: netip.PrefixFrom(s.addr, s.addr.BitLen()),
		URL: got.url, At: got.at, Raw: got.body, Digest: sha256.Sum256(got.body),
	}
	r := reader{contact: &found}
	for _, m := range f.mails(top) {
		if plain, ok := plainMail(m); ok {
			r.add(&found.Mails, plain)
		}
	}
	if len(found.Mails) == 0 {
		return Contact{}, fmt.Errorf("%s: knows no abuse contact either", got.url)
	}
	return found, nil
}
