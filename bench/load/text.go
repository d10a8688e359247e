package load

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// TextSeed makes every run measure the same bytes.
const TextSeed = 20260102

// A pool of distinct lines is cycled by the scenarios that send many. At about
// 190 bytes per line it is some 18 MB long, far more than the 256 KiB frames of
// an archive, so that repeating it does not flatter compression.
const poolLines = 100_000

// buildLog writes build logs: it mimics what compilers, test runners, package managers
// and image builds print. The share of random text (hashes, numbers) is chosen
// so that zstd at its fastest level in 256 KiB frames makes of it what it makes
// of real build logs, 8 to 12 : 1.
type buildLog struct {
	rnd   *rand.Rand
	clock time.Time
	dir   string // current directory of the build: adjacent lines share paths
	file  string
	kind  int // of the tool that prints
	left  int // lines until it moves on
	step  int
}

// NewBuildLog returns a log that is the same for the same seed.
func NewBuildLog(seed uint64) *buildLog {
	return &buildLog{
		rnd:   rand.New(rand.NewPCG(seed, seed>>1)),
		clock: time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC),
	}
}

var (
	nouns = []string{"parser", "socket", "session", "buffer", "archive", "cursor", "scheduler", "token", "index", "payload",
		"registry", "pipeline", "artifact", "segment", "handler", "context", "encoder", "storage", "metric", "router"}
	roots = []string{"src/core", "src/net", "src/storage", "src/runtime/gc", "lib/codec", "lib/io", "services/api/v2",
		"services/worker", "third_party/zlib", "third_party/protobuf/src/google", "internal/stream", "tools/lint"}
	warnings = []string{"unused variable 'tmp' [-Wunused-variable]",
		"comparison of integer expressions of different signedness: 'int' and 'size_t' [-Wsign-compare]",
		"'strncpy' output may be truncated copying 31 bytes from a string of length 255 [-Wstringop-truncation]"}
)

func pick(r *rand.Rand, from []string) string { return from[r.IntN(len(from))] }

// text returns one message, without its line break.
func (l *buildLog) text() string {
	r := l.rnd
	if l.left == 0 {
		l.left = 3 + r.IntN(12)
		l.dir, l.kind = pick(r, roots), r.IntN(100)
	}
	l.left--
	l.step++
	if l.step%2 == 1 {
		l.file = pick(r, nouns) + "_" + pick(r, nouns)
	}
	n := l.kind
	if r.IntN(3) == 0 { // most lines are of the same kind as the previous ones
		n = r.IntN(100)
	}
	switch {
	case n < 30:
		return fmt.Sprintf("cc -Wall -O2 -g -Iinclude -DVERSION=\"4.%d\" -c %s/%s.c -o build/%s.o",
			r.IntN(9), l.dir, l.file, l.file)
	case n < 45:
		return fmt.Sprintf("[%4d/8412] Building CXX object %s/CMakeFiles/%s.dir/%s.cc.o", l.step%8412, l.dir, pick(r, nouns), l.file)
	case n < 55:
		return fmt.Sprintf("%s/%s.c:%d:%d: warning: %s", l.dir, l.file, r.IntN(1500), r.IntN(20), pick(r, warnings))
	case n < 65:
		return fmt.Sprintf("compile -o $WORK/b%03d/_pkg_.a -trimpath \"$WORK/b%03d=>\" -p example.com/project/%s -complete -buildid %x",
			l.step%900, l.step%900, l.dir, r.Uint64())
	case n < 75:
		return fmt.Sprintf("--- PASS: Test_%s/with_%s_after_restart_and_resume (0.%02ds)", l.file, pick(r, nouns), r.IntN(100))
	case n < 81:
		return fmt.Sprintf("ok  \texample.com/project/%s/%s\t0.%03ds\tcoverage: %d.%d%% of statements", l.dir, l.file, r.IntN(1000), r.IntN(100), r.IntN(10))
	case n < 91:
		return fmt.Sprintf("[INFO] Downloaded: https://repo.example.com/maven2/%s/%s/%d.%d.%d/%s-%d.jar (%d kB at %d kB/s)",
			l.dir, l.file, r.IntN(9), r.IntN(30), r.IntN(12), l.file, r.IntN(9), r.IntN(900), r.IntN(5000))
	case n < 97:
		return fmt.Sprintf("npm http fetch GET 200 https://npm.example.com/@project%%2f%s %dms (cache miss)", l.file, r.IntN(900))
	default:
		return fmt.Sprintf("#%d sha256:%016x%016x 12.%02dMB / 45.10MB %ds", l.step%40, r.Uint64(), r.Uint64(), r.IntN(100), r.IntN(60))
	}
}

// PosBase makes every position nine digits wide, so that it can be patched in
// place: a writer can send 899 million lines before it grows.
const PosBase = 100_000_000

// Line appends one line in the form that runners send, with the position
// PosBase and an optional stamp of stampBytes before the message. It returns
// the offsets of the position's and of the stamp's first digit.
func (l *buildLog) Line(b []byte, stamped bool) (line []byte, posAt, stampAt int) {
	if l.rnd.IntN(4) == 0 { // output comes in bursts
		l.clock = l.clock.Add(time.Duration(l.rnd.IntN(60_000)) * time.Microsecond)
	}
	b = append(b, `{"level":"info","pos":`...)
	posAt = len(b)
	b = fmt.Appendf(b, `%d,"out":"`, PosBase)
	if stamped {
		b = append(b, '@')
		stampAt = len(b)
		b = fmt.Appendf(b, "%019d ", 0)
	}
	b = appendEscaped(b, l.text())
	b = append(b, `\n","time":"`...)
	b = l.clock.AppendFormat(b, "2006-01-02T15:04:05.000Z")
	return append(b, `","args":null}`...), posAt, stampAt
}

// appendEscaped writes the inside of a JSON string; the texts above hold
// nothing that needs more.
func appendEscaped(b []byte, s string) []byte {
	for i := range len(s) {
		switch c := s[i]; c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\t':
			b = append(b, `\t`...)
		default:
			b = append(b, c)
		}
	}
	return b
}
