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

// LoadClock implements logs.ClockStore.
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
		return t, fmt.Errorf("%s: %w: remove the file, and the clock begins anew", path, err)
	}
	return t, nil
}

// SaveClock implements logs.ClockStore.
func (d *folder) SaveClock(t time.Time) error {
	return writeWhole(filepath.Join(d.path, clockFile), []byte(t.UTC().Format(time.RFC3339)+"\n"))
}
