//go:build linux

package e2e_test

import (
	"bytes"
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

// TestAPushOutlivesAFullVolume pipes into a log whose server has no space left: what
// is read then is delivered once there is space, or reported at the end.
func TestAPushOutlivesAFullVolume(t *testing.T) {
	t.Parallel()
	v := newVolume(t, false)
	patient := v.s.producer(t, nil, "--open", "full/1")
	patient.print(100, 10)
	patient.delivered(v.s, "full/1")
	brief := v.s.producer(t, nil, "--open", "--timeout", "1s", "full/2")
	brief.print(100, 10)
	brief.delivered(v.s, "full/2")
	v.fill(true)
	v.isFull()
	patient.print(20_000, 100)
	brief.print(20_000, 100)
	brief.end(6, lostLines+".*no space left")
	if err := os.Remove(v.foreign()); err != nil {
		t.Fatal(err)
	}
	patient.end(0, `^$`)
	if got := v.s.text("full/1"); !bytes.Equal(got, patient.text.Bytes()) {
		t.Errorf("the log differs: %s", difference(got, patient.text.Bytes()))
	}
}
