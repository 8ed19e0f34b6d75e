package badger

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"

	"github.com/dgraph-io/badger/v4/pb"
	"google.golang.org/protobuf/proto"

	"github.com/farebox-dev/farebox/meter/store"
)

// backupBlock is about how many bytes of records go into one block of a backup.
const backupBlock = 1 << 20

// Backup implements store.Store: one consistent state, in the format of Badger's
// own backups. Updates go on meanwhile.
func (s *Store) Backup(ctx context.Context, w io.Writer) error {
	return s.View(ctx, func(v store.Snapshot) error {
		block := &pb.KVList{}
		size := 0
		err := v.(*view).all(func(key string, value []byte) error { //nolint:forcetypeassert // it is ours
			block.Kv = append(block.Kv, &pb.KV{Key: []byte(key), Value: bytes.Clone(value), Version: 1})
			if size += len(key) + len(value); size < backupBlock {
				return nil
			}
			err := writeBlock(w, block)
			block, size = &pb.KVList{}, 0
			return err
		})
		if err == nil && len(block.Kv) > 0 {
			err = writeBlock(w, block)
		}
		return err
	})
}

func writeBlock(w io.Writer, block *pb.KVList) error {
	b, err := proto.Marshal(block)
	if err != nil {
		return err
	}
	if err := binary.Write(w, binary.LittleEndian, uint64(len(b))); err != nil {
		return err
	}
	_, err = w.Write(b)
	return err
}

// all calls fn for every record, without the keys that are the store's own.
func (v *view) all(fn func(key string, value []byte) error) error {
	return v.merged(span{}, nil, func(key string, value []byte) error {
		if own(key) {
			return nil
		}
		return fn(key, value)
	})
}

// own reports whether a key is the store's own.
func own(key string) bool { return key[0] == '!' }
