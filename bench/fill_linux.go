package main

import (
	"context"
	"fmt"
)

// fill writes lines to an open log in batches of a thousand, all different.
// It returns the bytes of JSON that it sent.
func fill(ctx context.Context, t *target, key string, lines int) (size int64, err error) {
	c, err := dial(ctx, t)
	if err != nil {
		return 0, err
	}
	defer c.close()
	batches := pool(newBuildLog(textSeed), t.host(), key, lines, 1000)
	for k := 0; k*1000 < lines; k++ {
		if err := ctx.Err(); err != nil {
			return size, err
		}
		b := batches[k%len(batches)]
		b.number(int64(k))
		if err := c.send(b.request); err != nil {
			return size, fmt.Errorf("append: %w", err)
		}
		size += int64(b.body)
	}
	return size, nil
}
