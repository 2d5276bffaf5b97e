package bulletin

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/compromise"
	"github.com/tocsin-io/tocsin/internal/accounts"
)

// A Bulletin is what everybody is told: made of sums, so that nothing in it can
// name a device or an owner.
type Bulletin struct {
	Publisher string
	Contact   string
	Summary   compromise.Summary
	Campaigns []tocsin.Campaign // of their targets and sources nothing is told but how many
}

// fewest is how many devices a fleet has whose figures point at nobody.
const fewest = 20

// mostNamed bounds the campaigns, services and accounts that are named.
const mostNamed = 8

// Write returns the bulletin in one language. It fails if the language is
// unknown.
func (b Bulletin) Write(lang Language) (Text, error) {
	p, err := phrasesOf(lang)
	if err != nil {
		return Text{}, err
	}
	t, s := &p.bulletin, b.Summary
	period := p.period(p.title, s.Period)
	var out page
	out.add(title, fmt.Sprintf(t.title, period))
	out.add(paragraph, fmt.Sprintf(t.intro, quote(b.Publisher), p.period(p.during, s.Period)))
	out.add(heading, t.happenedQ)
	b.happened(p, &out)
	out.add(heading, t.countQ)
	if s.Devices < fewest {
		out.add(paragraph, t.small)
		out.add(paragraph, t.notClean)
	} else {
		b.figures(p, &out)
	}
	out.add(heading, t.todoQ)
	out.list(steps, t.todo...)
	out.add(heading, t.ownersQ)
	out.add(paragraph, t.owners)
	out.add(paragraph, fmt.Sprintf(t.more, quote(b.Contact)))
	return Text{
		Kind: Public, Language: lang, Subject: fmt.Sprintf(t.subject, period),
		Plain: out.plain(), Markdown: out.markdown(),
	}, nil
}

// happened tells of the campaigns, the largest first.
func (b Bulletin) happened(p *phrases, out *page) {
	all := slices.DeleteFunc(slices.Clone(b.Campaigns), func(c tocsin.Campaign) bool { return c.Status == tocsin.Joined })
	slices.SortStableFunc(all, func(x, y tocsin.Campaign) int {
		if n := len(y.Sources) - len(x.Sources); n != 0 {
			return n
		}
		return x.First.Compare(y.First)
	})
	if len(all) == 0 {
		out.add(paragraph, p.bulletin.noCampaign)
	}
	for _, c := range all[:min(len(all), mostNamed)] {
		seen := uint64(len(c.Sources))
		low := max(seen, whole(c.Size.Low))
		text := fmt.Sprintf(p.bulletin.campaign, p.time(c.First), p.time(c.Last),
			p.count(seen, func(w noun) string { return w.address }), p.number(low), p.number(max(low, whole(c.Size.High))))
		if words := services(c.Services); words != "" {
			text += " " + fmt.Sprintf(p.bulletin.services, words)
		}
		if words := defaults(c.Accounts); words != "" {
			text += " " + fmt.Sprintf(p.bulletin.accounts, words)
		}
		out.add(paragraph, text)
	}
}

// whole rounds an estimate; what is no number is none.
func whole(f float64) uint64 {
	if !(f > 0) || f > 1e15 {
		return 0
	}
	return uint64(math.Round(f))
}

func services(all []tocsin.Service) string {
	var words []string
	for _, s := range all[:min(len(all), mostNamed)] {
		words = append(words, quote(string(s)))
	}
	return strings.Join(words, ", ")
}

// defaults names the accounts that systems come with; any other may be somebody.
func defaults(all []tocsin.AccountTag) string {
	var words []string
	for _, t := range all {
		if accounts.IsPublic(string(t)) && len(words) < mostNamed {
			words = append(words, quote(string(t)))
		}
	}
	return strings.Join(words, ", ")
}

// figures tells how many, how sure, and what is not known.
func (b Bulletin) figures(p *phrases, out *page) {
	t, s := &p.bulletin, b.Summary
	out.add(paragraph, fmt.Sprintf(t.devices, p.devices(s.Devices), p.number(uint64(s.Attacked))))
	var lines []string
	for _, state := range compromise.States() {
		lines = append(lines, fmt.Sprintf(t.states[state], p.devices(s.States[state])))
	}
	out.list(bullets, lines...)
	out.add(heading, t.sureQ)
	if s.Covered == 0 {
		out.add(paragraph, t.noShare)
	} else {
		out.add(paragraph, fmt.Sprintf(t.share, p.number(uint64(s.Confirmed)), p.devices(s.Covered),
			p.percent(s.Share.Value), p.percent(s.Share.Low), p.percent(s.Share.High)))
	}
	if n := s.States[compromise.Confirmed] - s.Confirmed; n > 0 {
		out.add(paragraph, fmt.Sprintf(t.outside, p.devices(n)))
	}
	out.add(heading, t.blindQ)
	if len(s.Uncovered) == 0 && s.Covered == s.Devices {
		out.add(paragraph, t.allCovered)
	} else {
		out.add(paragraph, fmt.Sprintf(t.coverage, p.number(uint64(s.Covered)), p.devices(s.Devices), p.percent(s.Coverage)))
		var lines []string
		for _, u := range s.Uncovered {
			lines = append(lines, fmt.Sprintf(t.holes[u.Why], p.devices(u.Devices)))
		}
		out.list(bullets, lines...)
	}
	out.add(paragraph, t.notClean)
}
