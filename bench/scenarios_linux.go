package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/harness/log-service/bench/ref"
	"github.com/harness/log-service/bench/report"
)

// scenario is one piece of work, measured on one or more subjects in turn.
type scenario struct {
	name     string
	about    string // {n} is the count
	quick    bool   // part of the quick run
	own      bool   // needs a server that bench started itself
	count    count
	subjects []subject
	rows     []report.Row
}

// count is how many things a scenario works with. Quick runs take fewer; zero
// where time is the measure.
type count struct{ full, quick int }

func (c count) of(quick bool) int {
	if quick {
		return c.quick
	}
	return c.full
}

// title is what the scenario is about in a run.
func (s scenario) title(quick bool) string {
	return strings.ReplaceAll(s.about, "{n}", report.Grouped(s.count.of(quick)))
}

// subject is what is measured: the server, or a reference.
type subject struct {
	name    string
	process process
	measure measure
}

// process says what a subject's measure talks to.
type process string

const (
	inProcess process = ""        // nothing: it calls libraries
	durable   process = "service" // the server as it comes
	volatile  process = "memory"  // the server with LOG_SERVICE_STREAM=memory
	// The references' names are processes too.
)

func server(m measure) subject                 { return subject{"service", durable, m} }
func inMemory(m measure) subject               { return subject{"memory", volatile, m} }
func reference(kind string, m measure) subject { return subject{kind, process(kind), m} }
func bare(name string, m measure) subject {
	return subject{name, inProcess, m}
}

// scenarios lists everything, in the order of the report. The targets are
// explained in docs/performance.md.
func scenarios() []scenario {
	var all []scenario
	for _, writers := range []int{1, 8, 64} {
		for _, lines := range []int{1, 100, 1000} {
			all = append(all, ingestScenario(writers, lines))
		}
	}
	all = append(all, durabilityScenario())
	for _, readers := range []int{10, 100, 1000} {
		all = append(all, pacedScenario(readers))
	}
	all = append(all,
		saturatedScenario(1, count{3_000_000, 1_000_000}),
		saturatedScenario(10, count{1_000_000, 200_000}),
		saturatedScenario(100, count{200_000, 50_000}),
		saturatedScenario(1000, count{30_000, 10_000}),
	)
	all = append(all, grpcScenarios()...)
	all = append(all, redisScenarios()...)
	all = append(all, memoryScenarios()...)
	return append(all, logScenarios()...)
}

func ingestScenario(writers, lines int) scenario {
	m := ingest(writers, lines)
	s := scenario{
		name:     fmt.Sprintf("ingest/%dx%d", writers, lines),
		about:    fmt.Sprintf("ingest, %d writers, batches of %d", writers, lines),
		quick:    writers == 8 || writers == 64 && lines == 100,
		subjects: []subject{server(m), reference(ref.Discard, m), reference(ref.Scan, m)},
	}
	scanned := report.Row{Metric: "lines_per_s", Label: "lines/s", Against: ref.Scan}
	cost := report.Row{Metric: "cpu_s_per_m_lines", Label: "CPU s per M lines", Against: ref.Scan}
	if writers > 1 && lines > 1 {
		scanned.First, scanned.Then = report.AtLeast(0.5), report.AtLeast(0.8)
	}
	if writers > 1 && lines == 100 {
		cost.First, cost.Then = report.AtMost(0).Plus(0.8), report.AtMost(0).Plus(0.45)
	}
	raw := report.Row{Metric: "requests_per_s", Label: "requests/s", Against: ref.Discard}
	if writers == 64 && lines == 1 {
		raw.First, raw.Then = report.AtLeast(0.5), report.AtLeast(0.8)
	}
	p99 := report.Row{Metric: "put_p99_ms", Label: "PUT p99, ms", Against: ref.Discard}
	if writers == 8 && lines == 100 {
		s.subjects = append(s.subjects, bare("fdatasync", syncLoop(lines)))
		p99 = report.Row{Metric: "put_p99_ms", Label: "PUT p99, ms", Against: "fdatasync", Ref: "p50_ms", First: report.AtMost(3).Plus(5), Then: report.AtMost(2).Plus(2)}
	}
	s.rows = []report.Row{scanned, raw, cost, {Metric: "put_p50_ms", Label: "PUT p50, ms", Against: ref.Discard}, p99}
	return s
}

