package journal

import (
	"bytes"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/ulikunitz/xz"
)

// Bounds of a compressed field, in bytes: what a message may be packed into,
// what a decoder may keep, and what lz4 may unpack to, which is all at once.
const (
	maxPacked = 1 << 20
	maxWindow = 8 << 20
	maxLZ4    = 1 << 20
)

// An unpacker unpacks the beginning of compressed fields. It makes a decoder
// when it meets the first one, and lets it go at rest.
type unpacker struct {
	zstd *zstd.Decoder
}

// open returns a reader of what is packed.
func (u *unpacker) open(kind byte, packed io.Reader, size int64) (io.Reader, error) {
	switch {
	case size > maxPacked:
		return nil, fmt.Errorf("%w: field of %d bytes", errDamaged, size)
	case kind&packedZSTD != 0:
		return u.openZSTD(packed)
	case kind&packedLZ4 != 0:
		return openLZ4(packed)
	}
	return openXZ(packed)
}

func (u *unpacker) openZSTD(packed io.Reader) (io.Reader, error) {
	if u.zstd != nil {
		return u.zstd, u.zstd.Reset(packed)
	}
	var err error
	u.zstd, err = zstd.NewReader(packed,
		zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderMaxMemory(64<<20))
	return u.zstd, err
}

// openLZ4 unpacks a block behind its length.
func openLZ4(packed io.Reader) (io.Reader, error) {
	b, err := io.ReadAll(packed)
	if err != nil {
		return nil, err
	}
	if len(b) < 8 || le.Uint64(b) > maxLZ4 {
		return nil, fmt.Errorf("%w: lz4 field", errDamaged)
	}
	text := make([]byte, le.Uint64(b))
	n, err := lz4.UncompressBlock(b[8:], text)
	if err != nil {
		return nil, err
	}
	return bytes.NewReader(text[:n]), nil
}

// openXZ unpacks a stream, unless it wants more memory than it may.
func openXZ(packed io.Reader) (io.Reader, error) {
	b, err := io.ReadAll(packed)
	if err != nil {
		return nil, err
	}
	// journald writes one filter and no sizes: its memory stands right here.
	const filter, dict = 14, 16
	if len(b) <= dict || b[13] != 0 || b[filter] != 0x21 {
		return nil, fmt.Errorf("%w: xz field", errDamaged)
	}
	if bits := int64(b[dict] & 0x3f); (2|bits&1)<<(bits/2+11) > maxWindow {
		return nil, fmt.Errorf("%w: xz field wants too much memory", errDamaged)
	}
	return xz.ReaderConfig{DictCap: 1 << 16, SingleStream: true}.NewReader(bytes.NewReader(b))
}

// rest lets the decoder go.
func (u *unpacker) rest() {
	if u.zstd != nil {
		u.zstd.Close()
		u.zstd = nil
	}
}
