package file

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// maxDecoder bounds the window that a compressed file may ask a decoder to
// keep, in bytes; xz -9 asks for 64 MiB.
const maxDecoder = 64 << 20

// A Reader reads a whole log file, which may be compressed.
type Reader struct {
	f    *os.File
	br   *bufio.Reader
	r    io.Reader // br itself, or a decoder over it
	done func()    // ends the decoder
	size int64
	raw  atomic.Int64
}

// Open opens a log file to be read once from its beginning: plain, or
// compressed by gzip, bzip2, xz or zstd, told by its first bytes and not by its
// name. The path "-" is the standard input.
func Open(path string) (*Reader, error) {
	f := os.Stdin
	if path != "-" {
		var err error
		if f, err = os.Open(path); err != nil {
			return nil, err
		}
	}
	r, err := newReader(f)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), f.Close())
	}
	return r, nil
}

func newReader(f *os.File) (*Reader, error) {
	r := &Reader{f: f, size: -1, done: func() {}}
	if st, err := f.Stat(); err != nil {
		return nil, err
	} else if st.IsDir() {
		return nil, errors.New("is a folder: name a file")
	} else if st.Mode().IsRegular() {
		r.size = st.Size()
	}
	r.br = bufio.NewReaderSize(counter{r}, 32<<10)
	first, err := r.br.Peek(32)
	if err != nil && err != io.EOF {
		return nil, err
	}
	return r, r.decode(first)
}

func (r *Reader) decode(first []byte) (err error) {
	br := r.br
	switch {
	case bytes.HasPrefix(first, []byte{0x1f, 0x8b}):
		r.r, err = gzip.NewReader(br)
	case bytes.HasPrefix(first, []byte("BZh")):
		r.r = bzip2.NewReader(br)
	case bytes.HasPrefix(first, []byte{0xfd, '7', 'z', 'X', 'Z', 0}):
		if window := xzWindow(first); window > maxDecoder {
			return fmt.Errorf("xz: wants %d bytes of memory, limit %d: unpack it by hand", window, maxDecoder)
		}
		r.r, err = xz.ReaderConfig{DictCap: 1 << 16}.NewReader(br)
	case bytes.HasPrefix(first, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		var z *zstd.Decoder
		z, err = zstd.NewReader(br, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxDecoder))
		if err == nil {
			r.r, r.done = z, z.Close
		}
	default:
		r.r = br
	}
	return err
}

// xzWindow returns the memory that the first block of an xz file asks for, in
// bytes: the library would allocate whatever it says.
func xzWindow(first []byte) int64 {
	const streamHeader = 12
	if len(first) < streamHeader+8 {
		return 0
	}
	block := first[streamHeader:]
	at := 2 // behind size and flags
	for _, sized := range []byte{0x40, 0x80} {
		if block[1]&sized == 0 {
			continue
		}
		for at < len(block) && block[at]&0x80 != 0 {
			at++
		}
		at++
	}
	for at+2 < len(block) && block[at] != 0x21 { // another filter before it
		at += 2 + int(block[at+1])
	}
	if at+2 >= len(block) {
		return 0
	}
	bits := int64(block[at+2] & 0x3f)
	return (2 | bits&1) << (bits/2 + 11)
}

// plain reports whether the text is the file's bytes as they are.
func (r *Reader) plain() bool { return r.r == r.br }

// seek goes to off in a plain file.
func (r *Reader) seek(off int64) error {
	if _, err := r.f.Seek(off, io.SeekStart); err != nil {
		return &readError{err}
	}
	r.br.Reset(counter{r})
	return nil
}

// Read returns bytes of the log, decompressed.
func (r *Reader) Read(p []byte) (int, error) { return r.r.Read(p) }

// Size returns the length of the file as it stands on the disk, in bytes; -1 if
// that is unknown.
func (r *Reader) Size() int64 { return r.size }

// Taken returns how many bytes of the file were read so far: of those that
// Size counts, and for a progress bar from any goroutine.
func (r *Reader) Taken() int64 { return r.raw.Load() }

// Close ends the reading.
func (r *Reader) Close() error {
	r.done()
	return r.f.Close()
}

// counter reads the file of a Reader and counts.
type counter struct{ *Reader }

func (c counter) Read(p []byte) (int, error) {
	n, err := c.f.Read(p)
	c.raw.Add(int64(n))
	return n, err
}
