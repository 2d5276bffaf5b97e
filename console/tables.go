package console

import (
	"cmp"
	"context"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/store"
	"github.com/tocsin-io/tocsin/table"
)

// Tables implements [api.Console].
func (p *Part) Tables() map[string]api.Table { return p.tables }

func (p *Part) allTables() map[string]api.Table {
	return map[string]api.Table{
		"rules":       {View: p.ruleTable(), Role: store.Viewer},
		"devices":     {View: p.deviceTable(), Role: store.Viewer},
		"sources":     {View: p.sourceTable(), Role: store.Viewer},
		"campaigns":   {View: p.campaignTable(), Role: store.Viewer},
		"members":     {View: p.memberTable(), Role: store.Viewer},
		"targets":     {View: p.targetTable(), Role: store.Viewer},
		"controllers": {View: p.controllerTable(), Role: store.Viewer},
		"compromise":  {View: p.compromiseTable(), Role: store.Viewer},
		"cases":       {View: p.caseTable(), Role: store.Viewer},
		"notices":     {View: p.noticeTable(), Role: store.Analyst},
		"passes":      {View: p.passTable(), Role: store.Analyst},
		"accesses":    {View: p.accessTable(), Role: store.Admin},
	}
}

// errNone says that the hub does not answer to attacks.
var errNone = api.Refuse(http.StatusNotFound, "this hub does not serve it")

// The makers of columns: texts are searched in part, words filtered as a whole.

func text[R any](name string, of func(*R) string) table.Column[R] {
	return table.Column[R]{Name: name, Text: of}
}

func words[R any](name string, of func(*R) string) table.Column[R] {
	return table.Column[R]{Name: name, Text: of, Word: true}
}

func number[R any, N int | int64 | uint32 | uint64 | float64](name string, of func(*R) N) table.Column[R] {
	return table.Column[R]{
		Name: name, Word: true, Quiet: name != "network" && name != "port" && name != "number",
		Text: func(r *R) string {
			switch v := any(of(r)).(type) {
			case float64:
				return strconv.FormatFloat(v, 'g', 6, 64)
			case uint64:
				return strconv.FormatUint(v, 10)
			case uint32:
				return strconv.FormatUint(uint64(v), 10)
			case int64:
				return strconv.FormatInt(v, 10)
			case int:
				return strconv.Itoa(v)
			}
			return ""
		},
		Compare: func(a, b *R) int { return cmp.Compare(of(a), of(b)) },
	}
}

func when[R any](name string, of func(*R) time.Time) table.Column[R] {
	return table.Column[R]{
		Name: name, Quiet: true,
		Text: func(r *R) string {
			if t := of(r); !t.IsZero() {
				return t.UTC().Format(time.RFC3339)
			}
			return ""
		},
		Compare: func(a, b *R) int { return of(a).Compare(of(b)) },
	}
}

func prefix[R any](name string, of func(*R) netip.Prefix) table.Column[R] {
	return table.Column[R]{
		Name: name,
		Text: func(r *R) string {
			if p := of(r); p.IsValid() {
				return p.String()
			}
			return ""
		},
		Compare: func(a, b *R) int { return of(a).Compare(of(b)) },
	}
}

func yes[R any](name string, of func(*R) bool) table.Column[R] {
	return words(name, func(r *R) string {
		if of(r) {
			return "1"
		}
		return "0"
	})
}

// joined writes a list as one text.
func joined[S ~string](list []S) string {
	parts := make([]string, len(list))
	for i, s := range list {
		parts[i] = string(s)
	}
	return strings.Join(parts, " ")
}

// loading adapts what needs no query.
func loading[R any](load func(context.Context) ([]R, error)) func(context.Context, table.Query) ([]R, error) {
	return func(ctx context.Context, _ table.Query) ([]R, error) { return load(ctx) }
}

func pointer(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func timeOf(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}
