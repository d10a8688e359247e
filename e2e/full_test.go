//go:build linux

package e2e_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/harness/log-service/internal/stream/streamtest"
)

// TestAFullVolumeRefusesAppendsOnlyAndRecoversOnline fills the volume of a
// server, through its API or by a file of somebody else, looks at everything
// that must go on, restarts it on the full volume, and makes space again through
// the API or by removing the file. Nothing that was acknowledged may be missing.
func TestAFullVolumeRefusesAppendsOnlyAndRecoversOnline(t *testing.T) {
	t.Parallel()
	type scenario struct{ alone, foreign, kill, stop bool }
	all := []scenario{
		{foreign: true, kill: true}, {}, {alone: true, stop: true}, // the quick ones
		{kill: true}, {stop: true}, {alone: true}, {alone: true, kill: true}, {foreign: true}, {foreign: true, stop: true},
		{alone: true, foreign: true}, {alone: true, foreign: true, kill: true}, {alone: true, foreign: true, stop: true},
	}
	for _, c := range all[:streamtest.Scale(2, 3, len(all))] {
		where, by, restart := "streams and store on it", "through the API", "no restart"
		if c.alone {
			where = "streams alone on it"
		}
		if c.foreign {
			by = "by a foreign file"
		}
		if c.kill {
			restart = "kill -9"
		} else if c.stop {
			restart = "SIGTERM"
		}
		t.Run(fmt.Sprintf("%s, filled %s, %s", where, by, restart), func(t *testing.T) {
			v := newVolume(t, c.alone)
			v.fill(c.foreign)
			v.isFull()
			switch {
			case c.kill:
				v.s.kill()
				v.s.start()
				v.isFull()
			case c.stop:
				v.s.stop()
				v.s.start()
				v.isFull()
			}
			if c.foreign {
				if err := os.Remove(v.foreign()); err != nil {
					t.Fatal(err)
				}
			} else {
				v.makeSpace()
			}
			v.works()
			v.check()
		})
	}
}
