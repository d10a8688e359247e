package server

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/harness/log-service/internal/service"
)

// clockFile holds the retention's clock: its time (RFC 3339) and the jump that the
// next start may make, separated by a space.
const clockFile = "retention.clock"

var _ service.ClockStore = (*folder)(nil)

// LoadClock implements service.ClockStore.
func (d *folder) LoadClock() (c service.Clock, err error) {
	path := filepath.Join(d.path, clockFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return c, err
	}
	at, jump, ok := strings.Cut(strings.TrimSpace(string(text)), " ")
	c.At, err = time.Parse(time.RFC3339, at)
	if err == nil && ok { // an older version wrote the time only
		c.Jump, err = time.ParseDuration(jump)
	}
	if err != nil {
		return service.Clock{}, fmt.Errorf("%s: %w: remove the file to restart the clock", path, err)
	}
	return c, nil
}

// SaveClock implements service.ClockStore.
func (d *folder) SaveClock(c service.Clock) error {
	text := fmt.Sprintf("%s %s\n", c.At.UTC().Format(time.RFC3339), c.Jump)
	return writeWhole(filepath.Join(d.path, clockFile), []byte(text))
}

// notBefore returns wall, but never a time before the one that the retention clock
// had reached at startup. Otherwise a log stored while the system clock is slow
// would already be old when the clock is corrected. If the retention clock cannot
// be read, notBefore returns wall; retention reports the error.
func (d *folder) notBefore(wall func() time.Time) func() time.Time {
	saved, err := d.LoadClock()
	if err != nil {
		return wall
	}
	began := time.Now()
	return func() time.Time {
		t, least := wall(), saved.At.Add(time.Since(began))
		if t.Before(least) {
			return least
		}
		return t
	}
}
