package archive

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
)

// A run is a file of blocks and, behind them, an index: of each block its length
// and first key. The foot of the file is the index's length, its CRC-32C, and a
// mark of the format.

const (
	footSize = 16
	footMark = "fareboxA"
)

// run is a file that is complete.
type run struct {
	from, to uint64 // it has the batches after from, up to to
	path     string
	size     int64
	file     *os.File
	blocks   []blockRef
	users    atomic.Int32 // sets that have it; the last one closes the file
	cache    cache
}

type blockRef struct {
	first string // its first key
	at    int64
	len   int64
}

func runName(from, to uint64) string { return fmt.Sprintf("%016x-%016x.run", from, to) }

func parseRunName(name string) (from, to uint64, ok bool) {
	if _, err := fmt.Sscanf(name, "%016x-%016x.run", &from, &to); err != nil {
		return 0, 0, false
	}
	return from, to, name == runName(from, to)
}

// covers reports whether everything of o is in r.
func (r *run) covers(o *run) bool { return r.from <= o.from && r.to >= o.to }

func openRun(path string) (*run, error) {
	r := &run{path: path}
	var ok bool
	if r.from, r.to, ok = parseRunName(filepath.Base(path)); !ok {
		return nil, fmt.Errorf("%w: %s is no file of it", ErrDamaged, path)
	}
	var err error
	if r.file, err = os.Open(path); err != nil { //nolint:gosec // our own directory
		return nil, err
	}
	if err = r.readIndex(); err != nil {
		return nil, errors.Join(err, r.file.Close())
	}
	return r, nil
}

func (r *run) damaged(what string) error {
	return fmt.Errorf("%w: %s of %s does not match its checksum; restore a backup", ErrDamaged, what, r.path)
}

func (r *run) readIndex() error {
	info, err := r.file.Stat()
	if err != nil {
		return err
	}
	r.size = info.Size()
	foot := make([]byte, footSize)
	if r.size < footSize {
		return r.damaged("the end")
	}
	if _, err := r.file.ReadAt(foot, r.size-footSize); err != nil {
		return err
	}
	n := int64(binary.LittleEndian.Uint32(foot))
	if string(foot[8:]) != footMark || n > r.size-footSize {
		return r.damaged("the end")
	}
	index := make([]byte, n)
	if _, err := r.file.ReadAt(index, r.size-footSize-n); err != nil {
		return err
	}
	if crc32.Checksum(index, castagnoli) != binary.LittleEndian.Uint32(foot[4:]) {
		return r.damaged("the index")
	}
	at := int64(0)
	for len(index) > 0 {
		size, rest, err := uvarint(index)
		if err != nil {
			return r.damaged("the index")
		}
		k, rest, err := uvarint(rest)
		if err != nil || k > uint64(len(rest)) {
			return r.damaged("the index")
		}
		r.blocks = append(r.blocks, blockRef{first: string(rest[:k]), at: at, len: int64(size)}) //nolint:gosec // a length
		at, index = at+int64(size), rest[k:]                                                     //nolint:gosec // a length
	}
	if at != r.size-footSize-n {
		return r.damaged("the index")
	}
	return nil
}

// appendIndex ends the file of a run.
func appendIndex(b []byte, blocks []blockRef) []byte {
	at := len(b)
	for _, x := range blocks {
		b = binary.AppendUvarint(b, uint64(x.len)) //nolint:gosec // a length
		b = binary.AppendUvarint(b, uint64(len(x.first)))
		b = append(b, x.first...)
	}
	index := b[at:]
	foot := binary.LittleEndian.AppendUint32(nil, uint32(len(index))) //nolint:gosec // far below
	foot = binary.LittleEndian.AppendUint32(foot, crc32.Checksum(index, castagnoli))
	return append(append(b, foot...), footMark...)
}

// block is the records of a block. They must not be changed.
func (r *run) block(i int) ([]Record, error) {
	if list := r.cache.get(i); list != nil {
		return list, nil
	}
	list, err := r.read(i, &room{})
	if err == nil {
		r.cache.put(i, list)
	}
	return list, err
}

// read reads the records of a block into m.
func (r *run) read(i int, m *room) ([]Record, error) {
	x := r.blocks[i]
	m.file = slices.Grow(m.file[:0], int(x.len))[:x.len]
	if _, err := r.file.ReadAt(m.file, x.at); err != nil {
		return nil, fmt.Errorf("reading %s: %w", r.path, err)
	}
	list, err := m.decodeBlock(m.file)
	if err != nil || len(list) == 0 || list[0].Key != x.first {
		return nil, r.damaged(fmt.Sprintf("block %d", i))
	}
	return list, nil
}

// blockOf is the place of the block that has key, if any has it; -1 if key is less
// than all keys.
func (r *run) blockOf(key string) int {
	i, exact := slices.BinarySearchFunc(r.blocks, key, func(x blockRef, key string) int { return strings.Compare(x.first, key) })
	if exact {
		return i
	}
	return i - 1
}

// get reports whether the run has the record; its value is nil if it was deleted.
func (r *run) get(key string) (value []byte, ok bool, err error) {
	i := r.blockOf(key)
	if i < 0 {
		return nil, false, nil
	}
	list, err := r.block(i)
	if err != nil {
		return nil, false, err
	}
	if k := find(list, key); k < len(list) && list[k].Key == key {
		return list[k].Value, true, nil
	}
	return nil, false, nil
}

// release gives up one use.
func (r *run) release() {
	if r.users.Add(-1) == 0 {
		_ = r.file.Close()
	}
}

// cache has the blocks of a run that were read last: neighbours are mostly read one
// after the other.
type cache [4]atomic.Pointer[cachedBlock]

type cachedBlock struct {
	n    int
	list []Record
}

func (c *cache) get(n int) []Record {
	if x := c[n%len(c)].Load(); x != nil && x.n == n {
		return x.list
	}
	return nil
}

func (c *cache) put(n int, list []Record) { c[n%len(c)].Store(&cachedBlock{n, list}) }
