package badger

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"strings"
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

// keepBytes of log are replayed at every start. Older batches are in synced tables:
// the memtables, at most four, hold less than this.
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

	sync func(*os.File) error                             // makes an append durable
	hook func(op string, s *segment, record []byte) error // of a test: called before op
	buf  []byte                                           // of the record that is being written
}

type prepared struct {
	file *os.File
	err  error
}

// openLog reads all segments, calls replay for every record in order, and ends
// behind the last whole one.
func openLog(dir string, replay func(seq uint64, payload []byte) error) (*wal, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	names, err := filepath.Glob(filepath.Join(dir, "*.log"))
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	l := &wal{dir: dir, sync: datasync}
	for i, name := range names {
		s, err := l.read(name, i == 0, i == len(names)-1, replay)
		if err != nil {
			l.close()
			return nil, err
		}
		l.segments = append(l.segments, s)
	}
	l.prepare()
	return l, nil
}

func (l *wal) read(name string, oldest, newest bool, replay func(uint64, []byte) error) (*segment, error) {
	s := &segment{path: name}
	if _, err := fmt.Sscanf(strings.TrimSuffix(filepath.Base(name), ".log"), "%016x", &s.first); err != nil {
		return nil, fmt.Errorf("%w: %s is no segment of it", ErrDamaged, name)
	}
	if oldest {
		l.seq = s.first - 1
	}
	if s.first != l.seq+1 {
		return nil, fmt.Errorf("%w: batches %d to %d are missing before %s; restore a backup", ErrDamaged, l.seq+1, s.first-1, name)
	}
	data, err := os.ReadFile(name) //nolint:gosec // our own directory
	if err != nil {
		return nil, err
	}
	for {
		payload, next := record(data, s.end, l.seq+1)
		if payload == nil {
			break
		}
		l.seq++
		if err := replay(l.seq, payload); err != nil {
			return nil, fmt.Errorf("replaying batch %d of %s: %w", l.seq, name, err)
		}
		s.end = next
	}
	if err := s.checkTail(data, newest, l.seq); err != nil {
		return nil, err
	}
	s.size = int64(len(data))
	s.file, err = os.OpenFile(name, os.O_RDWR, 0o600) //nolint:gosec // our own directory
	if err != nil || !newest {
		return s, err
	}
	return s, s.clear()
}

// record is the payload at off if it is whole and has the expected number.
func record(data []byte, off int64, want uint64) (payload []byte, next int64) {
	whole := intact(data[min(off, int64(len(data))):])
	seq, size := binary.Uvarint(whole)
	if size <= 0 || seq != want {
		return nil, 0
	}
	return whole[size:], off + headSize + int64(len(whole))
}

// intact is the payload of the record that data begins with; nil if there is none.
func intact(data []byte) []byte {
	if len(data) < headSize {
		return nil
	}
	n := binary.LittleEndian.Uint32(data)
	if n == 0 || n > maxRecord || int64(n) > int64(len(data)-headSize) {
		return nil
	}
	payload := data[headSize : headSize+int64(n)]
	if crc32.Checksum(payload, castagnoli) != binary.LittleEndian.Uint32(data[4:]) {
		return nil
	}
	return payload
}

// checkTail distinguishes the end of the log from damage. A write that was cut
// short is the last one in the newest segment; an intact record behind it was
// written, and acknowledged, later.
func (s *segment) checkTail(data []byte, newest bool, seq uint64) error {
	rest := data[min(s.end, int64(len(data))):]
	if len(rest) == 0 || isZero(rest) {
		return nil
	}
	damaged := fmt.Errorf("%w: batch %d in %s (at byte %d) does not match its checksum; nothing was changed. Restore a backup, or ask for help before you delete anything", ErrDamaged, seq+1, s.path, s.end)
	if !newest {
		return damaged
	}
	for off := range rest {
		if intact(rest[off:]) != nil {
			return damaged
		}
	}
	return nil
}

func isZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// clear zeroes what a write that was cut short may have left behind the end.
func (s *segment) clear() error {
	if _, err := s.file.WriteAt(make([]byte, s.size-s.end), s.end); err != nil {
		return err
	}
	return s.file.Sync()
}

// append writes one record and syncs it. It is durable when append returns nil;
// after an error with touched the log must not be used any more.
func (l *wal) append(writes []write) error {
	rec := appendWrites(binary.AppendUvarint(append(l.buf[:0], make([]byte, headSize)...), l.seq+1), writes)
	l.buf = rec
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
	s := &segment{file: p.file, path: path, first: l.seq + 1, size: size.segment}
	l.segments = append(l.segments, s)
	l.touched = false
	l.prepare()
	l.drop()
	return s, nil
}

// prepare makes the next segment while this one fills.
func (l *wal) prepare() {
	l.spare = make(chan prepared, 1)
	go func(out chan<- prepared, length int64) {
		f, err := os.OpenFile(filepath.Join(l.dir, "spare"), os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
		if err == nil {
			zeros := make([]byte, 64<<10)
			for n := int64(0); n < length && err == nil; n += int64(len(zeros)) {
				_, err = f.Write(zeros)
			}
			if err == nil {
				err = f.Sync()
			}
			if err != nil { // free the space that it took on a full disk
				_ = f.Close()
				_ = os.Remove(f.Name())
				f = nil
			}
		}
		out <- prepared{f, err}
	}(l.spare, size.segment)
}

// drop removes segments whose batches lie in Badger's tables for certain.
func (l *wal) drop() {
	newer := int64(0) // without the one that has just begun
	for i := len(l.segments) - 2; i > 0; i-- {
		if newer += l.segments[i].size; newer < keepBytes() {
			continue
		}
		for _, s := range l.segments[:i] {
			_ = s.file.Close()
			_ = os.Remove(s.path)
		}
		l.segments = slices.Delete(l.segments, 0, i)
		return
	}
}

func (l *wal) close() {
	for _, s := range l.segments {
		if s.file != nil {
			_ = s.file.Close()
		}
	}
	if l.spare != nil {
		if p := <-l.spare; p.file != nil {
			_ = p.file.Close()
			_ = os.Remove(p.file.Name())
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
