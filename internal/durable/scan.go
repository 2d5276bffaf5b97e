package durable

import (
	"bufio"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"strings"
)

// magic begins every log; its last byte is the version of the format.
const magic = "tocsinL1"

// headLen is the length of what stands before a record's bytes.
const headLen = 8

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checksum covers the length too, and is not zero for an empty record: a file
// system may leave zeros where it promised bytes.
func checksum(length, record []byte) uint32 {
	return crc32.Update(crc32.Checksum(length, castagnoli), castagnoli, record)
}

// scan reads a log and calls each for its records. It returns where the last
// whole record ends: 0 if not even the magic is whole. Its own error is that of
// r or of each; damage is no error, it ends the log.
func scan(r io.Reader, each func(record []byte) error) (end int64, err error) {
	br := bufio.NewReaderSize(r, 64<<10)
	head := make([]byte, headLen)
	switch n, err := io.ReadFull(br, head); {
	case err != nil && !isEnd(err):
		return 0, err
	case strings.Trim(string(head[:n]), "\x00") == "":
		return 0, nil // made just before a power cut: a length, but no bytes yet
	case !strings.HasPrefix(magic, string(head[:n])):
		return 0, ErrForeign
	case n < len(magic):
		return 0, nil
	}
	end = int64(len(magic))
	var buf []byte
	for {
		if _, err := io.ReadFull(br, head); err != nil {
			return end, unlessEnd(err)
		}
		n := int(binary.LittleEndian.Uint32(head))
		if n > MaxRecord {
			return end, nil
		}
		if n > len(buf) {
			buf = make([]byte, n)
		}
		record := buf[:n:n]
		if _, err := io.ReadFull(br, record); err != nil {
			return end, unlessEnd(err)
		}
		if checksum(head[:4], record) != binary.LittleEndian.Uint32(head[4:]) {
			return end, nil
		}
		if err := each(record); err != nil {
			return end, err
		}
		end += int64(headLen + n)
	}
}

func isEnd(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

func unlessEnd(err error) error {
	if isEnd(err) {
		return nil
	}
	return err
}
