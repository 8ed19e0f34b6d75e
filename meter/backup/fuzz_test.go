package backup_test

import (
	"bytes"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/farebox-dev/farebox/meter/backup"
)

// Whatever a file holds, reading it ends, with io.EOF only after an end mark.
func FuzzBackup(f *testing.F) {
	var file bytes.Buffer
	w, err := backup.NewWriter(&file, backup.Header{ID: "bk_1", Base: "bk_0"})
	if err != nil {
		f.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // a seed
	for i := range byte(20) {
		if err := w.Put(backup.Record{Key: "a/" + string('a'+i) + "\x00", Value: make([]byte, r.IntN(9))}); err != nil {
			f.Fatal(err)
		}
	}
	if _, err := w.Close(); err != nil {
		f.Fatal(err)
	}
	f.Add(file.Bytes())
	f.Add([]byte("\x02\x00\x00\x00\x00\x00\x00\x00\x0a\x00 of an earlier version"))
	f.Fuzz(func(t *testing.T, b []byte) {
		from, h, err := backup.Open(bytes.NewReader(b))
		for n := 0; err == nil; n++ {
			if n > 1<<20 {
				t.Fatal("there is no end")
			}
			_, err = from.Next()
		}
		if err == io.EOF && h != nil && !bytes.Contains(b, []byte(`"records"`)) { //nolint:errorlint // io.EOF itself is the end
			t.Error("a backup without an end mark was read to its end")
		}
	})
}
