package docs

import (
	"bytes"
	"cmp"
	"io/fs"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/yuin/goldmark/ast"
	gtext "github.com/yuin/goldmark/text"
)

// Bounds of a search: anybody may ask.
const (
	maxQuery   = 100 // bytes
	maxWords   = 8
	maxResults = 30

	// Searches a second, of all strangers together, and at once after a rest: each
	// takes a millisecond or two of the hub's processor.
	searchRate  = 20
	searchBurst = 40
)

// searchPage is the address of what was found.
const searchPage = "search"

// A section is a heading and what stands below it.
type section struct {
	title, heading, address string
	text                    string

	// To look in: title, heading, and all of it, in lower case.
	lowTitle, lowHeading, low string
}

// A pace lets so many searches through.
type pace struct {
	mu   sync.Mutex // guards the field below
	next time.Time  // when all that was let through is paid for
}

func (p *pace) take(now time.Time) bool {
	const cost = time.Second / searchRate
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.next.Before(now) {
		p.next = now
	}
	if p.next.Sub(now) > (searchBurst-1)*cost {
		return false
	}
	p.next = p.next.Add(cost)
	return true
}

// A result is a section that was found, with the words around the first hit.
type result struct {
	link
	Around string
}

// sections reads all pages into their sections.
func (l *Library) sections() (all []section) {
	for _, name := range l.Pages() {
		p := l.pages[name]
		source, err := fs.ReadFile(l.files, p.file)
		if p.file == "" || err != nil {
			continue
		}
		all = append(all, cut(source, p.title, Folder+name)...)
	}
	return all
}

// cut splits a page at its headings.
func cut(source []byte, title, address string) (all []section) {
	doc := markdown.Parser().Parse(gtext.NewReader(source))
	ids := map[string]int{}
	now := section{title: title, address: address}
	var b strings.Builder
	finish := func() {
		now.text = strings.Join(strings.Fields(b.String()), " ")
		now.lowTitle, now.lowHeading = strings.ToLower(now.title), strings.ToLower(now.heading)
		now.low = now.lowTitle + "\n" + now.lowHeading + "\n" + strings.ToLower(now.text)
		all = append(all, now)
		b.Reset()
	}
	for n := doc.FirstChild(); n != nil; n = n.NextSibling() {
		h, ok := n.(*ast.Heading)
		if !ok {
			words(&b, n, source)
			continue
		}
		heading := plain(h, source)
		id := unique(ids, slug(heading))
		if h.Level == 1 {
			continue
		}
		finish()
		now.heading, now.address = heading, address+"#"+id
	}
	finish()
	return all
}

// words writes all words below a node, those of code too.
func words(b *strings.Builder, n ast.Node, source []byte) {
	if n.Kind() == ast.KindFencedCodeBlock || n.Kind() == ast.KindCodeBlock {
		b.Write(n.Lines().Value(source))
		return
	}
	if t, ok := n.(*ast.Text); ok {
		b.Write(t.Value(source))
		if t.SoftLineBreak() {
			b.WriteByte(' ')
		}
	}
	for c := n.FirstChild(); c != nil; c = c.NextSibling() {
		words(b, c, source)
	}
	if n.Type() == ast.TypeBlock || n.Parent() != nil && n.Parent().Type() == ast.TypeBlock && n.NextSibling() == nil {
		b.WriteByte(' ')
	}
}

// search answers with the sections that hold every word asked for.
func (l *Library) search(w http.ResponseWriter, r *http.Request) {
	asked := strings.TrimSpace(strings.ToValidUTF8(r.URL.Query().Get("q"), ""))
	for len(asked) > maxQuery {
		_, n := utf8.DecodeLastRuneInString(asked)
		asked = asked[:len(asked)-n]
	}
	if asked != "" && !l.pace.take(time.Now()) {
		w.Header().Set("Retry-After", "2")
		http.Error(w, "Too many people search just now: try again in two seconds.", http.StatusTooManyRequests)
		return
	}
	v := view{Title: "Search", Search: true, Style: l.style, Groups: l.marked("-"), Asked: asked, Found: l.find(asked)}
	var b bytes.Buffer
	v.write(&b)
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write(b.Bytes()) // whoever hung up does not want it
}

// find returns the sections that fit best, first those whose heading says it.
func (l *Library) find(asked string) (found []result) {
	wanted := strings.Fields(strings.ToLower(asked))
	wanted = wanted[:min(len(wanted), maxWords)]
	if len(wanted) == 0 {
		return nil
	}
	l.once.Do(func() { l.index = l.sections() })
	type hit struct {
		*section
		score int
	}
	var hits []hit
	for i := range l.index {
		if score := l.index[i].fits(wanted); score > 0 {
			hits = append(hits, hit{&l.index[i], score})
		}
	}
	slices.SortStableFunc(hits, func(a, b hit) int { return cmp.Compare(b.score, a.score) })
	if len(hits) == 0 && strings.Contains(asked, ".") { // a key with its table, which stand apart
		return l.find(strings.ReplaceAll(asked, ".", " "))
	}
	for _, h := range hits[:min(len(hits), maxResults)] {
		title := h.title
		if h.heading != "" {
			title += ": " + h.heading
		}
		found = append(found, result{link{Title: title, Address: h.address}, around(h.text, wanted)})
	}
	return found
}

// fits returns 0 where a word is missing, and more the more it is about them.
func (s *section) fits(wanted []string) (score int) {
	for _, word := range wanted {
		n := begin(s.low, word)
		if n == 0 {
			return 0
		}
		score += n
		if begin(s.lowHeading, word) > 0 {
			score += 10
		}
		if begin(s.lowTitle, word) > 0 {
			score += 6
		}
	}
	if strings.HasPrefix(s.address, Folder+decisions) { // reasons come after what to do
		score = max(score/2, 1)
	}
	return score
}

// begin counts the words of a text that begin so, up to five: "locked" is not in
// "blocked".
func begin(text, word string) (n int) {
	for at := 0; n < 5; {
		i := strings.Index(text[at:], word)
		if i < 0 {
			return n
		}
		before, _ := utf8.DecodeLastRuneInString(text[:at+i])
		if !unicode.IsLetter(before) && !unicode.IsDigit(before) {
			n++
		}
		at += i + len(word)
	}
	return n
}

// around returns what stands around the first of the words.
func around(text string, wanted []string) string {
	const before, after = 60, 180
	at, lower := len(text), strings.ToLower(text)
	for _, word := range wanted {
		if i := strings.Index(lower, " "+word); i >= 0 {
			at = min(at, i+1)
		}
	}
	if at >= len(text) { // lower case may be longer
		at = 0
	}
	from, to := max(0, at-before), min(len(text), at+after)
	if i := strings.IndexByte(text[from:], ' '); from > 0 && i >= 0 {
		from += i + 1
	}
	if i := strings.LastIndexByte(text[:to], ' '); to < len(text) && i > from {
		to = i
	}
	short := strings.ToValidUTF8(text[from:to], "")
	if from > 0 {
		short = "… " + short
	}
	if to < len(text) {
		short += " …"
	}
	return short
}
