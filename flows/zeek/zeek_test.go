package zeek_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tocsin-io/tocsin/contact"
	"github.com/tocsin-io/tocsin/flows/zeek"
)

const header = "#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n#path\tconn\n#open\t2023-10-14-06-00-00\n" +
	"#fields\tts\tuid\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tproto\tservice\tduration\torig_bytes\tresp_bytes\tconn_state\n" +
	"#types\ttime\tstring\taddr\tport\taddr\tport\tenum\tstring\tinterval\tcount\tcount\tstring\n"

const row = "1697263200.250000\tC1\t192.0.2.1\t40000\t203.0.113.7\t4433\ttcp\t-\t1.500000\t300\t200\tSF\n"

func want() contact.Flow {
	start := time.Date(2023, 10, 14, 6, 0, 0, 250e6, time.UTC)
	return contact.Flow{
		From: netip.MustParseAddr("192.0.2.1"), To: netip.MustParseAddrPort("203.0.113.7:4433"), Protocol: 6,
		Start: start, End: start.Add(1500 * time.Millisecond), Sent: 300, Received: 200,
	}
}

func read(t *testing.T, text string) ([]contact.Flow, zeek.Stats, error) {
	t.Helper()
	var list []contact.Flow
	s, err := zeek.Read(strings.NewReader(text), func(f contact.Flow) error {
		list = append(list, f)
		return nil
	})
	return list, s, err
}

