package main

import (
	"fmt"
	"strings"
	"time"
)

// scenario is one piece of work, measured on one or more subjects in turn.
type scenario struct {
	name     string
	about    string // {n} is the count
	quick    bool   // part of the quick run
	own      bool   // needs a server that bench started itself
	count    count
	subjects []subject
	rows     []row
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
	return strings.ReplaceAll(s.about, "{n}", grouped(s.count.of(quick)))
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

// row is a line of the report: a figure of the server's, beside one of a
// reference's, and what it ought to be.
type row struct {
	metric      string
	label       string
	against     string // subject
	ref         string // its figure; the same name when empty
	first, then bound
}

func server(m measure) subject           { return subject{"service", durable, m} }
func inMemory(m measure) subject         { return subject{"memory", volatile, m} }
func ref(kind string, m measure) subject { return subject{kind, process(kind), m} }
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
		subjects: []subject{server(m), ref(refDiscard, m), ref(refScan, m)},
	}
	scanned := row{metric: "lines_per_s", label: "lines/s", against: refScan}
	cost := row{metric: "cpu_s_per_m_lines", label: "CPU s per M lines", against: refScan}
	if writers > 1 && lines > 1 {
		scanned.first, scanned.then = atLeast(0.5), atLeast(0.8)
	}
	if writers > 1 && lines == 100 {
		cost.first, cost.then = atMost(0).plus(0.8), atMost(0).plus(0.45)
	}
	raw := row{metric: "requests_per_s", label: "requests/s", against: refDiscard}
	if writers == 64 && lines == 1 {
		raw.first, raw.then = atLeast(0.5), atLeast(0.8)
	}
	p99 := row{metric: "put_p99_ms", label: "PUT p99, ms", against: refDiscard}
	if writers == 8 && lines == 100 {
		s.subjects = append(s.subjects, bare("fdatasync", syncLoop(lines)))
		p99 = row{metric: "put_p99_ms", label: "PUT p99, ms", against: "fdatasync", ref: "p50_ms", first: atMost(3).plus(5), then: atMost(2).plus(2)}
	}
	s.rows = []row{scanned, raw, cost, {metric: "put_p50_ms", label: "PUT p50, ms", against: refDiscard}, p99}
	return s
}

func durabilityScenario() scenario {
	m := ingest(64, 100)
	return scenario{
		name:     "durability",
		about:    "ingest, 64 writers, batches of 100: durable against memory",
		quick:    true,
		subjects: []subject{server(m), inMemory(m), bare("fdatasync", syncLoop(6400))},
		rows: []row{
			{metric: "lines_per_s", label: "lines/s", against: "memory", first: atLeast(0.7), then: atLeast(0.9)},
			{metric: "lines_per_s", label: "lines/s", against: "fdatasync"},
			{metric: "cpu_s_per_m_lines", label: "CPU s per M lines", against: "memory"},
			{metric: "put_p99_ms", label: "PUT p99, ms", against: "memory"},
		},
	}
}

func pacedScenario(readers int) scenario {
	m := fanOut{readers: readers, batch: 10, every: 10 * time.Millisecond}.measure
	rate := row{metric: "deliveries_per_s", label: "deliveries/s", against: refFanOut}
	p99 := row{metric: "p99_ms", label: "latency p99, ms", against: refFanOut}
	cost := row{metric: "cpu_s_per_m_deliveries", label: "CPU s per M deliveries", against: refFanOut}
	if readers == 1000 {
		rate.first = atLeast(0).plus(950_000)
		p99.first, p99.then = atMost(0).plus(60), atMost(0).plus(30)
		cost.then = atMost(0).plus(1.1)
	}
	return scenario{
		name:     fmt.Sprintf("fanout/%d", readers),
		about:    fmt.Sprintf("1,000 lines/s in batches of 10 to %d readers", readers),
		quick:    readers >= 100,
		count:    count{10_000, 3_000},
		subjects: []subject{server(m), ref(refFanOut, m)},
		rows: []row{rate,
			{metric: "written_per_s", label: "lines/s written of 1,000", against: refFanOut},
			{metric: "p50_ms", label: "latency p50, ms", against: refFanOut}, p99,
			{metric: "max_ms", label: "latency max, ms", against: refFanOut}, cost,
		},
	}
}

