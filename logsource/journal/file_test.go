package journal_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/ulikunitz/xz"

	"github.com/tocsin-io/tocsin/logsource"
	"github.com/tocsin-io/tocsin/logsource/journal"
)

// A forge writes journal files, good ones and others.
type forge struct {
	compact bool
	pack    func([]byte) []byte
	flag    byte // what pack is, in an object
	perList int  // entries of one array
	b       []byte
}

var le = binary.LittleEndian

func (g *forge) object(kind, flags byte, body []byte) (off int) {
	for len(g.b)%8 != 0 {
		g.b = append(g.b, 0)
	}
	off = len(g.b)
	g.b = append(g.b, kind, flags, 0, 0, 0, 0, 0, 0)
	g.b = le.AppendUint64(g.b, uint64(16+len(body)))
	g.b = append(g.b, body...)
	return off
}

func (g *forge) offset(b []byte, off int) []byte {
	if g.compact {
		return le.AppendUint32(b, uint32(off))
	}
	return le.AppendUint64(b, uint64(off))
}

// file returns a file with these entries; a field of more than 512 bytes is
// packed.
func (g *forge) file(entries ...[]string) []byte {
	g.b = make([]byte, 272)
	copy(g.b, "LPKSHHRH")
	le.PutUint32(g.b[12:], 0x1f&^0x10)
	if g.compact {
		le.PutUint32(g.b[12:], 0x1f)
	}
	le.PutUint64(g.b[72:], 7)
	le.PutUint64(g.b[88:], 272)
	le.PutUint64(g.b[152:], uint64(len(entries)))
	le.PutUint64(g.b[160:], uint64(len(entries)))
	le.PutUint64(g.b[168:], 1)
	shared := map[string]int{}
	list := 0
	for i, fields := range entries {
		if i%g.perList == 0 {
			size := 8 * g.perList
			if g.compact {
				size = 4 * g.perList
			}
			next := g.object(6, 0, make([]byte, 8+size))
			if list == 0 {
				le.PutUint64(g.b[176:], uint64(next))
			} else {
				le.PutUint64(g.b[list+16:], uint64(next))
			}
			list = next
		}
		body := le.AppendUint64(nil, uint64(i+1))
		body = le.AppendUint64(body, uint64(1_700_000_000_000_000+i))
		body = append(le.AppendUint64(body, uint64(i)), make([]byte, 24)...)
		for _, f := range fields {
			if shared[f] == 0 {
				shared[f] = g.data(f)
			}
			body = g.offset(body, shared[f])
			if !g.compact {
				body = le.AppendUint64(body, 0)
			}
		}
		off := g.object(3, 0, body)
		if item := g.offset(nil, off); true {
			copy(g.b[list+24+(i%g.perList)*len(item):], item)
		}
	}
	return g.b
}

func (g *forge) data(f string) int {
	head, flag := 48, byte(0)
	if g.compact {
		head = 56
	}
	payload := []byte(f)
	if len(f) > 512 && g.pack != nil {
		payload, flag = g.pack(payload), g.flag
	}
	return g.object(1, flag, append(make([]byte, head), payload...))
}

func packXZ(b []byte) []byte {
	var out bytes.Buffer
	w, err := xz.WriterConfig{DictCap: 1 << 20, NoCheckSum: true}.NewWriter(&out)
	if err == nil {
		if _, err = w.Write(b); err == nil {
			err = w.Close()
		}
	}
	if err != nil {
		panic(err)
	}
	return out.Bytes()
}

func packLZ4(b []byte) []byte {
	out := make([]byte, lz4.CompressBlockBound(len(b)))
	var c lz4.Compressor
	n, err := c.CompressBlock(b, out)
	if err != nil {
		panic(err)
	}
	return append(le.AppendUint64(nil, uint64(len(b))), out[:n]...)
}

func packZSTD(b []byte) []byte {
	w, err := zstd.NewWriter(nil)
	if err != nil {
		panic(err)
	}
	return w.EncodeAll(b, nil)
}

var forges = map[string]forge{
	"plain":   {perList: 3},
	"compact": {perList: 3, compact: true, pack: packZSTD, flag: 4},
	"zstd":    {perList: 1, pack: packZSTD, flag: 4},
	"xz":      {perList: 100, pack: packXZ, flag: 1},
	"lz4":     {perList: 2, pack: packLZ4, flag: 2, compact: true},
}

// sample is entries of all kinds, and what should be read of them.
func sample() (entries [][]string, want []string) {
	for i := range 10 {
		text := fmt.Sprintf("%d %s", i, strings.Repeat("text ", i*400))
		entries = append(entries, []string{"SYSLOG_IDENTIFIER=sshd", "MESSAGE=" + text, "_UID=0", "_EXE=/usr/sbin/sshd", "OTHER=" + strings.Repeat("o", i*300)})
		want = append(want, "sshd /usr/sbin/sshd "+text)
	}
	entries = append(entries, []string{"MESSAGE", "MESSAGE=no name", "=", "_UID=4294967296"}, []string{"OTHER=no message"}, nil)
	return entries, append(want, "  no name")
}

func TestEveryFormat(t *testing.T) {
	for name, g := range forges {
		t.Run(name, func(t *testing.T) {
			entries, want := sample()
			var got []string
			err := journal.ReadAll(bytes.NewReader(g.file(entries...)), func(l logsource.Line) {
				got = append(got, l.Program+" "+l.Writer.Exe+" "+string(l.Text))
			})
			if err != nil {
				t.Error(err)
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("lines (-want +got):\n%.2000s", d)
			}
		})
	}
}

// Who wrote is known by one trusted word each, or not at all.
func TestTwiceIsNotTrusted(t *testing.T) {
	g := forge{perList: 3}
	b := g.file([]string{"MESSAGE=m", "_UID=0", "_UID=1000", "_EXE=/usr/sbin/sshd"})
	if err := journal.ReadAll(bytes.NewReader(b), func(l logsource.Line) {
		if l.Writer != (logsource.Writer{}) {
			t.Errorf("writer %+v", l.Writer)
		}
	}); err != nil {
		t.Error(err)
	}
}

// FuzzFile reads any bytes as a journal file, and a good file with bytes
// changed: it ends, and what it tells is bounded by what there is.
func FuzzFile(f *testing.F) {
	entries, _ := sample()
	for _, name := range []string{"plain", "compact", "zstd", "xz", "lz4"} {
		g := forges[name]
		f.Add(g.file(entries...), uint32(0), uint64(0))
		f.Add(g.file(entries...), uint32(152), ^uint64(0))
		f.Add(g.file(entries...), uint32(176), uint64(272))
		f.Add(g.file(entries...), uint32(300), uint64(1<<40))
	}
	f.Fuzz(func(t *testing.T, b []byte, at uint32, value uint64) {
		if n := len(b) - 8; n > 0 && at != 0 {
			le.PutUint64(b[int(at)%n:], value)
		}
		lines := 0
		// Any error will do; that it returns at all is the point.
		_ = journal.ReadAll(bytes.NewReader(b), func(l logsource.Line) {
			lines++
			if len(l.Text) > logsource.MaxLine || l.PID < 0 || len(l.Writer.Exe) > 512 {
				t.Errorf("line %.200v", l)
			}
		})
		if lines > len(b)/4 {
			t.Errorf("%d lines from %d bytes", lines, len(b))
		}
	})
}
