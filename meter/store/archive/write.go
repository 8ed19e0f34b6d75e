package archive

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
)

// Names of files that are being written.
const (
	writing = "writing"
	merging = "merging"
)

// Writer makes a run. Records come in order of key.
type Writer struct {
	temporary string // name of the file while it is written
	dir       string
	from, to  uint64
	codec     Codec
	file      *os.File
	records   []byte // of the block that fills
	first     string
	last      string
	blocks    []blockRef
	at        int64
	buf       []byte
	raw       int64 // bytes of records
}

// bufferSize is how much is written at once.
const bufferSize = 256 << 10

// Add adds a record. The file is made when the first one comes.
func (w *Writer) Add(r Record) error {
	if w.file == nil {
		f, err := os.OpenFile(filepath.Join(w.dir, w.temporary), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		w.file = f
	}
	if len(w.records) == 0 {
		w.first, w.last = strings.Clone(r.Key), "" // a key keeps those of its block in memory
	}
	w.records = appendRecord(w.records, w.last, r)
	w.last = r.Key
	w.raw += int64(len(r.Key) + len(r.Value))
	if len(w.records) < blockSize || w.codec == Small && len(w.records) < largeSize {
		return nil
	}
	return w.endBlock()
}

func (w *Writer) endBlock() error {
	if len(w.records) == 0 {
		return nil
	}
	before := len(w.buf)
	w.buf = appendBlock(w.buf, w.records, w.codec)
	n := int64(len(w.buf) - before)
	w.blocks = append(w.blocks, blockRef{first: w.first, at: w.at, len: n})
	w.at += n
	w.records = w.records[:0]
	if len(w.buf) < bufferSize {
		return nil
	}
	return w.flush()
}

func (w *Writer) flush() error {
	_, err := w.file.Write(w.buf)
	w.buf = w.buf[:0]
	return err
}

// finish makes the run durable and opens it; nil if it has no record.
func (w *Writer) finish() (*run, error) {
	if w.file == nil {
		return nil, nil
	}
	err := w.endBlock()
	if err == nil {
		w.buf = appendIndex(w.buf, w.blocks)
		err = w.flush()
	}
	if err == nil {
		err = w.file.Sync()
	}
	path := filepath.Join(w.dir, runName(w.from, w.to))
	if err = errors.Join(err, w.file.Close()); err == nil {
		err = os.Rename(w.file.Name(), path)
	}
	if err == nil {
		err = syncDir(w.dir)
	}
	if err != nil {
		return nil, errors.Join(err, w.abandon())
	}
	return openRun(path)
}

// abandon removes what was written.
func (w *Writer) abandon() error {
	if w.file == nil {
		return nil
	}
	_ = w.file.Close()
	if err := os.Remove(w.file.Name()); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir) //nolint:gosec // our own directory
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
