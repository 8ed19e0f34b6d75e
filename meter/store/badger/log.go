package badger

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
)

// The log is in front of Badger: a batch is acknowledged when it is in the log,
// checksummed and synced; it reaches Badger's tables afterwards. Badger's own
// write-ahead log loses rows without an error after one flipped byte, and costs
// several times as much to sync.
//
// A record is length, CRC-32C and payload; the payload begins with the number
// of the batch, so that a gap cannot look like the end. Segments are filled with
// zeros when they are made: an append changes no metadata, which makes its sync
// cheap, and zeros mark the end.

// ErrDamaged: a record of the log that was written completely is not intact now.
var ErrDamaged = errors.New("the ledger's log is damaged")

const (
	headSize  = 8
	maxRecord = 64 << 20
)

// keepBytes is more than the memtables, at most four, hold: what was written to
// Badger before so many bytes is in synced tables.
func keepBytes() int64 { return 5 * size.memTable }

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// segment is one file of the log, named after its first batch.
type segment struct {
	file  *os.File
	path  string
	first uint64
	end   int64 // where the next record goes
	size  int64 // zeros reach to here
}

// wal appends to the newest segment.
type wal struct {
	dir      string
	seq      uint64 // of the last record
	segments []*segment
	spare    chan prepared // the next segment, made ahead
	touched  bool          // an append failed after it had begun to change files
	certain  atomic.Uint64 // batches up to here are no longer needed
	kept     atomic.Int64  // segments
	witness  *witness

	sync func(*os.File) error                             // makes an append durable
	hook func(op string, s *segment, record []byte) error // of a test: called before op
}

type prepared struct {
	file *os.File
	err  error
}

// append writes the record of the next batch and syncs it: headSize bytes of room,
// the batch's number, its writes. It is durable when append returns nil; after an
// error with touched the log must not be used any more.
func (l *wal) append(rec []byte) error {
	body := rec[headSize:]
	binary.LittleEndian.PutUint32(rec, uint32(len(body))) //nolint:gosec // below maxRecord
	binary.LittleEndian.PutUint32(rec[4:], crc32.Checksum(body, castagnoli))
	s, err := l.room(int64(len(rec)))
	if err != nil {
		return err
	}
	l.touched = true
	if err := l.step("write", s, rec); err != nil {
		return err
	}
	if _, err := s.file.WriteAt(rec, s.end); err != nil {
		return err
	}
	if err := l.step("sync", s, rec); err != nil {
		return err
	}
	if err := l.sync(s.file); err != nil {
		return err
	}
	s.end += int64(len(rec))
	l.seq++
	l.touched = false
	l.witness.saw(l.seq)
	return nil
}

func (l *wal) step(op string, s *segment, rec []byte) error {
	if l.hook == nil {
		return nil
	}
	return l.hook(op, s, rec)
}

// room is the segment with space for n bytes, a new one if need be.
func (l *wal) room(n int64) (*segment, error) {
	if k := len(l.segments); k > 0 {
		if s := l.segments[k-1]; s.end+n <= s.size || s.end == 0 {
			return s, nil
		}
	}
	p := <-l.spare
	if err := l.step("segment", nil, nil); err != nil && p.err == nil {
		_ = p.file.Close()
		p.err = err
	}
	if p.err != nil { // no room on the disk: the next append tries again
		l.prepare()
		return nil, p.err
	}
	l.touched = true
	path := filepath.Join(l.dir, fmt.Sprintf("%016x.log", l.seq+1))
	if err := os.Rename(p.file.Name(), path); err != nil {
		return nil, err
	}
	if err := syncDir(l.dir); err != nil {
		return nil, err
	}
	if k := len(l.segments); k > 0 { // it is synced to its end
		_ = l.segments[k-1].file.Close()
		l.segments[k-1].file = nil
	}
	s := &segment{file: p.file, path: path, first: l.seq + 1, size: size.segment}
	l.segments = append(l.segments, s)
	l.touched = false
	l.prepare()
	l.drop()
	l.kept.Store(int64(len(l.segments)))
	return s, nil
}

// prepare makes the next segment while this one fills.
func (l *wal) prepare() {
	l.spare = make(chan prepared, 1)
	go func(out chan<- prepared, length int64) {
		f, err := os.OpenFile(filepath.Join(l.dir, "spare"), os.O_RDWR|os.O_CREATE, 0o600)
		if err == nil {
			if err = fillWithZeros(f, length); err != nil { // free the space that it took on a full disk
				_ = f.Close()
				_ = os.Remove(f.Name())
				f = nil
			}
		}
		out <- prepared{f, err}
	}(l.spare, size.segment)
}

// fillWithZeros makes a file of zeros that has all of its blocks. One that the last
// process made stays as it is: on a full disk its space would be gone.
func fillWithZeros(f *os.File, length int64) error {
	have, err := os.ReadFile(f.Name())
	if err == nil && int64(len(have)) == length && isZero(have) && allocate(f, length) == nil {
		return f.Sync()
	}
	if err == nil {
		err = f.Truncate(0)
	}
	zeros := make([]byte, 64<<10)
	for n := int64(0); n < length && err == nil; n += int64(len(zeros)) {
		_, err = f.Write(zeros)
	}
	if err == nil {
		err = f.Sync()
	}
	return err
}

// drop removes segments of which no start will need a batch again.
func (l *wal) drop() {
	certain := l.certain.Load()
	n := 0
	for n < len(l.segments)-1 && l.segments[n+1].first <= certain+1 {
		n++
	}
	for _, s := range l.segments[:n] {
		if s.file != nil {
			_ = s.file.Close()
		}
		_ = os.Remove(s.path)
	}
	l.segments = slices.Delete(l.segments, 0, n)
}

// first is the oldest batch in the log.
func (l *wal) first() uint64 { return l.segments[0].first }

func (l *wal) close() {
	l.witness.close()
	for _, s := range l.segments {
		if s.file != nil {
			_ = s.file.Close()
		}
	}
	if l.spare != nil {
		if p := <-l.spare; p.file != nil {
			_ = p.file.Close()
		}
	}
}

func syncDir(dir string) error {
	d, err := os.Open(dir) //nolint:gosec // our own directory
	if err != nil {
		return err
	}
	defer d.Close() //nolint:errcheck // only read from
	return d.Sync()
}
