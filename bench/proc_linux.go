package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/harness/log-service/bench/load"
)

// cpu is the processor time that all threads of the process have used.
func cpu(pid int) (time.Duration, error) {
	// The clock that clock_getcpuclockid returns. /proc/<pid>/stat has the same
	// time in hundredths of a second, a tenth of what a short phase takes.
	const schedulerClock = 2
	var t unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|schedulerClock), &t); err != nil {
		return 0, fmt.Errorf("processor time of process %d: %w", pid, err)
	}
	return time.Duration(t.Nano()), nil
}

// memory is what a process holds, in bytes.
type memory struct {
	anon int64 // resident, its own: no mapped files
	rss  int64 // resident, mapped files included
	peak int64 // most of rss so far
}

func memoryOf(pid int) (m memory, err error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return m, err
	}
	for line := range strings.Lines(string(b)) {
		name, value, _ := strings.Cut(line, ":")
		to := map[string]*int64{"RssAnon": &m.anon, "VmRSS": &m.rss, "VmHWM": &m.peak}[name]
		if to == nil {
			continue
		}
		kb, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
		if err != nil {
			return m, fmt.Errorf("/proc/%d/status: %q", pid, line)
		}
		*to = kb << 10
	}
	return m, nil
}

// calm waits until the process's memory is stable (less than half a
// percent in two seconds, ten seconds at most) and returns it. A Go program
// returns unused memory over such a time, not at once.
func calm(ctx context.Context, pid int) (memory, error) {
	last, err := memoryOf(pid)
	for still, i := 0, 0; err == nil && still < 8 && i < 40; i++ {
		if err := pause(ctx, 250*time.Millisecond); err != nil {
			return last, err
		}
		var now memory
		now, err = memoryOf(pid)
		if diff := now.anon - last.anon; diff*200 < last.anon && -diff*200 < last.anon {
			still++
		} else {
			still, last = 0, now
		}
	}
	return last, err
}

// pause waits for d or for the end of ctx.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// diskUse is the bytes of disk that the files below dir take.
func diskUse(dir string) (n int64, err error) {
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // removed meanwhile, or not made by this version of the server
		}
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return nil
		}
		n += info.Sys().(*syscall.Stat_t).Blocks * 512
		return nil
	})
	return n, err
}

// cpuOf is 0 where the process of t is unknown.
func cpuOf(t *load.Target) (time.Duration, error) {
	if t.Pid == 0 {
		return 0, nil
	}
	return cpu(t.Pid)
}
