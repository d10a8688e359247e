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

// clockFile holds the retention's clock, as RFC 3339 text.
const clockFile = "retention.clock"

var _ service.ClockStore = (*folder)(nil)

// LoadClock implements service.ClockStore.
func (d *folder) LoadClock() (time.Time, error) {
	path := filepath.Join(d.path, clockFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, err
	}
	t, err := time.Parse(time.RFC3339, strings.TrimSpace(string(text)))
	if err != nil {
		return t, fmt.Errorf("%s: %w: remove the file to restart the clock", path, err)
	}
	return t, nil
}

// SaveClock implements service.ClockStore.
func (d *folder) SaveClock(t time.Time) error {
	return writeWhole(filepath.Join(d.path, clockFile), []byte(t.UTC().Format(time.RFC3339)+"\n"))
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
		t, least := wall(), saved.Add(time.Since(began))
		if t.Before(least) {
			return least
		}
		return t
	}
}
