package grpcapi

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
)

// Whatever changes, and however seldom a watch looks: what it was told makes the
// streams that there are.
func TestAWatchKnowsWhatThereIs(t *testing.T) {
	type watch struct {
		prefix  logservice.Key
		version int64
		knows   map[logservice.Key]int64
	}
	rapid.Check(t, func(t *rapid.T) {
		streams := map[logservice.Key]int64{}
		prefixes := []logservice.Key{"", "p", "p/1", "p-x", "q"}
		var watches []*watch
		var snap *snapshot
		now := time.Unix(0, 0)
		look := func(w *watch) {
			changed, ended, err := snap.since(w.version, w.prefix)
			if err != nil { // it begins again
				w.version, w.knows = 0, map[logservice.Key]int64{}
				changed, ended, err = snap.since(0, w.prefix)
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, i := range changed {
				w.knows[i.ID.Key] = i.Lines
			}
			for _, k := range ended {
				delete(w.knows, logservice.Key(k))
			}
			w.version = snap.version
			want := maps.Clone(streams)
			maps.DeleteFunc(want, func(k logservice.Key, _ int64) bool { return !k.Under(w.prefix) })
			if !maps.Equal(w.knows, want) {
				t.Fatalf("a watch of %q knows %v, want %v", w.prefix, w.knows, want)
			}
		}
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			for range rapid.IntRange(0, 4).Draw(t, "changes") {
				key := logservice.Key(rapid.SampledFrom([]string{"p", "p/1", "p/1/a", "p/10", "p/2", "p-x", "p-x/1", "p0", "q", "q/1"}).Draw(t, "key"))
				if _, ok := streams[key]; ok && rapid.Bool().Draw(t, "ends") {
					delete(streams, key)
				} else {
					streams[key]++
				}
			}
			var infos []logs.Info
			for key, lines := range streams {
				infos = append(infos, logs.Info{ID: logservice.ID{Account: "A", Key: key}, Lines: lines})
			}
			slices.SortFunc(infos, func(a, b logs.Info) int { return cmp.Compare(a.ID.Key, b.ID.Key) })
			now = now.Add(time.Duration(rapid.IntRange(1, 90).Draw(t, "seconds")) * time.Second)
			snap = snap.follow(infos, now)
			if rapid.Bool().Draw(t, "another") {
				watches = append(watches, &watch{prefix: rapid.SampledFrom(prefixes).Draw(t, "prefix"), knows: map[logservice.Key]int64{}})
			}
			for _, w := range watches {
				if rapid.Bool().Draw(t, "looks") {
					look(w)
				}
			}
		}
	})
}

// Many watches of an account cost one list.
func BenchmarkSharedList(b *testing.B) {
	var infos []logs.Info
	for n := range 50000 {
		infos = append(infos, logs.Info{ID: logservice.ID{Account: "A", Key: logservice.Key(fmt.Sprintf("project/%05d/step", n))}, Lines: int64(n)})
	}
	var snap *snapshot
	for b.Loop() {
		snap = snap.follow(infos, time.Now())
		if changed, ended, err := snap.since(snap.version-1, ""); err != nil || len(ended) > 0 || snap.version > 1 && len(changed) > 0 {
			b.Fatal(len(changed), len(ended), err)
		}
	}
}
