package farebox

import (
	"runtime/debug"
	"testing"
)

func TestVersionOf(t *testing.T) {
	vcs := []debug.BuildSetting{{Key: "vcs.revision", Value: "0123456789abcdef"}, {Key: "vcs.modified", Value: "true"}}
	for want, info := range map[string]debug.BuildInfo{
		"v1.2.3":                {Main: debug.Module{Path: module, Version: "v1.2.3"}},
		"v1.2.4":                {Main: debug.Module{Path: "caddy"}, Deps: []*debug.Module{{Path: module, Version: "v1.2.4"}}, Settings: vcs},
		"0123456789ab+modified": {Main: debug.Module{Path: module, Version: "(devel)"}, Settings: vcs},
		"development":           {Main: debug.Module{Path: "caddy"}, Deps: []*debug.Module{{Path: module, Version: "(devel)"}}, Settings: vcs},
	} {
		if got := versionOf(&info); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