func durabilityScenario() scenario {
	m := ingest(64, 100)
	return scenario{
		name:     "durability",
		about:    "ingest, 64 writers, batches of 100: durable against memory",
		quick:    true,
		subjects: []subject{server(m), inMemory(m), bare("fdatasync", syncLoop(6400))},
		rows: []report.Row{
			{Metric: "lines_per_s", Label: "lines/s", Against: "memory", First: report.AtLeast(0.7), Then: report.AtLeast(0.9)},
			{Metric: "lines_per_s", Label: "lines/s", Against: "fdatasync"},
			{Metric: "cpu_s_per_m_lines", Label: "CPU s per M lines", Against: "memory"},
			{Metric: "put_p99_ms", Label: "PUT p99, ms", Against: "memory"},
		},
	}
}

func pacedScenario(readers int) scenario {
	m := fanOut{readers: readers, batch: 10, every: 10 * time.Millisecond}.measure
	rate := report.Row{Metric: "deliveries_per_s", Label: "deliveries/s", Against: ref.FanOut}
	p99 := report.Row{Metric: "p99_ms", Label: "latency p99, ms", Against: ref.FanOut}
	cost := report.Row{Metric: "cpu_s_per_m_deliveries", Label: "CPU s per M deliveries", Against: ref.FanOut}
	if readers == 1000 {
		rate.First = report.AtLeast(0).Plus(950_000)
		p99.First, p99.Then = report.AtMost(0).Plus(60), report.AtMost(0).Plus(30)
		cost.Then = report.AtMost(0).Plus(1.1)
	}
	return scenario{
		name:     fmt.Sprintf("fanout/%d", readers),
		about:    fmt.Sprintf("1,000 lines/s in batches of 10 to %d readers", readers),
		quick:    readers >= 100,
		count:    count{10_000, 3_000},
		subjects: []subject{server(m), reference(ref.FanOut, m)},
		rows: []report.Row{rate,
			{Metric: "written_per_s", Label: "lines/s written of 1,000", Against: ref.FanOut},
			{Metric: "p50_ms", Label: "latency p50, ms", Against: ref.FanOut}, p99,
			{Metric: "max_ms", Label: "latency max, ms", Against: ref.FanOut}, cost,
		},
	}
}

func saturatedScenario(readers int, lines count) scenario {
	m := fanOut{readers: readers, batch: 100}.measure
	rate := report.Row{Metric: "deliveries_per_s", Label: "deliveries/s", Against: ref.FanOut}
	if readers == 1000 {
		rate.First, rate.Then = report.AtLeast(0.6), report.AtLeast(0.85)
	}
	return scenario{
		name:     fmt.Sprintf("saturated/%d", readers),
		about:    fmt.Sprintf("{n} lines as fast as it goes in batches of 100 to %d readers", readers),
		quick:    readers == 1000,
		count:    lines,
		subjects: []subject{server(m), reference(ref.FanOut, m)},
		rows: []report.Row{rate,
			{Metric: "cpu_s_per_m_deliveries", Label: "CPU s per M deliveries", Against: ref.FanOut},
			{Metric: "p99_ms", Label: "latency p99, ms", Against: ref.FanOut},
		},
	}
}

