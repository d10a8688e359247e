package main

import (
	"context"
	"fmt"
	"time"
)

// blob measures one large upload and its download.
func blob(ctx context.Context, e *env) (metrics, error) {
	const key = "blob/log"
	size := int64(e.n)
	c, err := dial(ctx, e.t)
	if err != nil {
		return nil, err
	}
	defer c.close()
	body := newRawLog(size)
	begin, err := e.mark()
	if err != nil {
		return nil, err
	}
	if err := c.upload("POST", blobPath(key), body, size); err != nil {
		return nil, fmt.Errorf("upload: %w", err)
	}
	up, err := e.since(begin)
	if err != nil {
		return nil, err
	}
	m := metrics{"up_mb_per_s": float64(size) / 1e6 / up.wall.Seconds(), "up_cpu_s": up.server.Seconds()}
	if !e.t.service {
		return m, nil
	}
	at := time.Now()
	got, _, err := c.download(blobPath(key))
	if err != nil {
		return nil, fmt.Errorf("download: %w", err)
	}
	if got != size {
		return nil, fmt.Errorf("downloaded %d bytes of %d", got, size)
	}
	m["down_mb_per_s"] = float64(size) / 1e6 / time.Since(at).Seconds()
	return m, blobCost(e, m, float64(size))
}

func blobCost(e *env, m metrics, size float64) error {
	if e.t.pid == 0 {
		return nil
	}
	mem, err := memoryOf(e.t.pid)
	if err != nil {
		return err
	}
	// The peak counts the pages of the store's file that are mapped: they are
	// the kernel's to take back. What is the server's own is in the second.
	m["peak_mb"], m["own_mb"] = float64(mem.peak)/(1<<20), float64(mem.anon)/(1<<20)
	disk, err := diskUse(e.t.dir)
	m["disk_share"] = float64(disk) / size
	return err
}
