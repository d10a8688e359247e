package cli

import (
	"runtime/debug"
	"testing"
)

const revision = "0123456789abcdef0123456789abcdef01234567"

func vcs(modified string) []debug.BuildSetting {
	return []debug.BuildSetting{{Key: "vcs.revision", Value: revision}, {Key: "vcs.modified", Value: modified}}
}

func TestTheVersionNamesVersionAndCommitHoweverTheProgramWasBuilt(t *testing.T) {
	for _, test := range []struct {
		name   string
		linked build
		info   debug.BuildInfo
		want   build
	}{
		{"make release", build{Version: "v1.2.3", Commit: revision}, debug.BuildInfo{}, build{Version: "v1.2.3", Commit: revision}},
		{"make build with changes", build{Version: "v1.2.3-dirty", Commit: revision}, debug.BuildInfo{Settings: vcs("true")},
			build{Version: "v1.2.3-dirty", Commit: revision, Modified: true}},
		{"go build in a checkout", build{}, debug.BuildInfo{Main: debug.Module{Version: "v0.0.0-20261128020217-0123456789ab"}, Settings: vcs("false")},
			build{Version: "v0.0.0-20261128020217-0123456789ab", Commit: revision}},
		{"go build in a checkout with changes", build{}, debug.BuildInfo{Main: debug.Module{Version: "(devel)"}, Settings: vcs("true")},
			build{Version: "devel", Commit: revision, Modified: true}},
		{"go install of a version", build{}, debug.BuildInfo{Main: debug.Module{Version: "v1.2.3"}}, build{Version: "v1.2.3"}},
		{"go run", build{}, debug.BuildInfo{Main: debug.Module{Version: "(devel)"}}, build{Version: "devel"}},
	} {
		got := test.linked
		got.complete(&test.info)
		if got != test.want {
			t.Errorf("%s: %+v, want %+v", test.name, got, test.want)
		}
	}
}
