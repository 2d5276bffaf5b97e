package table_test

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tocsin-io/tocsin/table"
)

type row struct {
	name  string
	state string
	n     int
	note  string
}

var columns = []table.Column[row]{
	{Name: "name", Text: func(r *row) string { return r.name }},
	{Name: "state", Text: func(r *row) string { return r.state }, Word: true},
	{Name: "n", Text: func(r *row) string { return strconv.Itoa(r.n) }, Compare: func(a, b *row) int { return a.n - b.n }},
	{Name: "note", Text: func(r *row) string { return r.note }, Hidden: true},
}

func view(rows ...row) table.Table[row] {
	return table.Table[row]{Columns: columns, Load: func(context.Context, table.Query) ([]row, error) { return rows, nil }, Params: []string{"owner"}}
}

var some = []row{{"Box", "new", 10, "x"}, {"attic nas", "silent", 9, "hidden"}, {"nas", "connected", 100, ""}, {"NAS two", "new", 9, ""}}

func names(t *testing.T, v table.View, q table.Query) (list []string, a table.Answer) {
	t.Helper()
	a, err := v.Page(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range a.Rows.([]row) {
		list = append(list, r.name)
	}
	return list, a
}

func TestPage(t *testing.T) {
	for _, tt := range []struct {
		q     table.Query
		want  []string
		total int
	}{
		{table.Query{}, []string{"Box", "attic nas", "nas", "NAS two"}, 4},
		{table.Query{Desc: true}, []string{"NAS two", "nas", "attic nas", "Box"}, 4},
		{table.Query{Sort: "n"}, []string{"attic nas", "NAS two", "Box", "nas"}, 4},
		{table.Query{Sort: "n", Desc: true}, []string{"nas", "Box", "attic nas", "NAS two"}, 4},
		{table.Query{Sort: "name"}, []string{"attic nas", "Box", "nas", "NAS two"}, 4},
		{table.Query{Text: "Nas"}, []string{"attic nas", "nas", "NAS two"}, 3},
		{table.Query{Text: "nas new"}, []string{"NAS two"}, 1},
		{table.Query{Text: "hidden"}, nil, 0},
		{table.Query{Where: map[string]string{"state": "new"}}, []string{"Box", "NAS two"}, 2},
		{table.Query{Where: map[string]string{"state": "ne"}}, nil, 0},
		{table.Query{Where: map[string]string{"name": "TIC", "owner": "ada"}}, []string{"attic nas"}, 1},
		{table.Query{Where: map[string]string{"note": "x"}}, []string{"Box"}, 1},
		{table.Query{Sort: "n", Page: 2, Size: 3}, []string{"nas"}, 4},
		{table.Query{Page: 9, Size: 3}, nil, 4},
	} {
		got, a := names(t, view(some...), tt.q)
		if diff := cmp.Diff(tt.want, got); diff != "" || a.Total != tt.total || a.All != 4 {
			t.Errorf("%+v: %d of %d: %s", tt.q, a.Total, a.All, diff)
		}
	}
}

func TestMistakes(t *testing.T) {
	for _, q := range []table.Query{
		{Sort: "nothing"}, {Where: map[string]string{"nothing": "x"}}, {Size: table.MaxSize + 1}, {Size: -1}, {Page: -1}, {Page: 1 << 40},
		{Text: strings.Repeat("a ", table.MaxWords+1)},
	} {
		var wrong *table.Mistake
		if _, err := view(some...).Page(t.Context(), q); !errors.As(err, &wrong) {
			t.Errorf("%+v: %v", q, err)
		}
	}
	failed := errors.New("no rows")
	v := table.Table[row]{Columns: columns, Load: func(context.Context, table.Query) ([]row, error) { return nil, failed }}
	if _, err := v.Page(t.Context(), table.Query{}); !errors.Is(err, failed) {
		t.Error(err)
	}
	if err := v.CSV(t.Context(), table.Query{}, &bytes.Buffer{}); !errors.Is(err, failed) {
		t.Error(err)
	}
}

// TestCSV: what comes out is read back as it was, but for what a spreadsheet would run.
func TestCSV(t *testing.T) {
	texts := []string{
		`=HYPERLINK("http://198.51.100.1")`, "+1", "-1", "@SUM(A1)", "\tx", "\r=1", "  =1+1", "＝1", "|cmd", "'quoted", "",
		`a "b", c`, "two\nlines", " blank ", "plain", "été", "192.0.2.1/32",
	}
	var rows []row
	for i, text := range texts {
		rows = append(rows, row{name: text, n: i})
	}
	v := view(rows...)
	v.Finish = func(_ context.Context, rows []row) error {
		for i := range rows {
			rows[i].state = "finished"
		}
		return nil
	}
	var b bytes.Buffer
	if err := v.CSV(t.Context(), table.Query{}, &b); err != nil {
		t.Fatal(err)
	}
	list, err := csv.NewReader(&b).ReadAll()
	if err != nil || len(list) != len(texts)+1 || strings.Join(list[0], " ") != "name state n" {
		t.Fatalf("%d lines, %v", len(list), err)
	}
	for i, text := range texts {
		got := list[i+1]
		if trimmed := strings.TrimLeft(got[0], " "); trimmed != "" && strings.ContainsRune("=+-@\t\r|%＝", []rune(trimmed)[0]) {
			t.Errorf("%q would be run", got[0])
		}
		if plain := strings.ReplaceAll(got[0], "'", ""); plain != strings.ReplaceAll(text, "'", "") || got[1] != "finished" || got[2] != fmt.Sprint(i) {
			t.Errorf("%q came out as %q", text, got)
		}
	}
	if rows[0].state != "" {
		t.Error("what was loaded was changed")
	}
}

// TestCSVWhereCommasAreNoSeparators: a program that cuts the same file at semicolons or
// tabs finds no formula in it either, as one set to French or German does.
func TestCSVWhereCommasAreNoSeparators(t *testing.T) {
	var rows []row
	for _, text := range []string{"bob;=1+1", "bob; +1", "bob;\"=1+1\"", "bob\t=1+1", "bob\n=1+1", "bob;;@SUM(A1)", ";=1", "a;b=1", "bob;＝1"} {
		rows = append(rows, row{name: text, state: "x"})
	}
	var b bytes.Buffer
	if err := view(rows...).CSV(t.Context(), table.Query{}, &b); err != nil {
		t.Fatal(err)
	}
	for cell := range strings.FieldsFuncSeq(b.String(), func(r rune) bool { return strings.ContainsRune(";\t\r\n", r) }) {
		if lead := strings.TrimLeft(cell, " \""); lead != "" && strings.ContainsRune("=+-@＝", []rune(lead)[0]) {
			t.Errorf("%q would be run", cell)
		}
	}
	if !strings.Contains(b.String(), "a;b=1") {
		t.Error("what is harmless is changed")
	}
}

func BenchmarkPage(b *testing.B) {
	rows := make([]row, 100_000)
	for i := range rows {
		rows[i] = row{name: fmt.Sprintf("192.0.%d.%d", i>>8, i&255), n: i * 7919 % 100_000, state: "new"}
	}
	for name, q := range map[string]table.Query{"plain": {}, "text": {Text: "192.0.77"}, "sort": {Sort: "n", Desc: true}, "sort by text": {Sort: "name"}} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := view(rows...).Page(b.Context(), q); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
