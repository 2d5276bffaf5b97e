package play

import (
	"bytes"
	"strconv"
	"time"
)

// Columns of conn.log as package sim/incident writes it.
const (
	columnStart    = 0
	columnDuration = 8
)

// A flow is what a line of conn.log tells of times.
type flow struct {
	starts, ends time.Time
	cells        [][]byte
}

// flowOf reads the times of a line of conn.log; one of its head has none.
func flowOf(line []byte) (f flow, ok bool) {
	if len(line) == 0 || line[0] == '#' {
		return f, false
	}
	f.cells = bytes.Split(line, []byte{'\t'})
	if len(f.cells) <= columnDuration {
		return f, false
	}
	start, ok := micros(f.cells[columnStart])
	if !ok {
		return f, false
	}
	lasted, _ := micros(f.cells[columnDuration]) // "-" where nothing was answered
	f.starts = time.UnixMicro(start).UTC()
	f.ends = f.starts.Add(time.Duration(lasted) * time.Microsecond)
	return f, true
}

// micros reads seconds with six decimals.
func micros(cell []byte) (int64, bool) {
	whole, part, ok := bytes.Cut(cell, []byte{'.'})
	if !ok || len(part) != 6 {
		return 0, false
	}
	n, err := strconv.ParseInt(string(whole)+string(part), 10, 64)
	return n, err == nil
}

// reflow appends a line of conn.log with its times moved.
func reflow(out, line []byte, move func(time.Time) time.Time) []byte {
	f, ok := flowOf(line)
	if !ok {
		for _, word := range []string{"#open\t", "#close\t"} {
			if rest, ok := bytes.CutPrefix(line, []byte(word)); ok {
				if t, err := time.Parse(opened, string(rest)); err == nil {
					return move(t).UTC().AppendFormat(append(out, word...), opened)
				}
			}
		}
		return append(out, line...)
	}
	starts, ends := move(f.starts), move(f.ends)
	for i, cell := range f.cells {
		if i > 0 {
			out = append(out, '\t')
		}
		switch {
		case i == columnStart:
			out = decimals(out, starts.UnixMicro())
		case i == columnDuration && len(cell) > 1:
			out = decimals(out, ends.Sub(starts).Microseconds())
		default:
			out = append(out, cell...)
		}
	}
	return out
}

// decimals appends microseconds as seconds.
func decimals(out []byte, n int64) []byte {
	out = strconv.AppendInt(out, n/1e6, 10)
	part := strconv.AppendInt(nil, 1e6+n%1e6, 10)
	part[0] = '.'
	return append(out, part...)
}
