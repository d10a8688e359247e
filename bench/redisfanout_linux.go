package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/harness/log-service/bench/report"
	"github.com/harness/log-service/internal/logs"
	"github.com/harness/log-service/internal/stream/redis"
)

// redisFanOut writes e.n lines in batches of 10 through one node and follows
// them by so many cursors on each of so many nodes.
func redisFanOut(nodes, tailers int) measure {
	return func(ctx context.Context, e *env) (m report.Metrics, err error) {
		s, err := startRedis(ctx, e.dir)
		if err != nil {
			return nil, err
		}
		defer s.stop()
		// One node more writes, so that those measured all read from Redis.
		engines, stop, err := redisNodes(ctx, s, e.dir, nodes+1, redisHeld)
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, stop()) }()
		writer := engines[nodes]
		if err := writer.Open(ctx, redisID(0), logs.OpenOptions{}); err != nil {
			return nil, err
		}
		g, ctx := errgroup.WithContext(ctx)
		for _, n := range engines[:nodes] {
			for range tailers {
				c, err := n.Follow(ctx, redisID(0), 0)
				if err != nil {
					return nil, err
				}
				g.Go(func() error {
					defer c.Close()
					return drainTo(ctx, c, int64(e.n))
				})
			}
		}
		data := ndjson(10)
		before, err := cpu(s.pid)
		if err != nil {
			return nil, err
		}
		begin := time.Now()
		for i := range e.n / 10 {
			if wait := time.Until(begin.Add(time.Duration(i) * time.Millisecond)); wait > 0 {
				if err := pause(ctx, wait); err != nil {
					return nil, err
				}
			}
			if _, err := writer.Append(ctx, redisID(0), logs.Lines{Data: data, Count: 10}); err != nil {
				return nil, err
			}
		}
		if err := g.Wait(); err != nil {
			return nil, err
		}
		took := time.Since(begin)
		after, err := cpu(s.pid)
		lines := float64(e.n)
		return report.Metrics{
			"redis_cpu_s_per_m_lines": (after - before).Seconds() / lines * 1e6,
			"deliveries_per_s":        lines * float64(nodes*tailers) / took.Seconds(),
		}, err
	}
}

// redisScenarios hold the engine over Redis against bare Redis.
func redisScenarios() []scenario {
	engine := func(m measure) subject { return bare("service", m) }
	const cost = "redis_cpu_s_per_m_lines"
	var all []scenario
	for _, lines := range []int{1, 100, 1000} {
		rate := report.Row{Metric: "lines_per_s", Label: "lines/s", Against: "XADD"}
		if lines == 100 {
			rate.First = report.AtLeast(0.7)
		}
		all = append(all, scenario{
			name: fmt.Sprintf("redis/ingest/64x%d", lines), about: fmt.Sprintf("Redis: the engine, 64 writers, batches of %d", lines),
			subjects: []subject{engine(redisAppend(lines, 1, redisHeld)), bare("XADD", bareXADD(lines)), bare("moving", redisAppend(lines, 1, redis.DefaultStreamMemory)), bare("2 nodes in turn", redisAppend(lines, 2, redisHeld))},
			rows: []report.Row{rate,
				{Metric: "lines_per_s", Label: "lines/s", Against: "moving"},
				{Metric: "lines_per_s", Label: "lines/s", Against: "2 nodes in turn"},
				{Metric: cost, Label: "CPU s of Redis per M lines", Against: "XADD"},
			},
		})
	}
	return append(all, scenario{
		name: "redis/replay", about: "Redis: replay of {n} lines to one reader", count: count{1_000_000, 300_000},
		subjects: []subject{engine(redisReplay), bare("XREAD", bareXREAD)},
		rows:     []report.Row{{Metric: "lines_per_s", Label: "lines/s", Against: "XREAD"}},
	}, scenario{
		name: "redis/fanout", about: "Redis: 10,000 lines/s in batches of 10 to 500 readers on each of 2 nodes", count: count{30_000, 10_000},
		subjects: []subject{
			engine(redisFanOut(2, 500)), bare("2 nodes, 1 reader each", redisFanOut(2, 1)),
			bare("1 node, 1000 readers", redisFanOut(1, 1000)), bare("4 nodes, 1 reader each", redisFanOut(4, 1)),
		},
		rows: []report.Row{
			{Metric: cost, Label: "CPU s of Redis per M lines", Against: "2 nodes, 1 reader each", First: report.AtMost(1.3)},
			{Metric: cost, Label: "CPU s of Redis per M lines", Against: "1 node, 1000 readers"},
			{Metric: cost, Label: "CPU s of Redis per M lines", Against: "4 nodes, 1 reader each"},
			{Metric: "deliveries_per_s", Label: "deliveries/s"},
		},
	})
}