// grpcScenarios hold live logs over gRPC against a bare stream of grpc-go with
// the same messages, and against HTTP.
func grpcScenarios() []scenario {
	const httpSubject = "HTTP"
	overHTTP := func(m measure) subject { return subject{httpSubject, durable, m} }
	var all []scenario
	for _, lines := range []int{100, 1000} {
		m := grpcPush{writers: 8, lines: lines}.measure
		all = append(all, scenario{
			name: fmt.Sprintf("grpc/push/8x%d", lines), about: fmt.Sprintf("gRPC: push, 8 writers, batches of %d, 16 on their way", lines), own: true,
			subjects: []subject{server(m), reference(ref.GRPC, m), overHTTP(ingest(8, lines))},
			rows: []report.Row{
				{Metric: "lines_per_s", Label: "lines/s", Against: ref.GRPC, First: report.AtLeast(0.6)},
				{Metric: "lines_per_s", Label: "lines/s", Against: httpSubject},
				{Metric: "lines_per_core_s", Label: "lines/s a core of the server", Against: ref.GRPC},
				{Metric: "put_p99_ms", Label: "sent to acknowledged p99, ms", Against: ref.GRPC},
			},
		})
	}
	replayed := grpcReplay(10)
	all = append(all, scenario{
		name: "grpc/tail/10", about: "gRPC: tail of {n} lines by 10 readers at once", own: true, count: count{500_000, 100_000},
		subjects: []subject{server(replayed), reference(ref.GRPC, replayed), overHTTP(replay(10))},
		rows: []report.Row{
			{Metric: "lines_per_s", Label: "lines/s in all", Against: ref.GRPC, First: report.AtLeast(0.6)},
			{Metric: "lines_per_s", Label: "lines/s in all", Against: httpSubject},
			{Metric: "lines_per_core_s", Label: "lines/s a core of the server", Against: ref.GRPC},
		},
	})
	const every = 10 * time.Millisecond
	paced := grpcFanOut{readers: 100, batch: 10, every: every}.measure
	return append(all, scenario{
		name: "grpc/fanout/100", about: "gRPC: 1,000 lines/s in batches of 10 to 100 readers", own: true, count: count{5_000, 3_000},
		subjects: []subject{server(paced), reference(ref.GRPC, paced), overHTTP(fanOut{readers: 100, batch: 10, every: every}.measure)},
		rows: []report.Row{
			{Metric: "deliveries_per_s", Label: "deliveries/s", Against: ref.GRPC, First: report.AtLeast(0.6)},
			{Metric: "p99_ms", Label: "latency p99, ms", Against: ref.GRPC},
			{Metric: "p99_ms", Label: "latency p99, ms", Against: httpSubject},
			{Metric: "cpu_s_per_m_deliveries", Label: "CPU s per M deliveries", Against: ref.GRPC},
			{Metric: "cpu_s_per_m_deliveries", Label: "CPU s per M deliveries", Against: httpSubject},
		},
	})
}

func memoryScenarios() []scenario {
	return []scenario{
		{
			name: "memory/streams", about: "{n} open streams that nobody uses", quick: true, own: true, count: count{100_000, 100_000},
			subjects: []subject{server(idleStreams)},
			rows: []report.Row{
				{Metric: "kb_per_stream", Label: "KB per stream", First: report.AtMost(0).Plus(1.5), Then: report.AtMost(0).Plus(0.8)},
				{Metric: "peak_mb", Label: "peak RSS, MB", First: report.AtMost(0).Plus(512)},
			},
		},
		{
			name: "memory/tailers", about: "{n} readers that have got everything", quick: true, own: true, count: count{1000, 1000},
			subjects: []subject{server(idleTailers), reference(ref.FanOut, idleTailers)},
			rows:     []report.Row{{Metric: "kb_per_tailer", Label: "KB per reader", Against: ref.FanOut, First: report.AtMost(0).Plus(28), Then: report.AtMost(0).Plus(16)}},
		},
		{
			name: "memory/lines", about: "{n} lines in 20 open logs that nobody uses", own: true, count: count{2_000_000, 200_000},
			subjects: []subject{server(idleLines)},
			rows: []report.Row{{Metric: "bytes_per_line", Label: "bytes of memory per line", First: report.AtMost(0).Plus(60)},
				{Metric: "json_bytes_per_line", Label: "bytes of JSON a line"}},
		},
	}
}

