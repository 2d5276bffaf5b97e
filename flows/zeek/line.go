package zeek

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/tocsin-io/tocsin/contact"
)

// tsv reads one line of tab-separated text. It must have as many fields as the
// header names: one that was cut off tells nothing for certain.
func (p *parser) tsv(text []byte) (contact.Flow, error) {
	cols := p.header.columns
	var raw [columns][]byte
	n := 0
	for rest, more := text, true; more; n++ {
		var field []byte
		field, rest, more = bytes.Cut(rest, p.header.separator)
		if n < len(cols) && cols[n] < columns && !bytes.Equal(field, p.header.unset) && !bytes.Equal(field, p.header.empty) {
			raw[cols[n]] = field
		}
	}
	if n != len(cols) {
		return contact.Flow{}, fmt.Errorf("%d fields, and #fields names %d", n, len(cols))
	}
	return flow(&raw)
}

// A record is a connection as JSON.
type record struct {
	Path     string `json:"_path"`
	Time     field  `json:"ts"`
	From     field  `json:"id.orig_h"`
	To       field  `json:"id.resp_h"`
	Port     field  `json:"id.resp_p"`
	Protocol field  `json:"proto"`
	Duration field  `json:"duration"`
	Sent     field  `json:"orig_bytes"`
	Received field  `json:"resp_bytes"`
	State    field  `json:"conn_state"`
}

// forget empties r and keeps its memory.
func (r *record) forget() {
	r.Path = ""
	for _, f := range []*field{&r.Time, &r.From, &r.To, &r.Port, &r.Protocol, &r.Duration, &r.Sent, &r.Received, &r.State} {
		*f = (*f)[:0]
	}
}

// A field is a number or a string without its quotes; null is none.
type field []byte

// UnmarshalJSON takes a string, a number or null.
func (f *field) UnmarshalJSON(b []byte) error {
	*f = (*f)[:0]
	switch {
	case string(b) == "null":
		return nil
	case len(b) > 1 && b[0] == '"' && bytes.IndexByte(b, '\\') < 0:
		*f = append(*f, b[1:len(b)-1]...)
		return nil
	case len(b) > 0 && (b[0] == '-' || b[0] >= '0' && b[0] <= '9'):
		*f = append(*f, b...)
		return nil
	}
	return fmt.Errorf("%.40s: want a number or a plain string", b)
}

func (p *parser) json(text []byte) (contact.Flow, error) {
	r := &p.record
	r.forget()
	if err := json.Unmarshal(text, r); err != nil {
		return contact.Flow{}, fmt.Errorf("not JSON: %w", err)
	}
	if r.Path != "" && !isConn(r.Path) {
		return contact.Flow{}, errOther
	}
	return flow(&[columns][]byte{
		colTime: r.Time, colFrom: r.From, colTo: r.To, colPort: r.Port, colProtocol: r.Protocol,
		colDuration: r.Duration, colSent: r.Sent, colReceived: r.Received, colState: r.State,
	})
}

// flow puts a connection together. A field that is unset is empty.
func flow(raw *[columns][]byte) (f contact.Flow, err error) {
	for _, c := range must {
		if len(raw[c]) == 0 {
			return f, fmt.Errorf("%s is not set", columnNames[c])
		}
	}
	if f.Protocol = protocol(raw[colProtocol]); f.Protocol == 0 {
		return f, errOther
	}
	if f.Start, err = parseTime(raw[colTime]); err != nil {
		return f, wrong(colTime, raw, err)
	}
	if f.From, err = address(raw[colFrom]); err != nil {
		return f, wrong(colFrom, raw, err)
	}
	to, err := address(raw[colTo])
	if err != nil {
		return f, wrong(colTo, raw, err)
	}
	port, err := strconv.ParseUint(string(raw[colPort]), 10, 16)
	if err != nil {
		return f, wrong(colPort, raw, err)
	}
	f.To = netip.AddrPortFrom(to, uint16(port))
	lasted, err := interval(raw[colDuration])
	if err != nil {
		return f, wrong(colDuration, raw, err)
	}
	f.End = f.Start.Add(lasted)
	if f.Sent, err = size(raw[colSent]); err != nil {
		return f, wrong(colSent, raw, err)
	}
	if f.Received, err = size(raw[colReceived]); err != nil {
		return f, wrong(colReceived, raw, err)
	}
	f.Failed = failed(raw[colState])
	return f, nil
}

// wrong says which field could not be read. The errors of strconv and netip
// repeat the whole field, which may be long.
func wrong(c column, raw *[columns][]byte, err error) error {
	text := err.Error()
	if i := strings.LastIndex(text, ": "); i >= 0 {
		text = text[i+2:]
	}
	return fmt.Errorf("%s %.60q: %.80s", columnNames[c], raw[c], text)
}

func protocol(b []byte) uint8 {
	switch string(b) {
	case "tcp":
		return 6
	case "udp":
		return 17
	case "sctp":
		return 132
	}
	return 0
}

// address reads one, unmapped and without a zone.
func address(b []byte) (netip.Addr, error) {
	a, err := netip.ParseAddr(string(b))
	return a.Unmap().WithZone(""), err
}

// maxInterval bounds how long a connection may have lasted to be believed.
const maxInterval = 10 * 365 * 24 * time.Hour

func interval(b []byte) (time.Duration, error) {
	if len(b) == 0 {
		return 0, nil
	}
	s, err := strconv.ParseFloat(string(b), 64)
	if err != nil {
		return 0, err
	}
	if !(s >= 0 && s <= maxInterval.Seconds()) {
		return 0, errors.New("want seconds, at most ten years")
	}
	return time.Duration(s * 1e9).Round(time.Microsecond), nil
}

func size(b []byte) (uint64, error) {
	if len(b) == 0 {
		return 0, nil
	}
	return strconv.ParseUint(string(b), 10, 64)
}

// failed reports whether a connection was refused or never answered: asked
// without an answer (and given up by FIN or RST), or rejected.
func failed(state []byte) bool {
	switch string(state) {
	case "S0", "REJ", "SH", "RSTOS0":
		return true
	}
	return false
}
