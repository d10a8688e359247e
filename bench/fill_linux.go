package main

import (
	"context"
	"fmt"

	"github.com/harness/log-service/bench/load"
)

// fill writes lines to an open log in batches of a thousand, all different.
// It returns the bytes of JSON that it sent.
func fill(ctx context.Context, t *load.Target, key string, lines int) (size int64, err error) {
	c, err := load.Dial(ctx, t)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	batches := load.Pool(load.NewBuildLog(load.TextSeed), t.Host(), key, lines, 1000)
	for k := 0; k*1000 < lines; k++ {
		if err := ctx.Err(); err != nil {
			return size, err
		}
		b := batches[k%len(batches)]
		b.Number(int64(k))
		if err := c.Send(b.Request); err != nil {
			return size, fmt.Errorf("append: %w", err)
		}
		size += int64(b.Body)
	}
	return size, nil
}
