package main

import (
	"context"
	"fmt"
	"time"

	"github.com/harness/log-service/bench/load"
	"github.com/harness/log-service/bench/report"
)

// blob measures one large upload and its download.
func blob(ctx context.Context, e *env) (report.Metrics, error) {
	const key = "blob/log"
	size := int64(e.n)
	c, err := load.Dial(ctx, e.t)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	body := load.NewRawLog(size)
	begin, err := e.mark()
	if err != nil {
		return nil, err
	}
	if err := c.Upload("POST", load.BlobPath(key), body, size); err != nil {
		return nil, fmt.Errorf("upload: %w", err)
	}
	up, err := e.since(begin)
	if err != nil {
		return nil, err
	}
	m := report.Metrics{"up_mb_per_s": float64(size) / 1e6 / up.wall.Seconds(), "up_cpu_s": up.server.Seconds()}
	if !e.t.Service {
		return m, nil
	}
	at := time.Now()
	got, _, err := c.Download(load.BlobPath(key))
	if err != nil {
		return nil, fmt.Errorf("download: %w", err)
	}
	if got != size {
		return nil, fmt.Errorf("downloaded %d bytes of %d", got, size)
	}
	m["down_mb_per_s"] = float64(size) / 1e6 / time.Since(at).Seconds()
	return m, blobCost(e, m, float64(size))
}

func blobCost(e *env, m report.Metrics, size float64) error {
	if e.t.Pid == 0 {
		return nil
	}
	mem, err := memoryOf(e.t.Pid)
	if err != nil {
		return err
	}
	// The peak includes mapped pages of the store's file, which the kernel can
	// reclaim. The second figure is the server's own memory.
	m["peak_mb"], m["own_mb"] = float64(mem.peak)/(1<<20), float64(mem.anon)/(1<<20)
	disk, err := diskUse(e.t.Dir)
	m["disk_share"] = float64(disk) / size
	return err
}
