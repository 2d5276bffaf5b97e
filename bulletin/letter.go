package bulletin

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/tocsin-io/tocsin/compromise"
)

// A Letter is what one owner is told about.
type Letter struct {
	Owner   string // whom it is for: not shown
	Sender  string // who writes
	Contact string // where the owner can ask
	Period  compromise.Period
	Devices []Device // all of the owner's
}

// A Device is one device as its owner knows it.
type Device struct {
	Name       string // hostile: it comes from the device
	Assessment compromise.Assessment
}

// fewDevices is up to how many devices a letter tells all about each.
const fewDevices = 10

// maxSeen is how many pieces of evidence a letter names for one device.
const maxSeen = 8

// Write returns the letter in one language: the devices that need the owner
// first. It fails if the language is unknown or there is no device.
func (l Letter) Write(lang Language) (Text, error) {
	p, err := phrasesOf(lang)
	if err != nil {
		return Text{}, err
	}
	if len(l.Devices) == 0 {
		return Text{}, fmt.Errorf("letter to owner %q: no device to write about", l.Owner)
	}
	devices := slices.Clone(l.Devices)
	slices.SortStableFunc(devices, func(a, b Device) int {
		return cmp.Or(cmp.Compare(urgency(a), urgency(b)), strings.Compare(a.Name, b.Name),
			strings.Compare(string(a.Assessment.Device), string(b.Assessment.Device)))
	})
	var out page
	out.add(title, p.letter.title)
	out.add(paragraph, p.dear)
	out.add(paragraph, fmt.Sprintf(p.letter.intro, p.devices(len(devices)), p.period(p.during, l.Period), quote(l.Sender)))
	out.add(question, p.letter.short)
	var verdicts []string
	urgent := 0
	for _, d := range devices {
		verdicts = append(verdicts, fmt.Sprintf(p.letter.verdicts[state(d)], name(d)))
		if s := state(d); s == compromise.Confirmed || s == compromise.Suspected {
			urgent++
		}
	}
	out.list(bullets, verdicts...)
	if urgent > 0 {
		out.add(paragraph, fmt.Sprintf(p.letter.urgent, quote(l.Contact)))
	}
	for _, d := range devices {
		// Of many devices, those that need nothing are told by their verdict alone.
		if state(d) != compromise.Clean || len(devices) <= fewDevices {
			l.device(p, &out, d)
		}
	}
	out.add(heading, p.letter.restQ)
	out.add(paragraph, p.letter.times)
	out.add(paragraph, p.letter.unsure)
	out.add(paragraph, fmt.Sprintf(p.contact, quote(l.Contact)))
	out.add(paragraph, fmt.Sprintf(p.sincere, quote(l.Sender)))
	subject := fmt.Sprintf(p.letter.subjectCalm, p.period(p.title, l.Period))
	if urgent > 0 {
		subject = fmt.Sprintf(p.letter.subjectUrgent, p.devices(urgent))
	}
	return Text{Kind: Notice, Language: lang, To: l.Owner, Subject: subject, Plain: out.plain(), Markdown: out.markdown()}, nil
}

// state returns the state to write about; what is none is unknown.
func state(d Device) compromise.State {
	if s := d.Assessment.State; slices.Contains(compromise.States(), s) {
		return s
	}
	return compromise.Unknown
}

// urgency puts first what needs the owner most: unknown before near-miss.
func urgency(d Device) int {
	return slices.Index([]compromise.State{
		compromise.Confirmed, compromise.Suspected, compromise.Unknown,
		compromise.NearMiss, compromise.FalsePositive, compromise.Clean,
	}, state(d))
}

func name(d Device) string {
	return quote(cmp.Or(strings.TrimSpace(d.Name), string(d.Assessment.Device)))
}

// device answers for one device.
func (l Letter) device(p *phrases, out *page, d Device) {
	a, s := d.Assessment, state(d)
	out.add(heading, name(d))
	out.under(question, p.letter.attackedQ, p.attacked(a))
	entered := p.letter.entered[s]
	if s == compromise.FalsePositive && a.Closing != nil {
		entered += " " + fmt.Sprintf(p.letter.closed, quote(a.Closing.Reason))
	}
	out.under(question, p.letter.enteredQ, entered)
	if s == compromise.Confirmed || s == compromise.Suspected {
		out.add(question, p.letter.sawQ)
		out.list(bullets, p.seen(a)...)
	}
	if len(a.Missing) > 0 {
		out.add(question, p.letter.missingQ)
		out.list(bullets, p.missing(a.Missing)...)
	}
	out.add(question, p.letter.nowQ)
	if steps := p.letter.now[s]; len(steps) == 1 {
		out.add(paragraph, steps[0])
	} else {
		l.steps(out, s, steps)
	}
	kept := p.letter.keptNone
	if n := len(a.Ledger) + a.Omitted; n > 0 {
		kept = fmt.Sprintf(p.letter.kept, p.count(uint64(n), func(w noun) string { return w.record }), quote(l.Sender))
	}
	out.under(question, p.letter.keptQ, kept)
}

