package badger

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/dgraph-io/badger/v4/pb"
	"google.golang.org/protobuf/proto"

	"github.com/farebox-dev/farebox/meter/store"
)

// ErrNotEmpty: a backup is restored into a directory of its own.
var ErrNotEmpty = errors.New("the directory is not empty")

// ErrNotABackup: the file is not what Backup wrote.
var ErrNotABackup = errors.New("the file is not a backup, or it is damaged or compressed")

// Restore makes a data directory from what Backup wrote.
func Restore(dir string, r io.Reader) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	there, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	if len(there) > 0 {
		return fmt.Errorf("%w: %s; name a new one", ErrNotEmpty, dir)
	}
	s, err := Open(dir, nil)
	if err != nil {
		return err
	}
	err = s.load(r)
	if err = errors.Join(err, s.Close()); err != nil {
		return errors.Join(err, empty(dir))
	}
	return nil
}

// maxBlock is more than any block of a backup: those that Badger wrote itself have
// up to 100 MB.
const maxBlock = 512 << 20

// load reads a backup, block by block.
func (s *Store) load(r io.Reader) error {
	for {
		var head [8]byte
		if _, err := io.ReadFull(r, head[:]); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("%w: %w", ErrNotABackup, err)
		}
		n := binary.LittleEndian.Uint64(head[:])
		if n > maxBlock {
			return fmt.Errorf("%w: a block of %d bytes", ErrNotABackup, n)
		}
		var b bytes.Buffer // grows as bytes come, whatever the length says
		if _, err := io.CopyN(&b, r, int64(n)); err != nil {
			return fmt.Errorf("%w: %w", ErrNotABackup, err)
		}
		block := &pb.KVList{}
		if err := proto.Unmarshal(b.Bytes(), block); err != nil {
			return fmt.Errorf("%w: %w", ErrNotABackup, err)
		}
		if err := s.loadBlock(block.GetKv()); err != nil {
			return err
		}
	}
}

// deletedBit in a record's meta says that it was deleted: Badger's own backups have
// such records.
const deletedBit = 1

// loadBlock writes the records of a block, in updates of a bounded size.
func (s *Store) loadBlock(list []*pb.KV) error {
	for len(list) > 0 {
		err := s.Update(context.Background(), nil, func(tx store.Tx) error {
			last := ""
			for size := 0; len(list) > 0 && size < backupBlock; list = list[1:] {
				kv := list[0]
				key := string(kv.GetKey())
				if key == "" || own(key) || key == last { // an older version of the same record
					continue
				}
				last = key
				id, err := parse(key)
				if err != nil {
					return fmt.Errorf("%w: %w", ErrNotABackup, err)
				}
				if meta := kv.GetMeta(); len(meta) > 0 && meta[0]&deletedBit != 0 {
					continue
				}
				size += len(key) + len(kv.GetValue())
				if err := tx.Put(id, kv.GetValue()); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// empty removes what an attempt has left in dir, so that the next one can begin.
func empty(dir string) error {
	there, err := os.ReadDir(dir)
	for _, f := range there {
		err = errors.Join(err, os.RemoveAll(filepath.Join(dir, f.Name())))
	}
	return err
}
