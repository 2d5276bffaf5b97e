package replay

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func readAll(r io.Reader) (list []Attempt, err error) {
	t := NewReader(r)
	for {
		a, err := t.Next()
		if err == io.EOF {
			return list, nil
		}
		if err != nil {
			return list, err
		}
		list = append(list, a)
	}
}

const good = `{"line":7,"time":"2023-10-14T06:00:00Z","service":"ssh","outcome":"failure","source":"198.51.100.7","port":4000,"account":"root"}`

func TestMistakes(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"not JSON", good + "\nOct 14 sshd[1]: hello", `line 2: not an attempt as JSON: invalid character 'O' looking for beginning of value`},
		{"cut off", good[:40], `line 1: not an attempt as JSON: unexpected end of JSON input`},
		{"a list", "[]", "line 1: an attempt is a JSON object, not a JSON array"},
		{"no time", `{}`, `line 1: time "" is no time such as 2023-10-14T06:00:00Z, between 1970 and 2106`},
		{"long ago", strings.Replace(good, "2023", "1923", 1), `line 1: time "1923-10-14T06:00:00Z" is no time such as 2023-10-14T06:00:00Z, between 1970 and 2106`},
		{"no source", strings.Replace(good, "198.51.100.7", "example.net", 1), `line 1: source "example.net" is no address`},
		{"any source", strings.Replace(good, "198.51.100.7", "::", 1), `line 1: source "::": nobody connects from there`},
		{"outcome", strings.Replace(good, "failure", "maybe", 1), `line 1: outcome "maybe" is not failure, success or probe`},
		{"port", strings.Replace(good, "4000", "65536", 1), `line 1: port must be a number from 0 to 65535, not a JSON number 65536`},
		{"port as text", strings.Replace(good, "4000", `"4000"`, 1), `line 1: port must be a number from 0 to 65535, not a JSON string`},
		{"account", strings.Replace(good, `"root"`, `{}`, 1), `line 1: account must be text, not a JSON object`},
		{"unknown", strings.Replace(good, `"line":7`, `"unknown":1`, 1), `line 1: unknown must be true or false, not a JSON number`},
		{"a long device", strings.Replace(good, `"line":7`, `"device":"`+strings.Repeat("x", 300)+`"`, 1), `line 1: "` + strings.Repeat("x", 64) + `"... is longer than 255 bytes`},
		{"a giant line", good + "\n" + strings.Repeat("x", 1<<20), "line 2 is longer than 65536 bytes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := readAll(strings.NewReader(tt.text))
			if err == nil || err.Error() != tt.want {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
		})
	}
}

// broken fails after what it has was read.
type broken struct{ io.Reader }

func (b broken) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err == io.EOF {
		err = errors.New("gone")
	}
	return n, err
}

func TestBrokenReader(t *testing.T) {
	if _, err := readAll(broken{strings.NewReader(good + "\n")}); err == nil || err.Error() != "after line 1: gone" {
		t.Errorf("got %v", err)
	}
}

func at(second int) string {
	return strings.Replace(good, "2023-10-14T06:00:00Z", time.Unix(int64(second), 0).UTC().Format(time.RFC3339), 1) + "\n"
}

func TestAnyOrder(t *testing.T) {
	text := "\n" + at(300) + at(100) + "\r\n" + at(200) + at(100)
	list, err := readAll(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, a := range list {
		got = append(got, fmt.Sprint(a.Line, " ", a.At.Unix()))
	}
	if diff := cmp.Diff([]string{"3 100", "6 100", "5 200", "2 300"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// many is a trace of ever later attempts, and at its end an old one.
func many(n int) io.Reader {
	i := 0
	return readerFunc(func(p []byte) (int, error) {
		i++
		switch {
		case i <= n:
			return copy(p, at(1000+i)), nil
		case i == n+1:
			return copy(p, at(1)), nil
		}
		return 0, io.EOF
	})
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestTooFarOutOfOrder(t *testing.T) {
	if _, err := readAll(many(hold / 2)); err != nil {
		t.Errorf("within what is read ahead: %v", err)
	}
	_, err := readAll(many(2 * hold))
	want := fmt.Sprintf("line %d: 1970-01-01T00:00:01Z is earlier than ", 2*hold+1)
	if err == nil || !strings.HasPrefix(err.Error(), want) || !strings.HasSuffix(err.Error(), "sort the trace by time") {
		t.Errorf("got %v", err)
	}
}

// FuzzLine: what the fast way reads, it reads as encoding/json does.
func FuzzLine(f *testing.F) {
	for _, s := range []string{
		good, `{ "port" : 0 , "x":1,"time":"a"}`, `{"Time":"x"}`, `{"port":007}`, `{"account":"\u0041"}`, `{}`,
		`{"time":null}`, `{"unknown":true,"x":false}`, `{"unknown":truefalse}`, `{"port":true}`, `{"port":70000}`, `{"label":"benign","label":"x"}`, `{"a":1}}`, `{"a":1,}`, `{"a":"` + "\x7f" + `"}`,
	} {
		f.Add([]byte(s))
	}
	var r Reader
	f.Fuzz(func(t *testing.T, text []byte) {
		var quick, slow line
		if !r.fast(text, &quick) {
			return
		}
		if err := json.Unmarshal(text, &slow); err != nil {
			t.Fatalf("%q: accepted, but %v", text, err)
		}
		if quick != slow {
			t.Fatalf("%q: got %+v, want %+v", text, quick, slow)
		}
	})
}
