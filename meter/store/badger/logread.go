package badger

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// openLog reads the segments that have batches after the given one, calls replay
// for these batches in order, and ends behind the last whole one.
func openLog(dir string, after uint64, replay func(seq uint64, payload []byte) error) (*wal, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	l := &wal{dir: dir, sync: datasync}
	err := l.list()
	for i, s := range l.segments {
		newest := i == len(l.segments)-1
		if err != nil || !newest && l.segments[i+1].first <= after+1 {
			continue
		}
		if l.seq == 0 {
			l.seq = s.first - 1
		}
		err = l.read(s, newest, func(seq uint64, payload []byte) error {
			if seq <= after {
				return nil
			}
			return replay(seq, payload)
		})
	}
	if err == nil {
		l.witness, err = openWitness(filepath.Join(dir, "acknowledged"), l.seq)
	}
	if err != nil {
		l.close()
		return nil, err
	}
	l.prepare()
	l.kept.Store(int64(len(l.segments)))
	return l, nil
}

// list finds the segments by their names.
func (l *wal) list() error {
	names, err := filepath.Glob(filepath.Join(l.dir, "*.log"))
	if err != nil {
		return err
	}
	slices.Sort(names)
	for _, name := range names {
		s := &segment{path: name}
		if _, err := fmt.Sscanf(strings.TrimSuffix(filepath.Base(name), ".log"), "%016x", &s.first); err != nil {
			return fmt.Errorf("%w: %s is no segment of it", ErrDamaged, name)
		}
		l.segments = append(l.segments, s)
	}
	return nil
}

func (l *wal) read(s *segment, newest bool, replay func(uint64, []byte) error) error {
	if s.first != l.seq+1 {
		return fmt.Errorf("%w: batches %d to %d are missing before %s; restore a backup", ErrDamaged, l.seq+1, s.first-1, s.path)
	}
	data, err := os.ReadFile(s.path)
	if err != nil {
		return err
	}
	for {
		payload, next := record(data, s.end, l.seq+1)
		if payload == nil {
			break
		}
		l.seq++
		if err := replay(l.seq, payload); err != nil {
			return fmt.Errorf("replaying batch %d of %s: %w", l.seq, s.path, err)
		}
		s.end = next
	}
	if err := s.checkTail(data, newest, l.seq); err != nil {
		return err
	}
	s.size = int64(len(data))
	if !newest {
		return nil
	}
	if s.file, err = os.OpenFile(s.path, os.O_RDWR, 0o600); err != nil {
		return err
	}
	return s.clear()
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