func logScenarios() []scenario {
	const fsync = "fdatasync"
	return []scenario{
		{
			name: "single", about: "one reader, one line at a time", quick: true, count: count{2000, 500},
			subjects: []subject{server(oneByOne), reference(ref.FanOut, oneByOne), bare(fsync, syncLoop(1))},
			rows: []report.Row{
				{Metric: "p50_ms", Label: "PUT to receipt p50, ms", Against: fsync, First: report.AtMost(1).Plus(1)},
				{Metric: "p50_ms", Label: "PUT to receipt p50, ms", Against: ref.FanOut},
				{Metric: "p99_ms", Label: "PUT to receipt p99, ms", Against: ref.FanOut},
				{Metric: "put_p50_ms", Label: "PUT to answer p50, ms", Against: ref.FanOut},
			},
		},
		replayScenario(1, count{1_000_000, 300_000}, report.AtLeast(0).Plus(600_000), report.AtLeast(0).Plus(1_500_000)),
		replayScenario(100, count{1_000_000, 100_000}, report.AtLeast(0).Plus(2_000_000), report.AtLeast(0).Plus(4_000_000)),
		{
			name: "archive", about: "close of a log of {n} lines until it is archived", quick: true, count: count{1_000_000, 300_000},
			subjects: []subject{server(closing), bare("zstd", compressing)},
			rows: []report.Row{
				{Metric: "lines_per_s", Label: "lines/s", Against: "zstd", First: report.AtLeast(0).Plus(1_000_000), Then: report.AtLeast(0).Plus(2_000_000)},
				{Metric: "answered_ms", Label: "close answered after, ms", First: report.AtMost(0).Plus(8000)},
				{Metric: "archive_share", Label: "archive / raw", Against: "zstd", First: report.AtMost(0).Plus(0.12)},
				{Metric: "peak_mb", Label: "peak RSS, MB"},
				{Metric: "download_mb_per_s", Label: "download, MB/s"},
			},
		},
		{
			name: "blob", about: "blob of {n} bytes", quick: true, count: count{1_000_000_000, 300_000_000},
			subjects: []subject{server(blob), reference(ref.Discard, blob), bare("bolt", boltCalls)},
			rows: []report.Row{
				{Metric: "up_mb_per_s", Label: "up, MB/s", Against: "bolt", First: report.AtLeast(0).Plus(150), Then: report.AtLeast(0).Plus(300)},
				{Metric: "up_mb_per_s", Label: "up, MB/s", Against: ref.Discard},
				{Metric: "down_mb_per_s", Label: "down, MB/s", Against: "bolt", First: report.AtLeast(0).Plus(800), Then: report.AtLeast(0).Plus(1500)},
				{Metric: "peak_mb", Label: "peak RSS, MB", First: report.AtMost(0).Plus(200)},
				{Metric: "disk_share", Label: "disk / raw", First: report.AtMost(0).Plus(0.15)},
			},
		},
		{
			name: "objects", about: "blob of {n} bytes, in a bucket of MinIO", quick: true, own: true, count: count{1_000_000_000, 300_000_000},
			subjects: []subject{{"service", objects, blob}, bare("minio-go", objectCalls)},
			rows: []report.Row{
				{Metric: "up_mb_per_s", Label: "up, MB/s", Against: "minio-go", First: report.AtLeast(0.5), Then: report.AtLeast(0.9)},
				{Metric: "down_mb_per_s", Label: "down, MB/s", Against: "minio-go", First: report.AtLeast(0.5), Then: report.AtLeast(0.9)},
				{Metric: "peak_mb", Label: "peak RSS, MB", First: report.AtMost(0).Plus(250)},
			},
		},
		{
			name: "life", about: "{n} logs: open, 5 pushes of 20 lines, close, archive; 16 workers", quick: true, count: count{20_000, 5_000},
			subjects: []subject{server(smallLogs)},
			rows: []report.Row{
				{Metric: "logs_per_s", Label: "logs/s", First: report.AtLeast(0).Plus(1500), Then: report.AtLeast(0).Plus(4000)},
				{Metric: "put_p50_ms", Label: "PUT p50, ms"},
				{Metric: "close_p50_ms", Label: "close p50, ms"},
				{Metric: "archive_bytes_per_log", Label: "bytes of disk per log, store", First: report.AtMost(0).Plus(4096)},
				{Metric: "disk_bytes_per_log", Label: "bytes of disk per log, all of the data folder"},
			},
		},
		{
			name: "restart", about: "start with {n} open streams", quick: true, own: true, count: count{100_000, 100_000},
			subjects: []subject{server(restart)},
			rows: []report.Row{
				{Metric: "stopped_ready_ms", Label: "ready after a stop, ms", First: report.AtMost(0).Plus(2000)},
				{Metric: "killed_ready_ms", Label: "ready after kill -9, ms", First: report.AtMost(0).Plus(2000)},
				{Metric: "stopped_stop_ms", Label: "time to stop, ms"},
				{Metric: "peak_mb", Label: "peak RSS, MB", First: report.AtMost(0).Plus(512)},
			},
		},
	}
}

func replayScenario(readers int, lines count, first, then report.Bound) scenario {
	m := replay(readers)
	return scenario{
		name:     fmt.Sprintf("replay/%d", readers),
		about:    fmt.Sprintf("replay of {n} lines to %d readers at once", readers),
		count:    lines,
		quick:    true,
		subjects: []subject{server(m), reference(ref.FanOut, m)},
		rows: []report.Row{
			{Metric: "lines_per_s", Label: "lines/s in all", Against: ref.FanOut, First: first, Then: then},
			{Metric: "cpu_s_per_m_lines", Label: "CPU s per M lines", Against: ref.FanOut},
		},
	}
}
