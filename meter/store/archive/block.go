package archive

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"slices"
	"strings"
	"unsafe"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
)

// ErrDamaged: a file of the archive is not as it was written.
var ErrDamaged = errors.New("the archive is damaged")

// A block is some records in order of key, compressed: 32 KB of them where that has to
// be fast, 128 KB, which takes 4 % less, where it stays. On disk it is a
// head (length, CRC-32C of the rest, codec) and its bytes. Each record is: how many
// bytes its key shares with the one before, the rest of the key, 0 if the record
// was deleted or the length of the value plus 1, the value.

const (
	blockSize = 32 << 10
	largeSize = 128 << 10
	blockHead = 9
)

// Codec is how blocks are compressed.
type Codec byte

// Codecs: Fast for runs that will soon be merged, Small for the others.
const (
	Fast  Codec = 1
	Small Codec = 2
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Both are safe for concurrent use.
var (
	zstdWriter, _ = zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedDefault), zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false), zstd.WithWindowSize(largeSize))
	zstdReader, _ = zstd.NewReader(nil, zstd.WithDecoderConcurrency(2), zstd.WithDecoderMaxMemory(64<<20))
)

// Record is one record; a nil Value is one that was deleted.
type Record struct {
	Key   string
	Value []byte
}

// appendRecord adds a record to a block whose last key is last.
func appendRecord(b []byte, last string, r Record) []byte {
	shared := 0
	for shared < min(len(last), len(r.Key)) && last[shared] == r.Key[shared] {
		shared++
	}
	b = binary.AppendUvarint(b, uint64(shared)) //nolint:gosec // a length
	b = binary.AppendUvarint(b, uint64(len(r.Key)-shared))
	b = append(b, r.Key[shared:]...)
	if r.Value == nil {
		return append(b, 0)
	}
	b = binary.AppendUvarint(b, uint64(len(r.Value))+1)
	return append(b, r.Value...)
}

// appendBlock adds a block with these records to a file.
func appendBlock(b, records []byte, codec Codec) []byte {
	at := len(b)
	b = append(b, make([]byte, blockHead)...)
	b[at+8] = byte(codec)
	if codec == Small {
		b = zstdWriter.EncodeAll(records, b)
	} else {
		room := s2.MaxEncodedLen(len(records))
		b = slices.Grow(b, room)
		b = b[:len(b)+len(s2.Encode(b[len(b):len(b)+room], records))]
	}
	binary.LittleEndian.PutUint32(b[at:], uint32(len(b)-at-blockHead)) //nolint:gosec // a length
	binary.LittleEndian.PutUint32(b[at+4:], crc32.Checksum(b[at+8:], castagnoli))
	return b
}

// room is memory that blocks are read into. What is in it is valid until the next
// one is; keys stay.
type room struct {
	file, raw []byte
	list      []Record
}

// decodeBlock is the records of a whole block, as it is in the file.
func (m *room) decodeBlock(b []byte) ([]Record, error) {
	if len(b) < blockHead || int(binary.LittleEndian.Uint32(b)) != len(b)-blockHead || binary.LittleEndian.Uint32(b[4:]) != crc32.Checksum(b[8:], castagnoli) {
		return nil, ErrDamaged
	}
	var err error
	switch Codec(b[8]) {
	case Fast:
		m.raw, err = s2.Decode(m.raw[:cap(m.raw)], b[blockHead:])
	case Small:
		m.raw, err = zstdReader.DecodeAll(b[blockHead:], slices.Grow(m.raw[:0], blockSize+blockSize/4))
	default:
		err = ErrDamaged
	}
	if err != nil {
		return nil, ErrDamaged
	}
	return m.decodeRecords()
}

func (m *room) decodeRecords() ([]Record, error) {
	if m.list == nil {
		m.list = make([]Record, 0, 128)
	}
	m.list = m.list[:0]
	keys := make([]byte, 0, 8<<10)
	last := ""
	for raw := m.raw; len(raw) > 0; {
		var n [3]uint64
		var err error
		for i := range 2 {
			if n[i], raw, err = uvarint(raw); err != nil {
				return nil, err
			}
		}
		if n[0] > uint64(len(last)) || n[1] > uint64(len(raw)) {
			return nil, ErrDamaged
		}
		at := len(keys)
		keys = append(append(keys, last[:n[0]]...), raw[:n[1]]...)
		r := Record{Key: text(keys[at:])}
		if n[2], raw, err = uvarint(raw[n[1]:]); err != nil || n[2] > uint64(len(raw))+1 {
			return nil, ErrDamaged
		}
		if n[2] > 0 {
			r.Value = raw[: n[2]-1 : n[2]-1]
			raw = raw[n[2]-1:]
		}
		m.list = append(m.list, r)
		last = r.Key
	}
	return m.list, nil
}

func uvarint(b []byte) (uint64, []byte, error) {
	n, size := binary.Uvarint(b)
	if size <= 0 {
		return 0, nil, ErrDamaged
	}
	return n, b[size:], nil
}

// find is the place of the first record whose key is not less than key.
func find(list []Record, key string) int {
	i, _ := slices.BinarySearchFunc(list, key, func(r Record, key string) int { return strings.Compare(r.Key, key) })
	return i
}

// text is b as a string, without a copy: b must not change any more.
func text(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) } //nolint:gosec // see above
