package rdap

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Limits of what one answer may tell.
const (
	maxDepth    = 4 // entities within entities
	maxEntities = 200
	maxMails    = 8
	maxRemarks  = 10
	maxText     = 500 // bytes of one text
)

// Parse reads a registry's answer (RFC 9083) to a question about a. A part of it
// that is not as it should be is left out; an answer about another network is an
// error. The contact has neither URL nor time: those are the caller's to know.
func Parse(raw []byte, a netip.Addr) (Contact, error) {
	return parseAnswer(raw, subject{addr: a.Unmap().WithZone("")})
}

func parseAnswer(raw []byte, s subject) (Contact, error) {
	if len(raw) > MaxAnswer {
		return Contact{}, fmt.Errorf("answer of %d bytes, at most %d are read", len(raw), MaxAnswer)
	}
	var top map[string]any
	if err := json.Unmarshal(raw, &top); err != nil {
		return Contact{}, fmt.Errorf("answer is not a JSON object, as RDAP has it: %w", err)
	}
	if code, ok := top["errorCode"]; ok {
		return Contact{}, fmt.Errorf("the registry answers with error %v: %s", code, text(top["title"]))
	}
	c := Contact{
		Subject: s.String(), Found: ByRegistry, Raw: raw, Digest: sha256.Sum256(raw),
		Name: text(top["name"]), Country: text(top["country"]),
	}
	var err error
	if s.addr.IsValid() {
		c.Network, err = network(top, s.addr)
	} else {
		err = numbers(top, s.as)
	}
	if err != nil {
		return Contact{}, err
	}
	c.remark(top)
	r := reader{contact: &c}
	r.entities(top["entities"], 1)
	if r.cut {
		c.Notes = append(c.Notes, "the answer names more than is read: see it in full")
	}
	return c, nil
}

// network returns the widest network around a that lies within what the answer
// is about, or the address alone where it does not say.
func network(top map[string]any, a netip.Addr) (netip.Prefix, error) {
	alone := netip.PrefixFrom(a, a.BitLen())
	from, to := text(top["startAddress"]), text(top["endAddress"])
	if from == "" && to == "" {
		if text(top["objectClassName"]) != "ip network" {
			return alone, errors.New("answer is not about a network")
		}
		return alone, nil
	}
	first, err := netip.ParseAddr(cutSlash(from))
	if err != nil {
		return alone, fmt.Errorf("answer: start of the network: %w", err)
	}
	last, err := netip.ParseAddr(cutSlash(to))
	if err != nil {
		return alone, fmt.Errorf("answer: end of the network: %w", err)
	}
	first, last = first.Unmap(), last.Unmap()
	if a.Less(first) || last.Less(a) || first.Is4() != a.Is4() || last.Is4() != a.Is4() {
		return alone, fmt.Errorf("answer is about %s to %s, which does not hold %s", first, last, a)
	}
	best := alone
	for bits := a.BitLen() - 1; bits >= 0; bits-- {
		p, err := a.Prefix(bits)
		if err != nil || p.Addr().Less(first) || last.Less(lastOf(p)) {
			break
		}
		best = p
	}
	return best, nil
}

// cutSlash takes the length off an address that a registry wrote as a network.
func cutSlash(s string) string { s, _, _ = strings.Cut(s, "/"); return s }

