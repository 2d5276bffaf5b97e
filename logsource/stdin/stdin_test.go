package stdin_test

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/logsource"
	"github.com/tocsin-io/tocsin/logsource/stdin"
)

func TestRun(t *testing.T) {
	broken := errors.New("broken")
	long := strings.Repeat("x", logsource.MaxLine+2)
	for _, tt := range []struct {
		name string
		in   io.Reader
		want []string
		err  error
	}{
		{"nothing", strings.NewReader(""), nil, nil},
		{"lines", strings.NewReader("one\r\n\ntwo\nthree"), []string{"one", "two", "three"}, nil},
		{"long", strings.NewReader(long + "\nend\n"), []string{"cut", "end"}, nil},
		{"broken", io.MultiReader(strings.NewReader("one\ntwo"), errReader{broken}), []string{"one"}, broken},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			err := stdin.New(tt.in).Run(t.Context(), func(l logsource.Line) error {
				if !l.Live || l.Provenance != tocsin.Local {
					t.Errorf("line %+v", l)
				}
				text := string(l.Text)
				if l.Cut {
					text = "cut"
				}
				got = append(got, text)
				return nil
			})
			if !errors.Is(err, tt.err) {
				t.Errorf("error: got %v, want %v", err, tt.err)
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Errorf("lines (-want +got):\n%s", d)
			}
		})
	}
}

type errReader struct{ error }

func (e errReader) Read([]byte) (int, error) { return 0, e.error }

// A pipe that nobody writes to must not hold the program up.
func TestRunEndsWithContext(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close() //nolint:errcheck // nothing was written
	defer r.Close() //nolint:errcheck // read only
	if _, err := w.WriteString("one\nbegun"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	err = stdin.New(r).Run(ctx, func(logsource.Line) error {
		cancel()
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the context's error", err)
	}
}

func TestRunEndsWithEmit(t *testing.T) {
	full := errors.New("full")
	err := stdin.New(strings.NewReader("one\ntwo\n")).Run(t.Context(), func(logsource.Line) error { return full })
	if !errors.Is(err, full) {
		t.Errorf("got %v, want the error of emit", err)
	}
}
