package zeek

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// A column is one that is read.
type column uint8

const (
	colTime column = iota
	colFrom
	colTo
	colPort
	colProtocol
	colDuration
	colSent
	colReceived
	colState
	columns // how many
)

var columnNames = [columns]string{
	colTime: "ts", colFrom: "id.orig_h", colTo: "id.resp_h", colPort: "id.resp_p", colProtocol: "proto",
	colDuration: "duration", colSent: "orig_bytes", colReceived: "resp_bytes", colState: "conn_state",
}

// must are the columns without which no connection can be told.
var must = []column{colTime, colFrom, colTo, colPort, colProtocol}

// maxColumns bounds a header: Zeek writes some twenty.
const maxColumns = 1000

// A header is what the lines that begin with # say. A log that was put together
// from several has several, each for what follows it.
type header struct {
	separator []byte
	unset     []byte
	empty     []byte
	columns   []column // what each field is; columns where it is not read
}

// read takes one line of the header.
func (h *header) read(text []byte) error {
	if h.separator == nil {
		h.separator, h.unset, h.empty = []byte("\t"), []byte("-"), []byte("(empty)")
	}
	if rest, ok := bytes.CutPrefix(text, []byte("#separator ")); ok {
		sep, err := separator(string(rest))
		if err != nil {
			return err
		}
		*h = header{separator: sep, unset: []byte("-"), empty: []byte("(empty)")}
		return nil
	}
	name, value, _ := bytes.Cut(text, h.separator)
	switch string(name) {
	case "#unset_field":
		h.unset = bytes.Clone(value)
	case "#empty_field":
		h.empty = bytes.Clone(value)
	case "#path":
		if !isConn(string(value)) {
			return fmt.Errorf("#path is %.40q: this is another log of Zeek than conn", value)
		}
	case "#fields":
		return h.name(strings.Split(string(value), string(h.separator)))
	}
	return nil
}

// isConn reports whether path names a log of connections; Zeek may filter them
// into several, such as conn_long.
func isConn(path string) bool { return path == "conn" || strings.HasPrefix(path, "conn_") }

// separator reads what #separator says, such as \x09.
func separator(text string) ([]byte, error) {
	var sep []byte
	for len(text) > 0 {
		if strings.HasPrefix(text, `\x`) && len(text) >= 4 {
			n, err := strconv.ParseUint(text[2:4], 16, 8)
			if err != nil {
				return nil, fmt.Errorf("#separator %.20q: want bytes such as \\x09", text)
			}
			sep, text = append(sep, byte(n)), text[4:]
			continue
		}
		sep, text = append(sep, text[0]), text[1:]
	}
	if len(sep) == 0 || len(sep) > 16 {
		return nil, errors.New("#separator: want bytes such as \\x09")
	}
	return sep, nil
}

func (h *header) name(names []string) error {
	if len(names) > maxColumns {
		return fmt.Errorf("#fields names %d columns, at most %d", len(names), maxColumns)
	}
	cols := make([]column, len(names))
	var seen [columns]bool
	for i, n := range names {
		cols[i] = columns
		for c, want := range columnNames {
			if n == want && seen[c] {
				return fmt.Errorf("#fields names %s twice", n)
			}
			if n == want {
				cols[i], seen[c] = column(c), true
			}
		}
	}
	var missing []string
	for _, c := range must {
		if !seen[c] {
			missing = append(missing, columnNames[c])
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("#fields lacks %s", strings.Join(missing, ", "))
	}
	h.columns = cols
	return nil
}
