// Package zeek reads the conn.log of Zeek: the connections that a network
// monitor saw, as tab-separated text with its header or as JSON lines, with
// times as seconds or milliseconds since 1970 or as ISO 8601 with any zone.
//
// A line that cannot be understood is counted and passed over, and costs no
// other line. It opens no file and keeps no flow: whoever calls says what
// becomes of each.
package zeek

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/tocsin-io/tocsin/contact"
	"github.com/tocsin-io/tocsin/logsource"
)

// ErrNoHeader is what [Read] wraps when a text does not begin as a conn.log does.
var ErrNoHeader = errors.New("not a conn.log of Zeek: no line #fields before the first connection, and not JSON either")

// Stats say what [Read] met.
type Stats struct {
	Lines    int
	Flows    int   // given to the caller
	Other    int   // connections without ports, such as ICMP, and JSON lines of other logs
	Bad      int   // lines that could not be understood
	FirstBad error // of the first of those, with its number
}

// A lineError is why one line was passed over.
type lineError struct {
	line int
	err  error
}

func (e *lineError) Error() string { return fmt.Sprintf("line %d: %v", e.line, e.err) }
func (e *lineError) Unwrap() error { return e.err }

// errOther marks a line that is understood and of no interest.
var errOther = errors.New("no connection with ports")

// Read calls each for every connection of a conn.log, in the order of its lines.
// It ends with the text, or with the first error: of r, of each, or of a header
// that cannot be read. The Stats hold in any case.
func Read(r io.Reader, each func(contact.Flow) error) (Stats, error) {
	p := parser{}
	var s Stats
	var lines logsource.Lines
	for {
		n, err := r.Read(lines.Space())
		lines.Fill(n)
		for {
			text, cut, ok := lines.Next()
			if !ok {
				break
			}
			if err := p.line(&s, text, cut, each); err != nil {
				return s, err
			}
		}
		switch {
		case err == io.EOF:
			if text, cut, ok := lines.Rest(); ok {
				err := p.line(&s, text, cut, each)
				return s, err
			}
			return s, nil
		case err != nil:
			return s, fmt.Errorf("after line %d: %w", s.Lines, err)
		}
	}
}

// A parser reads lines, one after the other.
type parser struct {
	header header
	record record // of the line, reused
}

func (p *parser) line(s *Stats, text []byte, cut bool, each func(contact.Flow) error) error {
	s.Lines++
	if s.Lines == 1 {
		text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf")) // some editors put it there
	}
	if len(text) == 0 {
		return nil
	}
	var f contact.Flow
	var err error
	switch {
	case cut:
		err = fmt.Errorf("longer than %d bytes", logsource.MaxLine)
	case text[0] == '{':
		f, err = p.json(text)
	case text[0] == '#':
		if err := p.header.read(text); err != nil {
			return &lineError{s.Lines, err}
		}
		return nil
	case len(p.header.columns) == 0:
		return &lineError{s.Lines, ErrNoHeader}
	default:
		f, err = p.tsv(text)
	}
	switch {
	case errors.Is(err, errOther):
		s.Other++
	case err != nil:
		s.Bad++
		if s.FirstBad == nil {
			s.FirstBad = &lineError{s.Lines, err}
		}
	default:
		s.Flows++
		return each(f)
	}
	return nil
}
