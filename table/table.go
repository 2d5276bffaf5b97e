// Package table is what every table of the console does with its rows: find a text
// in them, filter by a column, sort, cut a page, and write all of it as CSV. It is
// pure, and holds no rows: whoever has them says what their columns are.
//
// Texts come from attackers. In a spreadsheet a cell that begins like a formula would
// be run, so such a cell begins with an apostrophe.
package table

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Bounds of a page.
const (
	DefaultSize = 50
	MaxSize     = 500
	MaxWords    = 16 // of the text that is looked for
)

const lookUp = 4096 // rows between two looks at who asked

// A Column is one of a table of rows R.
type Column[R any] struct {
	Name    string
	Text    func(*R) string   // as it is searched, filtered, and written as CSV
	Compare func(a, b *R) int // nil: by Text
	Word    bool              // filtered by the whole text; else by a part of it
	Hidden  bool              // filtered and sorted by, but not searched nor written
	Quiet   bool              // not searched: times and counts
}

// A Query is what of a table is wanted.
type Query struct {
	Text  string // in any column, whatever its case; each word of it must be found
	Sort  string // name of a column; "" is the order of the rows
	Desc  bool
	Page  int               // from 1
	Size  int               // 0 is [DefaultSize]
	Where map[string]string // column → what it must be, or hold
}

// A Mistake is a query that cannot be answered, and why.
type Mistake struct{ text string }

func (m *Mistake) Error() string { return m.text }

func mistake(format string, args ...any) error { return &Mistake{fmt.Sprintf(format, args...)} }

// An Answer is one page of a table.
type Answer struct {
	Rows  any `json:"rows"`  // a slice
	Total int `json:"total"` // after filtering
	All   int `json:"all"`   // before
	Page  int `json:"page"`
	Size  int `json:"size"`
}

// A View is a table that can be asked, whatever its rows are.
type View interface {
	// Page returns part of what the query leaves.
	Page(ctx context.Context, q Query) (Answer, error)
	// CSV writes all that it leaves; nothing is written before an error of the query.
	CSV(ctx context.Context, q Query, w io.Writer) error
}

// A Table is a View of rows R.
type Table[R any] struct {
	Columns []Column[R]
	// Load returns the rows. It may look at the query, and must not change what it
	// returned before: it is sorted in a copy.
	Load func(ctx context.Context, q Query) ([]R, error)
	// Finish adds to rows that leave what is too dear to know of every row; nil is
	// nothing. It may change them: they are copies.
	Finish func(ctx context.Context, rows []R) error
	// Params are names of filters that only Load knows.
	Params []string
}

// Page implements [View].
func (t Table[R]) Page(ctx context.Context, q Query) (Answer, error) {
	if q.Size == 0 {
		q.Size = DefaultSize
	}
	if q.Page == 0 {
		q.Page = 1
	}
	if q.Size < 1 || q.Size > MaxSize || q.Page < 1 || q.Page > 1<<30/MaxSize {
		return Answer{}, mistake("page and size: want a page from 1 and a size of 1 to %d", MaxSize)
	}
	found, all, err := t.find(ctx, q)
	if err != nil {
		return Answer{}, err
	}
	from := min((q.Page-1)*q.Size, len(found))
	rows := copied(found[from:min(from+q.Size, len(found))])
	if t.Finish != nil {
		if err := t.Finish(ctx, rows); err != nil {
			return Answer{}, err
		}
	}
	return Answer{Rows: rows, Total: len(found), All: all, Page: q.Page, Size: q.Size}, nil
}

func copied[R any](found []*R) []R {
	rows := make([]R, len(found))
	for i, r := range found {
		rows[i] = *r
	}
	return rows
}

// find returns what the query leaves, sorted, and how many rows there are.
func (t Table[R]) find(ctx context.Context, q Query) (found []*R, all int, err error) {
	var by *Column[R]
	if q.Sort != "" {
		if by = t.column(q.Sort); by == nil {
			return nil, 0, mistake("sort: there is no column %q; want one of %s", q.Sort, t.names())
		}
	}
	var where []condition[R]
	for name, want := range q.Where {
		if slices.Contains(t.Params, name) {
			continue
		}
		c := t.column(name)
		if c == nil {
			return nil, 0, mistake("%q is no column of this table: want one of %s", name, t.names())
		}
		where = append(where, condition[R]{c, strings.ToLower(want)})
	}
	rows, err := t.Load(ctx, q)
	if err != nil {
		return nil, 0, err
	}
	words := strings.Fields(strings.ToLower(q.Text))
	if len(words) > MaxWords {
		return nil, 0, mistake("q: want at most %d words", MaxWords)
	}
	found = make([]*R, 0, len(rows))
	for i := range rows {
		if i%lookUp == 0 && ctx.Err() != nil { // whoever asked hung up
			return nil, 0, ctx.Err()
		}
		if r := &rows[i]; meets(r, where) && t.holds(r, words) {
			found = append(found, r)
		}
	}
	if by != nil {
		sortBy(found, by, q.Desc)
	} else if q.Desc {
		slices.Reverse(found)
	}
	return found, len(rows), nil
}

