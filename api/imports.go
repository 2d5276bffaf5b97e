package api

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tocsin-io/tocsin"
)

// Bounds of a list that is imported.
const (
	MaxListLines = 100_000
	MaxListBytes = 8 << 20
	mostRefused  = 100 // lines that are told one by one
	importTime   = 5 * time.Minute
)

// A ListImport is what became of a list of addresses.
type ListImport struct {
	Lines        int           `json:"lines"`    // that name something: neither empty nor a comment
	Taken        int           `json:"taken"`    // in force; of a trial, that would be
	Repeated     int           `json:"repeated"` // the same as a line before
	Refused      []RefusedLine `json:"refused"`  // the first of them
	RefusedCount int           `json:"refused_count"`
}

// A RefusedLine is a line that nothing became of.
type RefusedLine struct {
	Line int    `json:"line"` // from 1
	Text string `json:"text"`
	Why  string `json:"why"`
}

func (l *ListImport) refuse(line int, text, why string) {
	l.RefusedCount++
	if len(l.Refused) < mostRefused {
		l.Refused = append(l.Refused, RefusedLine{line, cut(text), why})
	}
}

// importList blocks or allows what a list names, one address or prefix a line.
func (a *API) importList(c *call) (any, error) {
	order, dry, err := c.importWish()
	if err != nil {
		return nil, err
	}
	switch kind, _, _ := mime.ParseMediaType(c.r.Header.Get("Content-Type")); kind {
	case "text/plain", "text/csv":
	default:
		return nil, Refuse(http.StatusUnsupportedMediaType, "want a list as text: send it with Content-Type: text/plain")
	}
	done, err := a.dear(c)
	if err != nil {
		return nil, err
	}
	defer done()
	rc := http.NewResponseController(c.w)
	body, err := io.ReadAll(&arrivals{http.MaxBytesReader(c.w, c.r.Body, MaxListBytes), rc})
	if err != nil {
		return nil, bodyError(err)
	}
	c.did = "check a list for " + order.words()
	if !dry {
		c.did = fmt.Sprintf("import a list of %d bytes: %s", len(body), order.words())
	}
	list, orders, lines, err := readList(body, order)
	if err != nil {
		return nil, err
	}
	_ = rc.SetWriteDeadline(time.Now().Add(importTime)) // where there is none to set, none is needed
	refused, err := a.Fleet.Import(c.r.Context(), orders, dry)
	if err != nil {
		return nil, err
	}
	for i, o := range orders {
		if why, no := refused[i]; no {
			list.refuse(lines[i], o.Prefix.String(), why)
		} else {
			list.Taken++
		}
	}
	if !dry {
		c.did += fmt.Sprintf(" (%d of %d lines taken)", list.Taken, list.Lines)
	}
	slices.SortFunc(list.Refused, func(a, b RefusedLine) int { return a.Line - b.Line })
	return list, nil
}

// importWish reads what shall become of each line.
func (c *call) importWish() (o Order, dry bool, err error) {
	q := c.r.URL.Query()
	for key, values := range q { // one that is not known would do something else than meant, to many
		if !slices.Contains([]string{"verb", "owner", "for_seconds", "note", "dry"}, key) || len(values) > 1 {
			return o, false, badRequest("want verb, owner, for_seconds, note and dry, each once")
		}
	}
	switch q.Get("dry") {
	case "", "0", "false":
	case "1", "true":
		dry = true
	default:
		return o, false, badRequest("dry: want 1 to check only")
	}
	o = Order{Verb: Verb(q.Get("verb")), Note: q.Get("note"), By: c.by}
	if o.Verb != Block && o.Verb != Allow {
		return o, false, badRequest("verb: want block or allow")
	}
	if o.Owner = tocsin.OwnerID(q.Get("owner")); !word(string(o.Owner), maxText) {
		return o, false, badRequest("owner: want at most %d printable bytes", maxText)
	}
	if !word(o.Note, maxNote) {
		return o, false, badRequest("note: want at most %d printable bytes", maxNote)
	}
	if text := q.Get("for_seconds"); text != "" {
		if o.Seconds, err = strconv.Atoi(text); err != nil {
			return o, false, badRequest("for_seconds: want a number")
		}
		if err := term(o.Seconds); err != nil {
			return o, false, err
		}
	}
	return o, dry, nil
}

// headings are what the first line of a table may be called.
var headings = []string{"prefix", "address", "ip", "ip_address", "source", "network", "cidr", "range"}

// readList makes an order of each line; lines are their numbers.
func readList(body []byte, order Order) (list ListImport, orders []Order, lines []int, err error) {
	list.Refused = []RefusedLine{}
	seen := map[netip.Prefix]bool{}
	in := bufio.NewScanner(bytes.NewReader(bytes.TrimPrefix(body, []byte("\xef\xbb\xbf"))))
	in.Buffer(nil, MaxListBytes+1)
	for n := 1; in.Scan(); n++ {
		text, _, _ := strings.Cut(in.Text(), "#")
		if i := strings.IndexAny(text, ",;"); i >= 0 {
			text = text[:i]
		}
		if text = strings.Trim(text, " \t\r\"'"); text == "" {
			continue
		}
		if i := strings.IndexAny(text, " \t"); i >= 0 {
			text = text[:i]
		}
		if list.Lines == 0 && slices.Contains(headings, strings.ToLower(text)) {
			continue
		}
		if list.Lines++; list.Lines > MaxListLines {
			return list, nil, nil, Refuse(http.StatusRequestEntityTooLarge, "the list has more than %d lines: send it in parts; nothing of it was taken", MaxListLines)
		}
		p, why := readPrefix(text)
		switch {
		case why != "":
			list.refuse(n, text, why)
		case seen[p]:
			list.Repeated++
		default:
			seen[p] = true
			order.Prefix = p
			orders, lines = append(orders, order), append(lines, n)
		}
	}
	return list, orders, lines, in.Err()
}

// readPrefix reads an address or a prefix as people write it, or says why it is none.
func readPrefix(text string) (netip.Prefix, string) {
	if a, err := netip.ParseAddr(text); err == nil {
		if a.Zone() != "" {
			return netip.Prefix{}, "an address of one network only: leave out what begins with %"
		}
		return tocsin.SourcePrefix(a), ""
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return p, "neither an address nor a prefix such as 203.0.113.0/24"
	}
	if p.Addr().Is4In6() {
		if p.Bits() < 96 {
			return p, "covers more than IPv4: write it as IPv4"
		}
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	if p != p.Masked() {
		return p, "names one address and a whole network: write " + p.Masked().String() + " if you mean all of it"
	}
	return p, ""
}
