package api

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tocsin-io/tocsin/store"
	"github.com/tocsin-io/tocsin/table"
)

// A Table is one that people may ask for at GET /v1/tables/{name}, from that role on.
type Table struct {
	table.View
	Role store.Role
}

// maxWhere bounds the filters of one query.
const maxWhere = 16

// table answers a page of a table, or all that a filter leaves of it as CSV.
func (a *API) table(c *call) (any, error) {
	name := c.r.PathValue("name")
	t, ok := a.Tables[name]
	if !ok && a.Console != nil {
		t, ok = a.Console.Tables()[name]
	}
	if !ok {
		return nil, Refuse(http.StatusNotFound, "there is no table of that name here: /openapi.json names those there are")
	}
	need := whoOf(t.Role)
	if need == anybody { // nobody said
		need = admin
	}
	if err := c.needs(need); err != nil {
		return nil, err
	}
	q, format, err := c.query()
	if err != nil {
		return nil, err
	}
	if format == "csv" {
		done, err := a.dear(c)
		if err != nil {
			return nil, err
		}
		defer done()
		file := "tocsin-" + name + "-" + c.at.UTC().Format("20060102T150405Z") + ".csv"
		return answered, ofTable(t.CSV(c.r.Context(), q, c.stream("text/csv; charset=utf-8", file)))
	}
	_ = http.NewResponseController(c.w).SetWriteDeadline(time.Now().Add(2 * writeTime)) // where there is none to set, none is needed
	ctx, cancel := context.WithTimeout(c.r.Context(), writeTime)
	defer cancel()
	select {
	case a.sorting <- struct{}{}:
		defer func() { <-a.sorting }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	page, err := t.Page(ctx, q)
	return result(page, ofTable(err))
}

// ofTable makes a mistake in a query the asker's to know.
func ofTable(err error) error {
	if wrong := (*table.Mistake)(nil); errors.As(err, &wrong) {
		return badRequest("%v", wrong)
	}
	return err
}

// query reads what of a table is wanted: whatever is not a name of its own filters a
// column.
func (c *call) query() (q table.Query, format string, err error) {
	q.Where = map[string]string{}
	for key, values := range c.r.URL.Query() {
		value := values[0]
		if len(values) > 1 || !word(value, 2*maxText) || !word(key, maxText) {
			return q, "", badRequest("%s: want it once, with at most %d printable bytes", strings.ToValidUTF8(key[:min(len(key), maxText)], "?"), 2*maxText)
		}
		switch key {
		case "q":
			q.Text = value
		case "sort":
			q.Sort = value
		case "desc":
			q.Desc = value == "1" || value == "true"
		case "page":
			q.Page, err = number(key, value)
		case "size":
			q.Size, err = number(key, value)
		case "format":
			if format = value; !slices.Contains([]string{"", "json", "csv"}, format) {
				err = badRequest("format: want json or csv")
			}
		default:
			if value != "" {
				q.Where[key] = value
			}
		}
		if err != nil {
			return q, "", err
		}
	}
	if len(q.Where) > maxWhere {
		return q, "", badRequest("want at most %d filters", maxWhere)
	}
	return q, format, nil
}

func number(key, text string) (int, error) {
	if text == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return 0, badRequest("%s: want a number from 1", key)
	}
	return n, nil
}
