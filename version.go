package farebox

import (
	"runtime/debug"
	"strings"
)

// stamped is the version of a release, set by the linker: -X
// github.com/farebox-dev/farebox.stamped=v1.2.3
var stamped string

// Version is that of this build: of the release, or of the module, or else the
// commit.
func Version() string {
	if stamped != "" {
		return stamped
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	return versionOf(info)
}

const module = "github.com/farebox-dev/farebox"

func versionOf(info *debug.BuildInfo) string {
	for _, m := range append(info.Deps, &info.Main) { // a dependency, if xcaddy built it
		for m.Replace != nil {
			m = m.Replace
		}
		if m.Path == module && m.Version != "" && m.Version != "(devel)" {
			return m.Version
		}
	}
	commit, changed := "", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision" && info.Main.Path == module:
			commit = s.Value[:min(12, len(s.Value))]
		case s.Key == "vcs.modified" && s.Value == "true":
			changed = "+modified"
		}
	}
	if commit == "" {
		return "development"
	}
	return strings.TrimSpace(commit + changed)
}
