package api

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/tocsin-io/tocsin/store"
	"github.com/tocsin-io/tocsin/table"
)

// peopleTables are those of who may sign in, and of what they did.
func (a *API) peopleTables() map[string]Table {
	tables := map[string]Table{}
	if a.SignIn != nil {
		tables["users"] = Table{table.Table[User]{Columns: userColumns, Load: func(ctx context.Context, _ table.Query) ([]User, error) {
			return a.Users(ctx)
		}}, store.Admin}
	}
	if a.Ledger != nil {
		m := &deedMemory{ledger: a.Ledger}
		tables["log"] = Table{table.Table[Deed]{Columns: deedColumns, Load: m.load}, store.Analyst}
	}
	return tables
}

// mostDeeds is how far back the table of the log reaches: `tocsin log show` reads all
// of it.
const mostDeeds = 20_000

// A deedMemory keeps the newest entries: the log only grows, so only what is new
// is read from the disk.
type deedMemory struct {
	ledger store.Ledger

	mu   sync.Mutex // guards what is below
	rows []Deed     // oldest first
}

// load returns the newest entries, newest first.
func (m *deedMemory) load(ctx context.Context, _ table.Query) ([]Deed, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.rows) == 0 {
		entries, err := m.ledger.LastEntries(ctx, 0, mostDeeds)
		if err != nil {
			return nil, err
		}
		for _, e := range slices.Backward(entries) {
			m.rows = append(m.rows, DeedOf(e))
		}
	} else {
		for e, err := range m.ledger.Entries(ctx, m.rows[len(m.rows)-1].Serial) {
			if err != nil {
				return nil, err
			}
			m.rows = append(m.rows, DeedOf(e))
		}
	}
	if more := len(m.rows) - mostDeeds; more > mostDeeds/10 {
		m.rows = slices.Clone(m.rows[more:])
	}
	list := slices.Clone(m.rows[max(0, len(m.rows)-mostDeeds):])
	slices.Reverse(list)
	return list, nil
}

func clockText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

func truth(b bool) string {
	if b {
		return "1"
	}
	return "0"
}

var userColumns = []table.Column[User]{
	{Name: "name", Text: func(u *User) string { return u.Name }},
	{Name: "role", Text: func(u *User) string { return string(u.Role) }, Word: true},
	{Name: "made", Text: func(u *User) string { return clockText(u.Made) }},
	{Name: "last", Text: func(u *User) string { return clockText(u.Last) }},
	{Name: "off", Text: func(u *User) string { return truth(u.Off) }, Word: true},
	{Name: "sessions", Text: func(u *User) string { return strconv.Itoa(u.Sessions) }, Compare: func(a, b *User) int { return a.Sessions - b.Sessions }, Word: true},
	{Name: "waiting", Text: func(u *User) string { return truth(u.Waiting) }, Word: true},
}

var deedColumns = []table.Column[Deed]{
	{
		Name: "serial", Text: func(d *Deed) string { return strconv.FormatUint(d.Serial, 10) }, Word: true,
		Compare: func(a, b *Deed) int { return cmp.Compare(a.Serial, b.Serial) },
	},
	{Name: "at", Text: func(d *Deed) string { return clockText(d.At) }, Compare: func(a, b *Deed) int { return cmp.Compare(a.Serial, b.Serial) }},
	{Name: "by", Text: func(d *Deed) string { return d.By }},
	{Name: "how", Text: func(d *Deed) string { return d.How }, Word: true},
	{Name: "from", Text: func(d *Deed) string {
		if !d.From.IsValid() {
			return ""
		}
		return d.From.String()
	}},
	{Name: "did", Text: func(d *Deed) string { return d.Did }},
	{Name: "path", Text: func(d *Deed) string { return d.Path }},
	{Name: "outcome", Text: func(d *Deed) string { return d.Outcome }},
	{Name: "hash", Text: func(d *Deed) string { return d.Hash }},
}