// steps numbers what has an order, and lists what has none.
func (l Letter) steps(out *page, s compromise.State, all []string) {
	if s == compromise.Confirmed || s == compromise.Suspected {
		out.list(steps, all...)
		return
	}
	out.add(paragraph, all[0])
	out.list(bullets, all[1:]...)
}

func (p *phrases) attacked(a compromise.Assessment) string {
	switch {
	case a.Attack.Sources > 0:
		return fmt.Sprintf(p.letter.attackedYes,
			p.count(uint64(a.Attack.Sources), func(w noun) string { return w.address }),
			p.count(a.Attack.Attempts, func(w noun) string { return w.attempt }),
			p.time(a.Attack.First), p.time(a.Attack.Last))
	case a.Attacked():
		return p.letter.attackedLogin
	case !a.Covered:
		return p.letter.attackedBlind
	}
	return p.letter.attackedNo
}

// seen tells the evidence: the heaviest, by time. What a person closed is told
// only where nothing else is there.
func (p *phrases) seen(a compromise.Assessment) (lines []string) {
	ledger := slices.DeleteFunc(slices.Clone(a.Ledger), func(e compromise.Entry) bool { return e.Closed })
	if len(ledger) == 0 {
		ledger = slices.Clone(a.Ledger)
	}
	total := len(ledger) + a.Omitted
	slices.SortStableFunc(ledger, func(x, y compromise.Entry) int {
		return cmp.Or(cmp.Compare(y.Nats, x.Nats), x.At.Compare(y.At))
	})
	ledger = ledger[:min(len(ledger), maxSeen)]
	slices.SortStableFunc(ledger, func(x, y compromise.Entry) int { return x.At.Compare(y.At) })
	for _, e := range ledger {
		lines = append(lines, fmt.Sprintf(p.letter.sawAt, p.evidence(e), p.time(e.At)))
	}
	if more := total - len(ledger); more > 0 {
		lines = append(lines, fmt.Sprintf(p.letter.sawMore, p.number(uint64(more))))
	}
	return lines
}

// evidence puts one entry into words.
func (p *phrases) evidence(e compromise.Entry) string {
	source, to := "?", "?"
	if e.Source.IsValid() {
		source = e.Source.String()
		if e.Source.IsSingleIP() {
			source = e.Source.Addr().String()
		}
	}
	if e.To.IsValid() {
		to = e.To.Addr().String()
	}
	format := ""
	if int(e.Kind) < len(p.letter.saw) {
		format = p.letter.saw[e.Kind]
	}
	if format == "" {
		return quote(e.Kind.String())
	}
	return strings.NewReplacer("{subject}", quote(e.Subject), "{source}", quote(source), "{to}", quote(to)).Replace(format)
}

func (p *phrases) missing(holes []compromise.Missing) (lines []string) {
	for _, m := range holes[:min(len(holes), maxSeen)] {
		if int(m.Why) >= len(p.letter.missing) {
			continue
		}
		format := p.letter.missing[m.Why]
		from, to := p.time(m.From), p.time(m.To)
		switch m.Why {
		case compromise.NeverHeard:
			lines = append(lines, format)
		case compromise.LinesGone, compromise.SwitchedOff:
			lines = append(lines, fmt.Sprintf(format, from))
		default:
			lines = append(lines, fmt.Sprintf(format, from, to))
		}
	}
	if more := len(holes) - maxSeen; more > 0 {
		lines = append(lines, fmt.Sprintf(p.letter.sawMore, p.number(uint64(more))))
	}
	return lines
}

// Letters writes one letter for each owner, in every language asked for, by
// owner. names says what people call a device, and owners whose it is; devices
// of nobody are left out.
func Letters(p compromise.Period, all []compromise.Assessment, names func(compromise.Assessment) (owner, device string), sender, contact string, languages ...Language) ([]Text, error) {
	letters := map[string]*Letter{}
	for _, a := range all {
		owner, device := names(a)
		if owner == "" {
			continue
		}
		if letters[owner] == nil {
			letters[owner] = &Letter{Owner: owner, Sender: sender, Contact: contact, Period: p}
		}
		letters[owner].Devices = append(letters[owner].Devices, Device{device, a})
	}
	var texts []Text
	for _, owner := range sortedKeys(letters) {
		for _, lang := range languages {
			t, err := letters[owner].Write(lang)
			if err != nil {
				return nil, err
			}
			texts = append(texts, t)
		}
	}
	return texts, nil
}

func sortedKeys(m map[string]*Letter) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
