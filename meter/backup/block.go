package backup

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/klauspost/compress/zstd"
)

// magic begins every backup: what it is, and the version of its layout.
const magic = "FAREBOX BACKUP 1\n"

// ErrNotABackup: the file is something else.
var ErrNotABackup = errors.New("the file is not a backup of Farebox")

// ErrDamaged: the file is a backup, but not as it was written.
var ErrDamaged = errors.New("the backup is damaged")

// ErrCutOff: the file is a backup whose end is missing.
var ErrCutOff = errors.New("the backup is not whole")

// A block is a head (kind, length of its bytes, CRC-32C of all that precedes it in
// the file and of the block) and its bytes.
const (
	blockHead = 1 + 4 + 4
	blockSize = 1 << 20 // about how many bytes of records go into one
	maxBlock  = 1 << 30 // no block is longer
)

// Kinds of blocks.
const (
	headerBlock  = 'H'
	recordsBlock = 'R'
	endBlock     = 'E'
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Both are safe for concurrent use.
var (
	compressor, _   = zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedDefault), zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false))
	decompressor, _ = zstd.NewReader(nil, zstd.WithDecoderConcurrency(2), zstd.WithDecoderMaxMemory(maxBlock))
)

// chain is the checksum of a block that follows one with the checksum before.
func chain(before uint32, kind byte, b []byte) uint32 {
	head := binary.LittleEndian.AppendUint32([]byte{kind}, uint32(len(b))) //nolint:gosec // less than maxBlock
	return crc32.Update(crc32.Update(before, castagnoli, head), castagnoli, b)
}

// blockWriter writes blocks, each with the checksum of all until it.
type blockWriter struct {
	w   io.Writer
	sum uint32
	n   int64
}

func (w *blockWriter) begin() error {
	w.sum = crc32.Checksum([]byte(magic), castagnoli)
	_, err := io.WriteString(w.w, magic)
	w.n = int64(len(magic))
	return err
}

func (w *blockWriter) write(kind byte, b []byte) error {
	w.sum = chain(w.sum, kind, b)
	head := binary.LittleEndian.AppendUint32([]byte{kind}, uint32(len(b))) //nolint:gosec // less than maxBlock
	head = binary.LittleEndian.AppendUint32(head, w.sum)
	if _, err := w.w.Write(head); err != nil {
		return err
	}
	_, err := w.w.Write(b)
	w.n += int64(blockHead + len(b))
	return err
}

// blockReader reads blocks and compares their checksums.
type blockReader struct {
	r   io.Reader
	sum uint32
	n   int    // blocks read
	buf []byte // of the last one
}

func (r *blockReader) begin() error {
	b := make([]byte, len(magic))
	n, err := io.ReadFull(r.r, b)
	if err := explain(b[:n]); err != nil {
		return err
	}
	if err != nil {
		return cut(err, 0)
	}
	r.sum = crc32.Checksum(b, castagnoli)
	return nil
}

// read is the next block. Its bytes are valid until the next call.
func (r *blockReader) read() (kind byte, b []byte, err error) {
	var head [blockHead]byte
	if _, err := io.ReadFull(r.r, head[:]); err != nil {
		return 0, nil, cut(err, r.n)
	}
	n := int(binary.LittleEndian.Uint32(head[1:]))
	if n > maxBlock {
		return 0, nil, r.damaged("its length can't be right")
	}
	if r.buf, err = grow(r.buf[:0], r.r, n); err != nil {
		return 0, nil, cut(err, r.n)
	}
	r.sum = chain(r.sum, head[0], r.buf)
	if r.sum != binary.LittleEndian.Uint32(head[5:]) {
		return 0, nil, r.damaged("its checksum does not match")
	}
	r.n++
	return head[0], r.buf, nil
}

func (r *blockReader) damaged(why string) error {
	return fmt.Errorf("%w: block %d: %s", ErrDamaged, r.n+1, why)
}

// cut explains a file that ends in the middle.
func cut(err error, blocks int) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: it ends after block %d, without its end mark; it was cut off when it was written or copied", ErrCutOff, blocks)
	}
	return err
}

// grow reads n bytes into b; memory grows as they come, whatever n says.
func grow(b []byte, r io.Reader, n int) ([]byte, error) {
	const step = 4 << 20
	for len(b) < n {
		at, more := len(b), min(step, n-len(b))
		if cap(b) < at+more {
			b = append(b, make([]byte, more)...)
		}
		b = b[:at+more]
		if _, err := io.ReadFull(r, b[at:]); err != nil {
			return b[:0], io.ErrUnexpectedEOF
		}
	}
	return b, nil
}

// explain says what a file is that does not begin as backups do.
func explain(b []byte) error {
	is := func(prefix string) bool { return len(b) >= len(prefix) && string(b[:len(prefix)]) == prefix }
	const name = "FAREBOX BACKUP "
	switch {
	case is(magic):
		return nil
	case is("\x1f\x8b"), is("\x28\xb5\x2f\xfd"), is("BZh"), is("\xfd7zXZ"):
		return fmt.Errorf("%w: it is compressed; decompress it first", ErrNotABackup)
	case len(b) < len(magic) && len(b) > 0 && string(b) == magic[:len(b)]:
		return cut(io.EOF, 0)
	case is(name):
		return fmt.Errorf("%w: a newer version of farebox has written it; restore it with that version", ErrNotABackup)
	case len(b) == 0:
		return fmt.Errorf("%w: it is empty", ErrNotABackup)
	}
	return ErrNotABackup
}