// The same connection, as many ways of Zeek write it.
func TestOneConnection(t *testing.T) {
	json := func(ts, rest string) string {
		return `{"ts":` + ts + `,"uid":"C1","id.orig_h":"192.0.2.1","id.orig_p":40000,"id.resp_h":"203.0.113.7","id.resp_p":4433,"proto":"tcp",` +
			`"duration":1.5,"orig_bytes":300,"resp_bytes":200,"conn_state":"SF"` + rest + "}\n"
	}
	at := func(ts string) string { return header + strings.Replace(row, "1697263200.250000", ts, 1) }
	for name, text := range map[string]string{
		"as Zeek writes it":  header + row + "#close\t2023-10-14-07-00-00\n",
		"line ends of DOS":   strings.ReplaceAll(header+row, "\n", "\r\n"),
		"a byte order mark":  "\ufeff" + header + row,
		"no end of the line": strings.TrimSuffix(header+row, "\n"),
		"other order, unknown columns": "#fields\tnew\tproto\tid.resp_p\tid.resp_h\tid.orig_h\tts\tduration\torig_bytes\tresp_bytes\n" +
			"x\ttcp\t4433\t203.0.113.7\t192.0.2.1\t1697263200.25\t1.5\t300\t200\n",
		"another separator": "#separator ;\n#unset_field;-\n#path;conn\n#fields;ts;id.orig_h;id.resp_h;id.resp_p;proto;duration;orig_bytes;resp_bytes\n" +
			"1697263200.25;192.0.2.1;203.0.113.7;4433;tcp;1.5;300;200\n",
		"two logs in one": header + "#path\tconn\n" +
			"#fields\tproto\tts\tid.orig_h\tid.resp_h\tid.resp_p\tduration\torig_bytes\tresp_bytes\n" +
			"tcp\t1697263200.25\t192.0.2.1\t203.0.113.7\t4433\t1.5\t300\t200\n",
		"ISO 8601":           at("2023-10-14T06:00:00.250000Z"),
		"east of here":       at("2023-10-14T08:00:00.250000+02:00"),
		"as zeek-cut":        at("2023-10-14T01:00:00.250-0500"),
		"without a zone":     at("2023-10-14T06:00:00.25"),
		"mapped addresses":   strings.NewReplacer("192.0.2.1", "::ffff:192.0.2.1", "203.0.113.7", "::ffff:203.0.113.7").Replace(header + row),
		"JSON":               json("1697263200.25", ""),
		"JSON, milliseconds": json("1697263200250.0", ""),
		"JSON, exponent":     json("1.69726320025e9", ""),
		"JSON, ISO 8601":     json(`"2023-10-14T06:00:00.250000Z"`, `,"_path":"conn","new":{"deep":[1]}`),
		"JSON among others":  `{"_path":"dns","ts":1}` + "\n" + json("1697263200.25", ""),
		"empty lines":        "\n" + header + "\n" + row + "\n\n",
	} {
		list, s, err := read(t, text)
		if err != nil || s.Bad > 0 {
			t.Errorf("%s: %v, %v", name, err, s.FirstBad)
		}
		if diff := cmp.Diff([]contact.Flow{want()}, list, cmpopts.EquateComparable(netip.Addr{}, netip.AddrPort{})); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestIPv6AndUnset(t *testing.T) {
	list, s, err := read(t, header+
		"1697263200\tC2\t2001:db8::1\t1\t2001:db8:1::7\t53\tudp\tdns\t-\t-\t-\tS0\n"+
		"1697263200\tC3\t2001:db8::1\t128\t2001:db8:1::7\t0\ticmp\t-\t-\t-\t-\tOTH\n")
	if err != nil || len(list) != 1 || s.Other != 1 {
		t.Fatalf("got %v %+v %v", list, s, err)
	}
	f := list[0]
	if f.To.String() != "[2001:db8:1::7]:53" || f.Protocol != 17 || !f.Failed || !f.End.Equal(f.Start) || f.Sent != 0 {
		t.Errorf("got %+v", f)
	}
}

// A bad line is counted, with the first one's number and what is wrong, and
// costs no other line.
func TestBadLines(t *testing.T) {
	good := 0
	for name, bad := range map[string]string{
		"cut off":             strings.TrimSuffix(row, "\tSF\n") + "\n",
		"a field too many":    strings.TrimSuffix(row, "\n") + "\tmore\n",
		"no time":             strings.Replace(row, "1697263200.250000", "-", 1),
		"time before 1970":    strings.Replace(row, "1697263200.250000", "-1.5", 1),
		"time after 2106":     strings.Replace(row, "1697263200.250000", "2222-01-01T00:00:00Z", 1),
		"time NaN":            strings.Replace(row, "1697263200.250000", "NaN", 1),
		"words for a time":    strings.Replace(row, "1697263200.250000", "yester-day", 1),
		"no address":          strings.Replace(row, "203.0.113.7", "example.net", 1),
		"port too large":      strings.Replace(row, "4433", "65536", 1),
		"duration below zero": strings.Replace(row, "1.500000", "-1.0", 1),
		"duration endless":    strings.Replace(row, "1.500000", "Inf", 1),
		"bytes below zero":    strings.Replace(row, "\t300", "\t-300", 1),
		"not JSON":            `{"ts":1697263200.25,` + "\n",
		"JSON without":        `{"ts":1697263200.25}` + "\n",
		"JSON of another":     `{"ts":[1],"id.orig_h":"192.0.2.1"}` + "\n",
		"much too long":       strings.Repeat("x", 100_000) + "\n",
		"NULs":                "\x00\x01\x02\n",
	} {
		list, s, err := read(t, header+row+bad+row)
		if err != nil || len(list) != 2 || s.Bad != 1 || s.Flows != 2 {
			t.Errorf("%s: got %d flows, %+v, %v", name, len(list), s, err)
			continue
		}
		if text := s.FirstBad.Error(); !strings.HasPrefix(text, "line 10: ") || len(text) > 300 {
			t.Errorf("%s: got %q", name, text)
		}
		good++
	}
	t.Logf("%d kinds", good)
}

func TestBadHeaders(t *testing.T) {
	for name, tt := range map[string]struct{ text, want string }{
		"none":             {row, "line 1: not a conn.log of Zeek"},
		"another log":      {strings.Replace(header, "\tconn\n", "\tdns\n", 1), `#path is "dns"`},
		"columns missing":  {"#fields\tts\tproto\n", "#fields lacks id.orig_h, id.resp_h, id.resp_p"},
		"a column twice":   {"#fields\tts\tts\n", "names ts twice"},
		"separator broken": {"#separator \\xzz\n", "#separator"},
		"text":             {"hello\nworld\n", "line 1: not a conn.log"},
		"packed":           {"\x1f\x8b\x08\x00\n", "line 1: not a conn.log"},
	} {
		_, _, err := read(t, tt.text)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q", name, err, tt.want)
		}
	}
	if _, _, err := read(t, row); !errors.Is(err, zeek.ErrNoHeader) {
		t.Errorf("got %v, want ErrNoHeader", err)
	}
	if _, s, err := read(t, ""); err != nil || s.Lines != 0 {
		t.Errorf("an empty file: got %+v, %v", s, err)
	}
}

type brokenReader struct{ io.Reader }

func (b brokenReader) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// What came before a file breaks off is told.
func TestBrokenOff(t *testing.T) {
	n := 0
	s, err := zeek.Read(brokenReader{strings.NewReader(header + row + row + row[:20])}, func(contact.Flow) error { n++; return nil })
	if n != 2 || s.Flows != 2 || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %d flows, %+v, %v", n, s, err)
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(header + row))
	f.Add([]byte(`{"ts":"2023-10-14T06:00:00Z","id.orig_h":"::1","id.resp_h":"203.0.113.7","id.resp_p":1,"proto":"udp","duration":1e3}`))
	f.Add([]byte("#separator \\x2c\n#fields,ts,id.orig_h,id.resp_h,id.resp_p,proto\n1,::ffff:1.2.3.4,fe80::1%eth0,1,sctp\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		n := 0
		s, _ := zeek.Read(bytes.NewReader(text), func(fl contact.Flow) error {
			n++
			for _, a := range []netip.Addr{fl.From, fl.To.Addr()} {
				if !a.IsValid() || a.Is4In6() || a.Zone() != "" {
					t.Errorf("address %v: want a plain one", a)
				}
			}
			if fl.End.Before(fl.Start) || fl.Start.Unix() < 0 || fl.Start.Year() > 2106 || fl.End.Year() > 2117 {
				t.Errorf("times %v to %v", fl.Start, fl.End)
			}
			if fl.Protocol == 0 || fl.Again {
				t.Errorf("got %+v", fl)
			}
			return nil
		})
		if s.Flows != n || s.Flows+s.Bad+s.Other > s.Lines || (s.Bad > 0) != (s.FirstBad != nil) {
			t.Errorf("%d flows, %+v", n, s)
		}
	})
}