func saturatedScenario(readers int, lines count) scenario {
	m := fanOut{readers: readers, batch: 100}.measure
	rate := row{metric: "deliveries_per_s", label: "deliveries/s", against: refFanOut}
	if readers == 1000 {
		rate.first, rate.then = atLeast(0.6), atLeast(0.85)
	}
	return scenario{
		name:     fmt.Sprintf("saturated/%d", readers),
		about:    fmt.Sprintf("{n} lines as fast as it goes in batches of 100 to %d readers", readers),
		quick:    readers == 1000,
		count:    lines,
		subjects: []subject{server(m), ref(refFanOut, m)},
		rows: []row{rate,
			{metric: "cpu_s_per_m_deliveries", label: "CPU s per M deliveries", against: refFanOut},
			{metric: "p99_ms", label: "latency p99, ms", against: refFanOut},
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
			subjects: []subject{server(m), ref(refGRPC, m), overHTTP(ingest(8, lines))},
			rows: []row{
				{metric: "lines_per_s", label: "lines/s", against: refGRPC, first: atLeast(0.6)},
				{metric: "lines_per_s", label: "lines/s", against: httpSubject},
				{metric: "lines_per_core_s", label: "lines/s a core of the server", against: refGRPC},
				{metric: "put_p99_ms", label: "sent to acknowledged p99, ms", against: refGRPC},
			},
		})
	}
	replayed := grpcReplay(10)
	all = append(all, scenario{
		name: "grpc/tail/10", about: "gRPC: tail of {n} lines by 10 readers at once", own: true, count: count{500_000, 100_000},
		subjects: []subject{server(replayed), ref(refGRPC, replayed), overHTTP(replay(10))},
		rows: []row{
			{metric: "lines_per_s", label: "lines/s in all", against: refGRPC, first: atLeast(0.6)},
			{metric: "lines_per_s", label: "lines/s in all", against: httpSubject},
			{metric: "lines_per_core_s", label: "lines/s a core of the server", against: refGRPC},
		},
	})
	const every = 10 * time.Millisecond
	paced := grpcFanOut{readers: 100, batch: 10, every: every}.measure
	return append(all, scenario{
		name: "grpc/fanout/100", about: "gRPC: 1,000 lines/s in batches of 10 to 100 readers", own: true, count: count{5_000, 3_000},
		subjects: []subject{server(paced), ref(refGRPC, paced), overHTTP(fanOut{readers: 100, batch: 10, every: every}.measure)},
		rows: []row{
			{metric: "deliveries_per_s", label: "deliveries/s", against: refGRPC, first: atLeast(0.6)},
			{metric: "p99_ms", label: "latency p99, ms", against: refGRPC},
			{metric: "p99_ms", label: "latency p99, ms", against: httpSubject},
			{metric: "cpu_s_per_m_deliveries", label: "CPU s per M deliveries", against: refGRPC},
			{metric: "cpu_s_per_m_deliveries", label: "CPU s per M deliveries", against: httpSubject},
		},
	})
}

func memoryScenarios() []scenario {
	return []scenario{
		{
			name: "memory/streams", about: "{n} open streams that nobody uses", quick: true, own: true, count: count{100_000, 100_000},
			subjects: []subject{server(idleStreams)},
			rows: []row{
				{metric: "kb_per_stream", label: "KB a stream", first: atMost(0).plus(1.5), then: atMost(0).plus(0.8)},
				{metric: "peak_mb", label: "peak RSS, MB", first: atMost(0).plus(512)},
			},
		},
		{
			name: "memory/tailers", about: "{n} readers that have got everything", quick: true, own: true, count: count{1000, 1000},
			subjects: []subject{server(idleTailers), ref(refFanOut, idleTailers)},
			rows:     []row{{metric: "kb_per_tailer", label: "KB a reader", against: refFanOut, first: atMost(0).plus(28), then: atMost(0).plus(16)}},
		},
		{
			name: "memory/lines", about: "{n} lines in 20 open logs that nobody uses", own: true, count: count{2_000_000, 200_000},
			subjects: []subject{server(idleLines)},
			rows: []row{{metric: "bytes_per_line", label: "bytes of memory a line", first: atMost(0).plus(60)},
				{metric: "json_bytes_per_line", label: "bytes of JSON a line"}},
		},
	}
}