func lastOf(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 1 << (7 - i%8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// numbers checks that the answer is about the autonomous system.
func numbers(top map[string]any, as uint32) error {
	first, ok1 := top["startAutnum"].(float64)
	last, ok2 := top["endAutnum"].(float64)
	if !ok1 && !ok2 {
		if text(top["objectClassName"]) != "autnum" {
			return errors.New("answer is not about an autonomous system")
		}
		return nil
	}
	if !ok1 || !ok2 || float64(as) < first || float64(as) > last {
		return fmt.Errorf("answer is about AS%v to AS%v, not AS%d", top["startAutnum"], top["endAutnum"], as)
	}
	return nil
}

// A reader collects what the entities of one answer tell.
type reader struct {
	contact *Contact
	seen    int
	cut     bool // there was more than is read
}

// entities reads a list of entities, and those within them.
func (r *reader) entities(v any, depth int) {
	for _, e := range array(v) {
		if r.seen++; depth > maxDepth || r.seen > maxEntities {
			r.cut = true
			return
		}
		entity, ok := e.(map[string]any)
		if !ok {
			continue
		}
		r.entity(entity)
		r.entities(entity["entities"], depth+1)
	}
}

func (r *reader) entity(e map[string]any) {
	var roles []string
	for _, role := range array(e["roles"]) {
		roles = append(roles, strings.ToLower(text(role)))
	}
	card := cardOf(e["vcardArray"])
	if slices.Contains(roles, "abuse") {
		r.abuse(e, card)
		return
	}
	if slices.Contains(roles, "registrant") && r.contact.Holder == "" && len(card["fn"]) > 0 {
		r.contact.Holder = clean(card["fn"][0], maxText)
	}
	for _, m := range card["email"] {
		if m, ok := plainMail(m); ok && len(roles) > 0 {
			r.add(&r.contact.Others, clean(roles[0], 40)+": "+m)
		}
	}
}

// abuse reads whoever handles abuse.
func (r *reader) abuse(e map[string]any, card map[string][]string) {
	c := r.contact
	c.remark(e)
	for _, m := range card["email"] {
		if plain, ok := plainMail(m); ok {
			r.add(&c.Mails, plain)
		} else {
			r.add(&c.Notes, "not a plain mail address, left out: "+strconv.QuoteToASCII(clean(m, 100)))
		}
	}
	for _, name := range []string{"url", "contact-uri"} {
		for _, u := range card[name] {
			if strings.HasPrefix(u, "https://") {
				r.add(&c.Forms, clean(u, maxText))
			}
		}
	}
	if len(card["email"]) == 0 {
		r.add(&c.Notes, "whoever handles abuse has no mail address here: "+strconv.QuoteToASCII(text(e["handle"])))
	}
}

func (r *reader) add(to *[]string, s string) {
	if slices.Contains(*to, s) {
		return
	}
	if len(*to) >= maxMails {
		r.cut = true
		return
	}
	*to = append(*to, s)
}

// remark keeps what a registry or a provider wrote for people.
func (c *Contact) remark(object map[string]any) {
	for _, v := range array(object["remarks"]) {
		remark, ok := v.(map[string]any)
		if !ok {
			continue
		}
		var lines []string
		for _, d := range array(remark["description"]) {
			lines = append(lines, text(d))
		}
		s := clean(strings.Join(lines, " "), maxText)
		if s != "" && len(c.Remarks) < maxRemarks && !slices.Contains(c.Remarks, s) {
			c.Remarks = append(c.Remarks, s)
		}
	}
}

// cardOf returns the texts of a jCard (RFC 7095) by the name of their property:
// ["vcard", [[name, parameters, type, value, …], …]].
func cardOf(v any) map[string][]string {
	card := map[string][]string{}
	if outer := array(v); len(outer) > 1 {
		for _, p := range array(outer[1]) {
			property := array(p)
			if len(property) < 4 {
				continue
			}
			name, ok := property[0].(string)
			if !ok {
				continue
			}
			name = strings.ToLower(name)
			for _, value := range property[3:] {
				card[name] = texts(card[name], value)
			}
		}
	}
	return card
}

// texts adds a value, or those of a list.
func texts(to []string, v any) []string {
	switch v := v.(type) {
	case string:
		if v != "" {
			to = append(to, v)
		}
	case []any:
		for _, one := range v {
			if s, ok := one.(string); ok && s != "" {
				to = append(to, s)
			}
		}
	}
	return to
}

func array(v any) []any { list, _ := v.([]any); return list }

func text(v any) string { s, _ := v.(string); return clean(s, maxText) }
