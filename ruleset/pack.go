package ruleset

import (
	"sync"

	"github.com/klauspost/compress/zstd"
)

// encoder packs snapshots, one at a time: it takes some megabytes, and only a
// hub has one.
var encoder = sync.OnceValue(func() *zstd.Encoder {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithEncoderConcurrency(1),
		zstd.WithEncoderCRC(false))
	if err != nil {
		panic(err) // options of our own
	}
	return e
})

func pack(b, raw []byte) []byte { return encoder().EncodeAll(raw, b) }

// unpack never yields more than maxRaw bytes, whatever was packed. Snapshots are
// rare, so a device keeps no decoder.
func unpack(b []byte) ([]byte, error) {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxMemory(maxRaw), zstd.WithDecoderMaxWindow(maxRaw))
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return d.DecodeAll(b, nil)
}