func benchmark(b *testing.B, head, line string) {
	const lines = 100_000
	text := []byte(head + strings.Repeat(line, lines))
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if s, err := zeek.Read(bytes.NewReader(text), func(contact.Flow) error { return nil }); err != nil || s.Flows != lines {
			b.Fatal(s, err)
		}
	}
	b.ReportMetric(float64(lines)*float64(b.N)/b.Elapsed().Seconds(), "lines/s")
}

func BenchmarkTSV(b *testing.B) { benchmark(b, header, row) }

func BenchmarkJSON(b *testing.B) {
	benchmark(b, "", `{"ts":1697263200.25,"uid":"C1","id.orig_h":"192.0.2.1","id.orig_p":40000,"id.resp_h":"203.0.113.7","id.resp_p":4433,`+
		`"proto":"tcp","duration":1.5,"orig_bytes":300,"resp_bytes":200,"conn_state":"SF","local_orig":true,"missed_bytes":0,"history":"ShADadFf"}`+"\n")
}

func ExampleRead() {
	log, err := os.Open("testdata/conn.log")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer log.Close()
	s, err := zeek.Read(log, func(f contact.Flow) error {
		fmt.Println(f.From, "→", f.To, f.End.Sub(f.Start))
		return nil
	})
	fmt.Println(s.Flows, "connections,", s.Other, "without ports", err)
	// Output:
	// 192.0.2.1 → 203.0.113.7:4433 1.5s
	// 2001:db8::1 → [2001:db8:1::7]:53 0s
	// 2 connections, 1 without ports <nil>
}
