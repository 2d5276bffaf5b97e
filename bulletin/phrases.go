package bulletin

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/tocsin-io/tocsin/compromise"
)

// phrases is all that a language says. A test holds that none is left empty;
// the arguments of each are the same in every language, in the same order.
type phrases struct {
	months   [12]string
	date     string // day, month, year
	moment   string // date, hour, minute
	first    string // how the first day of a month is written
	thousand string // what stands between groups of three digits
	point    string // before decimals
	title    span   // in headings
	during   span   // when something happened
	dear     string
	sincere  string // sender
	contact  string // how to reach the sender

	one, many noun

	letter   letterPhrases
	bulletin bulletinPhrases
}

// A span is how a period is named, and one that is of a single day.
type span struct {
	days string // first, last
	day  string
}

// A noun is what is counted; the number is its argument.
type noun struct{ device, address, attempt, record, campaign string }

// letterPhrases are those of the letter to an owner.
type letterPhrases struct {
	subjectUrgent, subjectCalm string // number of devices that need the owner, or period
	title                      string
	intro                      string // devices, period, sender
	short                      string
	urgent                     string    // how to reach the sender
	verdicts                   [7]string // by state: what is said behind the device's name
	attackedQ, enteredQ        string
	attackedYes                string // addresses, attempts, first, last
	attackedLogin              string
	attackedNo, attackedBlind  string
	entered                    [7]string // by state
	closed                     string    // reason
	sawQ                       string
	saw                        [16]string // by kind, with {subject}, {source} and {to}
	sawAt                      string     // what, when
	sawMore                    string     // how many
	missingQ                   string
	missing                    [6]string // by hole: from, to
	nowQ                       string
	now                        [7][]string // by state
	keptQ                      string
	kept                       string // records, sender
	keptNone                   string
	restQ                      string
	times                      string // that they are UTC
	unsure                     string // what the whole rests on
}

// bulletinPhrases are those of the public bulletin.
type bulletinPhrases struct {
	subject, title        string // period
	intro                 string // publisher, period
	happenedQ             string
	campaign              string // first, last, addresses seen, low, high
	services, accounts    string // list
	noCampaign            string
	countQ                string
	small                 string
	devices               string // devices, attacked
	states                [7]string
	sureQ                 string
	share                 string // confirmed, covered, share, low, high
	outside               string // confirmed devices that are not covered
	noShare               string
	blindQ                string
	coverage              string // covered, devices, share
	holes                 [6]string
	allCovered, notClean  string
	todoQ                 string
	todo                  []string
	ownersQ, owners, more string
}

func (p *phrases) day(t time.Time) string {
	t = t.UTC()
	d := strconv.Itoa(t.Day())
	if t.Day() == 1 {
		d = p.first
	}
	return fmt.Sprintf(p.date, d, p.months[t.Month()-1], t.Year())
}

func (p *phrases) time(t time.Time) string {
	t = t.UTC()
	return fmt.Sprintf(p.moment, p.day(t), t.Hour(), t.Minute())
}

func (p *phrases) period(s span, w compromise.Period) string {
	from, to := p.day(w.From), p.day(w.To)
	if from == to {
		return fmt.Sprintf(s.day, from)
	}
	return fmt.Sprintf(s.days, from, to)
}

// number writes n with its groups apart.
func (p *phrases) number(n uint64) string {
	s := strconv.FormatUint(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + p.thousand + s[i:]
	}
	return s
}

// count writes so many of what is counted.
func (p *phrases) count(n uint64, of func(noun) string) string {
	word := of(p.many)
	if n == 1 {
		word = of(p.one)
	}
	return fmt.Sprintf(word, p.number(n))
}

func (p *phrases) devices(n int) string {
	return p.count(uint64(max(n, 0)), func(w noun) string { return w.device })
}

// percent writes a share with as many digits as tell something: 0.04 %, 1.3 %,
// 27 %.
func (p *phrases) percent(share float64) string {
	digits := 0
	switch s := share * 100; {
	case s == 0 || s >= 10:
	case s >= 1:
		digits = 1
	default:
		digits = 2
	}
	s := strconv.FormatFloat(share*100, 'f', digits, 64)
	return strings.Replace(s, ".", p.point, 1) + "\u00a0%"
}
