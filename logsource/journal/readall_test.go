package journal

import (
	"errors"
	"io"

	"github.com/tocsin-io/tocsin/logsource"
)

// ReadAll reads one file from its beginning, for tests.
func ReadAll(r io.ReaderAt, each func(logsource.Line)) error {
	return ReadWanted(r, func(string, string) bool { return true }, each)
}

// ReadWanted reads one file from its beginning, for tests.
func ReadWanted(r io.ReaderAt, want func(program, comm string) bool, each func(logsource.Line)) error {
	f, err := newFile(r)
	if err != nil {
		return err
	}
	defer f.unpack.rest()
	h, err := f.header()
	if err != nil {
		return err
	}
	var first error
	for c := (cursor{}); ; {
		off, ok, err := f.step(&c, h)
		if err != nil || !ok {
			return errors.Join(first, err)
		}
		c.pass(off)
		e, err := f.entry(off)
		var l logsource.Line
		if err == nil {
			l, ok, err = f.line(e, want)
		}
		if err == nil && ok {
			each(l)
		}
		if first == nil {
			first = err
		}
	}
}