func logScenarios() []scenario {
	const fsync = "fdatasync"
	return []scenario{
		{
			name: "single", about: "one reader, one line at a time", quick: true, count: count{2000, 500},
			subjects: []subject{server(oneByOne), ref(refFanOut, oneByOne), bare(fsync, syncLoop(1))},
			rows: []row{
				{metric: "p50_ms", label: "PUT to receipt p50, ms", against: fsync, first: atMost(1).plus(1)},
				{metric: "p50_ms", label: "PUT to receipt p50, ms", against: refFanOut},
				{metric: "p99_ms", label: "PUT to receipt p99, ms", against: refFanOut},
				{metric: "put_p50_ms", label: "PUT to answer p50, ms", against: refFanOut},
			},
		},
		replayScenario(1, count{1_000_000, 300_000}, atLeast(0).plus(600_000), atLeast(0).plus(1_500_000)),
		replayScenario(100, count{1_000_000, 100_000}, atLeast(0).plus(2_000_000), atLeast(0).plus(4_000_000)),
		{
			name: "archive", about: "close of a log of {n} lines until it is archived", quick: true, count: count{1_000_000, 300_000},
			subjects: []subject{server(closing), bare("zstd", compressing)},
			rows: []row{
				{metric: "lines_per_s", label: "lines/s", against: "zstd", first: atLeast(0).plus(1_000_000), then: atLeast(0).plus(2_000_000)},
				{metric: "answered_ms", label: "close answered after, ms", first: atMost(0).plus(8000)},
				{metric: "archive_share", label: "archive / raw", against: "zstd", first: atMost(0).plus(0.12)},
				{metric: "peak_mb", label: "peak RSS, MB"},
				{metric: "download_mb_per_s", label: "download, MB/s"},
			},
		},
		{
			name: "blob", about: "blob of {n} bytes", quick: true, count: count{1_000_000_000, 300_000_000},
			subjects: []subject{server(blob), ref(refDiscard, blob), bare("bolt", boltCalls)},
			rows: []row{
				{metric: "up_mb_per_s", label: "up, MB/s", against: "bolt", first: atLeast(0).plus(150), then: atLeast(0).plus(300)},
				{metric: "up_mb_per_s", label: "up, MB/s", against: refDiscard},
				{metric: "down_mb_per_s", label: "down, MB/s", against: "bolt", first: atLeast(0).plus(800), then: atLeast(0).plus(1500)},
				{metric: "peak_mb", label: "peak RSS, MB", first: atMost(0).plus(200)},
				{metric: "disk_share", label: "disk / raw", first: atMost(0).plus(0.15)},
			},
		},
		{
			name: "objects", about: "blob of {n} bytes, in a bucket of MinIO", quick: true, own: true, count: count{1_000_000_000, 300_000_000},
			subjects: []subject{{"service", objects, blob}, bare("minio-go", objectCalls)},
			rows: []row{
				{metric: "up_mb_per_s", label: "up, MB/s", against: "minio-go", first: atLeast(0.5), then: atLeast(0.9)},
				{metric: "down_mb_per_s", label: "down, MB/s", against: "minio-go", first: atLeast(0.5), then: atLeast(0.9)},
				{metric: "peak_mb", label: "peak RSS, MB", first: atMost(0).plus(250)},
			},
		},
		{
			name: "life", about: "{n} logs: open, 5 pushes of 20 lines, close, archive; 16 workers", quick: true, count: count{20_000, 5_000},
			subjects: []subject{server(smallLogs)},
			rows: []row{
				{metric: "logs_per_s", label: "logs/s", first: atLeast(0).plus(1500), then: atLeast(0).plus(4000)},
				{metric: "put_p50_ms", label: "PUT p50, ms"},
				{metric: "close_p50_ms", label: "close p50, ms"},
				{metric: "archive_bytes_per_log", label: "bytes of disk a log, store", first: atMost(0).plus(4096)},
				{metric: "disk_bytes_per_log", label: "bytes of disk a log, all of the data folder"},
			},
		},
		{
			name: "restart", about: "start with {n} open streams", quick: true, own: true, count: count{100_000, 100_000},
			subjects: []subject{server(restart)},
			rows: []row{
				{metric: "stopped_ready_ms", label: "ready after a stop, ms", first: atMost(0).plus(2000)},
				{metric: "killed_ready_ms", label: "ready after kill -9, ms", first: atMost(0).plus(2000)},
				{metric: "stopped_stop_ms", label: "time to stop, ms"},
				{metric: "peak_mb", label: "peak RSS, MB", first: atMost(0).plus(512)},
			},
		},
	}
}

func replayScenario(readers int, lines count, first, then bound) scenario {
	m := replay(readers)
	return scenario{
		name:     fmt.Sprintf("replay/%d", readers),
		about:    fmt.Sprintf("replay of {n} lines to %d readers at once", readers),
		count:    lines,
		quick:    true,
		subjects: []subject{server(m), ref(refFanOut, m)},
		rows: []row{
			{metric: "lines_per_s", label: "lines/s in all", against: refFanOut, first: first, then: then},
			{metric: "cpu_s_per_m_lines", label: "CPU s per M lines", against: refFanOut},
		},
	}
}