type condition[R any] struct {
	column *Column[R]
	want   string
}

func meets[R any](r *R, where []condition[R]) bool {
	for _, c := range where {
		text := strings.ToLower(c.column.Text(r))
		if c.column.Word && text != c.want || !strings.Contains(text, c.want) {
			return false
		}
	}
	return true
}

// holds reports whether each word is in some column.
func (t Table[R]) holds(r *R, words []string) bool {
	if len(words) == 0 {
		return true
	}
	left := slices.Clone(words)
	for i := range t.Columns {
		if c := &t.Columns[i]; !c.Hidden && !c.Quiet {
			text := strings.ToLower(c.Text(r))
			left = slices.DeleteFunc(left, func(w string) bool { return strings.Contains(text, w) })
			if len(left) == 0 {
				return true
			}
		}
	}
	return false
}

// sortBy sorts rows that are equal by the order in which they came, both ways.
func sortBy[R any](rows []*R, by *Column[R], desc bool) {
	compare := by.Compare
	if compare == nil {
		texts := make(map[*R]string, len(rows))
		for _, r := range rows {
			texts[r] = strings.ToLower(by.Text(r))
		}
		compare = func(a, b *R) int { return cmp.Compare(texts[a], texts[b]) }
	}
	slices.SortStableFunc(rows, func(a, b *R) int {
		if desc {
			return compare(b, a)
		}
		return compare(a, b)
	})
}

func (t Table[R]) column(name string) *Column[R] {
	for i := range t.Columns {
		if t.Columns[i].Name == name {
			return &t.Columns[i]
		}
	}
	return nil
}

func (t Table[R]) names() string {
	list := make([]string, 0, len(t.Columns))
	for _, c := range t.Columns {
		list = append(list, c.Name)
	}
	return strings.Join(append(list, t.Params...), ", ")
}

// csvPiece is how many rows are finished and written at a time.
const csvPiece = 1000

// CSV implements [View].
func (t Table[R]) CSV(ctx context.Context, q Query, w io.Writer) error {
	found, _, err := t.find(ctx, q)
	if err != nil {
		return err
	}
	var b strings.Builder
	first := true
	for _, c := range t.Columns {
		if !c.Hidden {
			field(&b, c.Name, &first)
		}
	}
	b.WriteString("\r\n")
	for piece := range slices.Chunk(found, csvPiece) {
		if err := ctx.Err(); err != nil {
			return err
		}
		rows := copied(piece)
		if t.Finish != nil {
			if err := t.Finish(ctx, rows); err != nil {
				return err
			}
		}
		for i := range rows {
			first = true
			for _, c := range t.Columns {
				if !c.Hidden {
					field(&b, c.Text(&rows[i]), &first)
				}
			}
			b.WriteString("\r\n")
		}
		if _, err := io.WriteString(w, b.String()); err != nil {
			return err
		}
		b.Reset()
	}
	_, err = io.WriteString(w, b.String())
	return err
}

// field writes one cell as RFC 4180 has it, harmless in a spreadsheet.
func field(b *strings.Builder, text string, first *bool) {
	if !*first {
		b.WriteByte(',')
	}
	*first = false
	text = Harmless(text)
	if !strings.ContainsAny(text, "\",\r\n'") && strings.TrimSpace(text) == text {
		b.WriteString(text)
		return
	}
	b.WriteByte('"')
	b.WriteString(strings.ReplaceAll(text, `"`, `""`))
	b.WriteByte('"')
}

// What a formula begins with, what some programs strip before they look for it, and
// what begins a new cell where commas do not, as in much of Europe.
const (
	formula = "=+-@|%＝＋－＠"
	blank   = " \u00a0\u3000\""
	breaks  = ";\t\r\n"
)

// Harmless puts an apostrophe before what a spreadsheet would take for a formula in a
// cell of its own.
func Harmless(text string) string {
	var b strings.Builder
	if lead := strings.TrimLeft(text, blank); lead != "" && strings.ContainsRune(formula+breaks[1:], []rune(lead)[0]) {
		b.WriteByte('\'')
	}
	begins := false
	for _, r := range text {
		if begins && strings.ContainsRune(formula, r) {
			b.WriteByte('\'')
		}
		begins = strings.ContainsRune(breaks, r) || begins && strings.ContainsRune(blank, r)
		b.WriteRune(r)
	}
	return b.String()
}
