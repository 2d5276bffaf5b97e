package incident

import (
	"bufio"
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// fields are the columns of Zeek's conn.log, with their types.
var fields = [][2]string{
	{"ts", "time"}, {"uid", "string"}, {"id.orig_h", "addr"}, {"id.orig_p", "port"}, {"id.resp_h", "addr"}, {"id.resp_p", "port"},
	{"proto", "enum"}, {"service", "string"}, {"duration", "interval"}, {"orig_bytes", "count"}, {"resp_bytes", "count"},
	{"conn_state", "string"}, {"local_orig", "bool"}, {"local_resp", "bool"}, {"missed_bytes", "count"}, {"history", "string"},
	{"orig_pkts", "count"}, {"orig_ip_bytes", "count"}, {"resp_pkts", "count"}, {"resp_ip_bytes", "count"}, {"tunnel_parents", "set[string]"},
}

// unset stands for a value that Zeek does not know.
const unset = "-"

var stateWords = [...]string{finished: "SF", unanswered: "S0", rejected: "REJ", cut: "RSTO"}

var histories = [...]string{finished: "ShADadFf", unanswered: "S", rejected: "Sr", cut: "ShADadR"}

// writeFlows writes the connections as Zeek does: in columns, or as JSON.
func (w *world) writeFlows(ctx context.Context, out *bufio.Writer, asJSON bool) error {
	stamp := func(s int64) string { return time.Unix(s, 0).UTC().Format("2006-01-02-15-04-05") }
	if !asJSON {
		var names, types []string
		for _, f := range fields {
			names, types = append(names, f[0]), append(types, f[1])
		}
		fmt.Fprintf(out, "#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n#path\tconn\n#open\t%s\n#fields\t%s\n#types\t%s\n",
			stamp(w.start), strings.Join(names, "\t"), strings.Join(types, "\t"))
	}
	r := w.random(partIDs, 0)
	var row [21]string
	var line []byte
	for i := range w.flows {
		if i%16384 == 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
			w.c.Progress("writing connections", i, len(w.flows))
		}
		w.row(&w.flows[i], id(r.Uint64(), r.Uint64()), &row)
		if asJSON {
			line = jsonRow(line[:0], &row)
		} else {
			line = tabRow(line[:0], &row)
		}
		if _, err := out.Write(line); err != nil {
			return err
		}
	}
	if !asJSON {
		fmt.Fprintf(out, "#close\t%s\n", stamp(w.end))
	}
	return nil
}

// id returns what Zeek calls a connection: C and 17 letters and digits.
func id(a, b uint64) string {
	const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	var text [18]byte
	text[0] = 'C'
	for i := 1; i < len(text); i++ {
		if i == 9 {
			a = b
		}
		text[i] = digits[a%62]
		a /= 62
	}
	return string(text[:])
}

// row fills the columns of f.
func (w *world) row(f *flow, uid string, row *[21]string) {
	to := &w.net.list[f.to]
	number := func(n uint32) string { return strconv.FormatUint(uint64(n), 10) }
	*row = [21]string{
		decimals(f.start), uid, w.devices[f.device].address.String(), number(uint32(f.port)), to.to.Addr().String(), number(uint32(to.to.Port())),
		"tcp", unset, decimals(int64(f.millis) * 1000), number(f.sent), number(f.received), stateWords[f.state], "T", "F", "0", histories[f.state],
	}
	if to.protocol == 17 {
		row[6] = "udp"
		row[15] = map[bool]string{true: "D", false: "Dd"}[f.state == unanswered]
		if f.state == cut { // there is nothing to reset
			row[11] = stateWords[finished]
		}
	}
	if to.service != "" && f.state != unanswered && f.state != rejected {
		row[7] = to.service
	}
	if f.state == unanswered {
		row[8], row[9], row[10] = unset, unset, unset
	}
	sent, received := packets(f.sent), packets(f.received)
	switch f.state {
	case unanswered:
		received = 0
	case rejected:
		received = 1
	}
	row[16], row[17] = number(sent), number(f.sent+40*sent)
	row[18], row[19] = number(received), number(f.received+40*received)
	row[20] = unset
}

func packets(bytes uint32) uint32 { return 1 + bytes/1400 + min(bytes, 3) }

// decimals writes microseconds as seconds.
func decimals(micros int64) string { return fmt.Sprintf("%d.%06d", micros/1e6, micros%1e6) }

func tabRow(line []byte, row *[21]string) []byte {
	for i, cell := range row {
		if i > 0 {
			line = append(line, '\t')
		}
		line = append(line, cell...)
	}
	return append(line, '\n')
}

// jsonRow leaves out what is not known, as Zeek does.
func jsonRow(line []byte, row *[21]string) []byte {
	line = append(line, '{')
	for i, cell := range row {
		if cell == unset {
			continue
		}
		if i > 0 {
			line = append(line, ',')
		}
		line = append(line, '"')
		line = append(line, fields[i][0]...)
		line = append(line, `":`...)
		switch fields[i][1] {
		case "time", "interval", "count", "port":
			line = append(line, cell...)
		case "bool":
			line = append(line, map[string]string{"T": "true", "F": "false"}[cell]...)
		default:
			line = append(line, '"')
			line = append(line, cell...) // no cell has anything to escape
			line = append(line, '"')
		}
	}
	return append(line, "}\n"...)
}
