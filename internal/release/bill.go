package main

import (
	"debug/buildinfo"
	"errors"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"github.com/CycloneDX/cyclonedx-go"
)

// bill writes which modules are linked into a binary, as the binary itself says it, in
// the format of CycloneDX.
func (r *release) bill(file, built string) (err error) {
	info, err := buildinfo.ReadFile(built)
	if err != nil {
		return err
	}
	main := cyclonedx.Component{
		BOMRef: "farebox", Type: cyclonedx.ComponentTypeApplication, Name: filepath.Base(info.Main.Path), Version: r.version,
		PackageURL: "pkg:golang/" + info.Main.Path + "@" + r.version,
		Licenses:   &cyclonedx.Licenses{{License: &cyclonedx.License{ID: "Apache-2.0"}}},
	}
	all := []cyclonedx.Component{{
		BOMRef: "go", Type: cyclonedx.ComponentTypeLibrary, Name: "std", Version: info.GoVersion, PackageURL: "pkg:golang/std@" + info.GoVersion[len("go"):],
	}}
	for _, m := range info.Deps {
		all = append(all, component(m))
	}
	refs := make([]string, len(all))
	for i := range all {
		refs[i] = all[i].BOMRef
	}
	b := cyclonedx.NewBOM()
	b.Metadata = &cyclonedx.Metadata{Timestamp: r.at.Format(time.RFC3339), Component: &main}
	b.Components = &all
	b.Dependencies = &[]cyclonedx.Dependency{{Ref: "farebox", Dependencies: &refs}}
	f, err := os.Create(file) //nolint:gosec // our own name
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return cyclonedx.NewBOMEncoder(f, cyclonedx.BOMFileFormatJSON).SetPretty(true).Encode(b)
}

func component(m *debug.Module) cyclonedx.Component {
	for m.Replace != nil {
		m = m.Replace
	}
	url := "pkg:golang/" + m.Path + "@" + m.Version
	c := cyclonedx.Component{BOMRef: url, Type: cyclonedx.ComponentTypeLibrary, Name: m.Path, Version: m.Version, PackageURL: url}
	if m.Sum != "" { // that of go.sum
		c.Properties = &[]cyclonedx.Property{{Name: "go:sum", Value: m.Sum}}
	}
	return c
}
