package main

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
)

// content is what an archive holds besides the binary.
var content = []string{"CHANGELOG.md", "LICENSE", "README.md", "SECURITY.md", "deploy", "docs", "pricing.yaml"}

// archive packs the binary and content below a directory called name. Order, owners,
// modes and times are fixed, so that the same files give the same archive.
func (r *release) archive(file, name, binary string) (err error) {
	f, err := os.Create(file) //nolint:gosec // our own name
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	zip, err := gzip.NewWriterLevel(f, gzip.BestCompression)
	if err != nil {
		return err
	}
	out := tar.NewWriter(zip)
	if err := r.add(out, path.Join(name, "farebox"), binary, 0o755); err != nil {
		return err
	}
	for _, c := range content {
		err := filepath.WalkDir(filepath.Join(r.root, c), func(p string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() || filepath.Ext(p) == ".go" {
				return err
			}
			rel, err := filepath.Rel(r.root, p)
			if err != nil {
				return err
			}
			return r.add(out, path.Join(name, filepath.ToSlash(rel)), p, 0o644)
		})
		if err != nil {
			return err
		}
	}
	return errors.Join(out.Close(), zip.Close())
}

func (r *release) add(out *tar.Writer, name, file string, mode int64) (err error) {
	f, err := os.Open(file) //nolint:gosec // of the repository
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if err := out.WriteHeader(&tar.Header{Name: name, Mode: mode, Size: info.Size(), ModTime: r.at, Format: tar.FormatPAX}); err != nil {
		return err
	}
	_, err = io.Copy(out, f)
	return err
}
