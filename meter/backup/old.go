package backup

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/dgraph-io/badger/v4/pb"
	"google.golang.org/protobuf/proto"

	"github.com/farebox-dev/farebox/meter/store"
)

// oldReader reads the backups of earlier versions: lists of records in the format of
// Badger's own backups, without header, checksums and end mark. A flipped bit in one
// of them goes unnoticed, and so does an end that is missing.
type oldReader struct {
	r    io.Reader
	list []*pb.KV
	last string
}

// maxOldBlock is more than any block of theirs: Badger writes up to 100 MB.
const maxOldBlock = 512 << 20

// deletedBit in a record's meta says that it was deleted.
const deletedBit = 1

// Next implements Source, except that the order is that of the file.
func (o *oldReader) Next() (Record, error) {
	for {
		if len(o.list) == 0 {
			if err := o.more(); err != nil {
				return Record{}, err
			}
			continue
		}
		kv := o.list[0]
		o.list = o.list[1:]
		key := string(kv.GetKey())
		if key == "" || key[0] == '!' || key == o.last { // the old store's own; an older version of the same record
			continue
		}
		o.last = key
		if _, ok := store.ParseID([]byte(key)); !ok {
			return Record{}, fmt.Errorf("%w: a record has the key %q", ErrDamaged, key)
		}
		if meta := kv.GetMeta(); len(meta) > 0 && meta[0]&deletedBit != 0 {
			continue
		}
		return Record{key, append([]byte{}, kv.GetValue()...)}, nil
	}
}

func (o *oldReader) more() error {
	var head [8]byte
	if _, err := io.ReadFull(o.r, head[:]); errors.Is(err, io.EOF) {
		return io.EOF
	} else if err != nil {
		return fmt.Errorf("%w: it ends in the middle of a block", ErrCutOff)
	}
	n := binary.LittleEndian.Uint64(head[:])
	if n > maxOldBlock {
		return fmt.Errorf("%w: a block of %d bytes", ErrDamaged, n)
	}
	b, err := grow(nil, o.r, int(n)) //nolint:gosec // checked above
	if err != nil {
		return fmt.Errorf("%w: it ends in the middle of a block", ErrCutOff)
	}
	block := &pb.KVList{}
	if err := proto.Unmarshal(b, block); err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	o.list = block.GetKv()
	return nil
}

// Open reads the beginning of a backup of this or an earlier version. The header of
// an old one is nil.
func Open(r io.Reader) (Source, *Header, error) {
	head := make([]byte, len(magic))
	n, err := io.ReadFull(r, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, nil, err
	}
	again := io.MultiReader(bytes.NewReader(head[:n]), r)
	err = explain(head[:n])
	if err == nil {
		b, err := NewReader(again)
		if err != nil {
			return nil, nil, err
		}
		return b, &b.Header, nil
	}
	if n < len(magic) || binary.LittleEndian.Uint64(head) > maxOldBlock {
		return nil, nil, err
	}
	old := &oldReader{r: again}
	if old.more() != nil { // it only looked like one
		return nil, nil, err
	}
	return old, nil, nil
}
