package replay

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/internal/window"
	"github.com/tocsin-io/tocsin/logsource"
)

// hold is how many attempts are read ahead to be put into order: those of a
// smaller trace may come in any.
const hold = 1 << 17

// maxName bounds the names of services, devices and owners, in bytes.
const maxName = 255

// A Reader reads a trace: one attempt a line as JSON, with the names that tocsin
// scan prints, and device, owner, label and unknown besides. What it reads ahead is
// bounded.
type Reader struct {
	r      io.Reader
	lines  logsource.Lines
	number int // of the line read last
	ahead  []Attempt
	next   int // in ahead
	ready  int // ahead[next:ready] is in order, and nothing earlier follows
	ended  bool
	last   time.Time
	texts  map[string]string
}

// NewReader returns a Reader of r.
func NewReader(r io.Reader) *Reader { return &Reader{r: r} }

// Next returns the attempts in the order of their times, those of one time in
// the order of their lines; [io.EOF] ends them. Any other error names the line.
func (r *Reader) Next() (Attempt, error) {
	if r.next == r.ready {
		if err := r.fill(); err != nil {
			return Attempt{}, err
		}
	}
	a := r.ahead[r.next]
	r.next++
	if a.At.Before(r.last) {
		return Attempt{}, fmt.Errorf("line %d: %s is earlier than %s, more than %d attempts before it: sort the trace by time",
			a.Line, a.At.Format(time.RFC3339), r.last.Format(time.RFC3339), hold/2)
	}
	r.last = a.At
	return a, nil
}

// fill reads ahead and puts into order what is played next.
func (r *Reader) fill() error {
	r.ahead = r.ahead[:copy(r.ahead, r.ahead[r.next:])]
	r.next, r.ready = 0, 0
	for !r.ended && len(r.ahead) < hold {
		if err := r.read(); err != nil {
			return err
		}
	}
	if len(r.ahead) == 0 {
		return io.EOF
	}
	byTime := func(a, b Attempt) int { return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Line, b.Line)) }
	if !slices.IsSortedFunc(r.ahead, byTime) {
		slices.SortFunc(r.ahead, byTime)
	}
	r.ready = len(r.ahead)
	if !r.ended {
		r.ready = hold / 2
	}
	return nil
}

// read reads some lines.
func (r *Reader) read() error {
	n, err := r.r.Read(r.lines.Space())
	r.lines.Fill(n)
	for {
		text, cut, ok := r.lines.Next()
		if !ok {
			break
		}
		if err := r.line(text, cut); err != nil {
			return err
		}
	}
	if err == nil {
		return nil
	}
	if err != io.EOF {
		return fmt.Errorf("after line %d: %w", r.number, err)
	}
	r.ended = true
	if text, cut, ok := r.lines.Rest(); ok {
		return r.line(text, cut)
	}
	return nil
}

func (r *Reader) line(text []byte, cut bool) error {
	r.number++
	if cut {
		return fmt.Errorf("line %d is longer than %d bytes", r.number, logsource.MaxLine)
	}
	if len(text) == 0 {
		return nil
	}
	a, err := r.parse(text)
	if err != nil {
		return fmt.Errorf("line %d: %w", r.number, err)
	}
	a.Line = r.number
	r.ahead = append(r.ahead, a)
	return nil
}

// A line of a trace; whatever else it holds is ignored.
type line struct {
	Time    string `json:"time"`
	Service string `json:"service"`
	Outcome string `json:"outcome"`
	Source  string `json:"source"`
	Port    uint16 `json:"port"`
	Account string `json:"account"`
	Device  string `json:"device"`
	Owner   string `json:"owner"`
	Label   string `json:"label"`
	Unknown bool   `json:"unknown"`
}

// benign labels attempts by people who belong there.
const benign = "benign"

func (r *Reader) parse(text []byte) (Attempt, error) {
	var l line
	if !r.fast(text, &l) {
		l = line{}
		if err := json.Unmarshal(text, &l); err != nil {
			return Attempt{}, plain(err)
		}
	}
	return l.attempt()
}

// attempt checks what a line says.
func (l *line) attempt() (Attempt, error) {
	at, err := time.Parse(time.RFC3339, l.Time)
	if err != nil || at.Unix() <= 0 || at.Unix() >= 1<<32 {
		return Attempt{}, fmt.Errorf("time %q is no time such as 2023-10-14T06:00:00Z, between 1970 and 2106", clip(l.Time))
	}
	source, err := netip.ParseAddr(l.Source)
	if err != nil {
		return Attempt{}, fmt.Errorf("source %q is no address", clip(l.Source))
	}
	source = source.Unmap().WithZone("")
	if _, ok := window.Key(source); !ok {
		return Attempt{}, fmt.Errorf("source %q: nobody connects from there", clip(l.Source))
	}
	a := Attempt{Owner: tocsin.OwnerID(l.Owner), Benign: l.Label == benign, Attempt: tocsin.Attempt{
		At: at.UTC(), Device: tocsin.DeviceID(l.Device), Service: tocsin.Service(l.Service),
		Source: netip.AddrPortFrom(source, l.Port), Account: l.Account[:min(len(l.Account), tocsin.MaxAccount)], Unknown: l.Unknown,
	}}
	for o := tocsin.Failure; o <= tocsin.Probe; o++ {
		if l.Outcome == o.String() {
			a.Outcome = o
		}
	}
	if a.Outcome == 0 {
		return Attempt{}, fmt.Errorf("outcome %q is not failure, success or probe", clip(l.Outcome))
	}
	for _, name := range []string{l.Service, l.Device, l.Owner} {
		if len(name) > maxName {
			return Attempt{}, fmt.Errorf("%q... is longer than %d bytes", clip(name), maxName)
		}
	}
	return a, nil
}

// plain says what is wrong with JSON without the words of Go.
func plain(err error) error {
	wrong, ok := errors.AsType[*json.UnmarshalTypeError](err)
	switch {
	case ok && wrong.Field != "":
		what := "text"
		switch wrong.Field {
		case "port":
			what = "a number from 0 to 65535"
		case "unknown":
			what = "true or false"
		}
		return fmt.Errorf("%s must be %s, not a JSON %s", wrong.Field, what, wrong.Value)
	case ok:
		return fmt.Errorf("an attempt is a JSON object, not a JSON %s", wrong.Value)
	}
	return fmt.Errorf("not an attempt as JSON: %w", err)
}

// clip cuts what is quoted to a person.
func clip(s string) string { return s[:min(len(s), 64)] }
