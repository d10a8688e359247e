package client

import (
	"math"
	"time"
)

// Limits of a Writer.
const (
	// DefaultMemory is how many bytes of unacknowledged JSON a Writer holds: some
	// 100,000 lines, which is minutes of a busy build.
	DefaultMemory = 16 << 20
	// DefaultSpill is how many more bytes it holds in a temporary file.
	DefaultSpill = 1 << 30
	// DefaultWriterPatience is how long a Writer tries to deliver a batch: long
	// enough to move a server.
	DefaultWriterPatience = 10 * time.Minute
	// partialAfter is when an unterminated line is sent as it is, so that prompts
	// show.
	partialAfter = 250 * time.Millisecond
	// linger is how long a line waits for others to share its request. People
	// do not notice it, and a chatty program makes ten requests per second.
	linger = 100 * time.Millisecond
	// maxPieceBytes is the length at which a line is split into pieces, of which
	// only the last ends in \n. A byte may become six in JSON, so a piece always
	// fits in the server's line limit.
	maxPieceBytes = 128 << 10
	// drainTime is how long Close waits without any acknowledgement: longer than
	// a server is away when it is replaced.
	drainTime = 90 * time.Second
)

// WriterOption configures Client.Writer.
type WriterOption func(*writing)

// writing holds the options of a Writer.
type writing struct {
	level      string
	shared     bool
	bestEffort bool
	memory     int64
	spillDir   string
	spillLimit int64
	patience   time.Duration // zero: the default
	compress   bool
	secrets    []string
	open       func(*Writer) error // nil: the stream is open already
}

// Level sets the level of the lines that Write makes. The default is "info".
func Level(name string) WriterOption { return func(w *writing) { w.level = name } }

// Shared allows others to write to the log at the same time. Batches then carry
// no offset: the server recognizes a resent batch by the position and time of its
// lines, as long as it is among the last batches of the log.
func Shared() WriterOption { return func(w *writing) { w.shared = true } }

// BestEffort is for programs that must not suffer from their log: Write never
// fails and never waits for the server. Lines that neither memory nor the
// temporary file can hold are lost, and so are all lines once the Writer has failed
// (the stream is closed, the token is rejected). They are counted in Stats and
// reported by Close; where the Writer continues after a loss, a line of the log
// says how much is missing. There is no limit to how long the Writer tries to
// deliver a batch, unless WriterPatience sets one.
//
// With an exec.Cmd this matters most: if a Write to Cmd.Stdout returns an error,
// the command's output is no longer read, and the command fails or hangs.
func BestEffort() WriterOption { return func(w *writing) { w.bestEffort = true } }

// Memory limits the bytes of JSON held in memory. The default is DefaultMemory.
// What does not fit goes to a temporary file, see Spill.
func Memory(bytes int64) WriterOption { return func(w *writing) { w.memory = bytes } }

// Spill limits the bytes of JSON held in a temporary file while the memory is
// full. The default is DefaultSpill; zero means that there is no file. Once the
// file is full too, Write waits for the server, unless BestEffort is set. The file
// is made when it is needed, only its owner can read it, and it is gone when the
// program ends.
func Spill(bytes int64) WriterOption { return func(w *writing) { w.spillLimit = bytes } }

// SpillDir sets the directory of the temporary file. The default is os.TempDir.
func SpillDir(dir string) WriterOption { return func(w *writing) { w.spillDir = dir } }

// WriterPatience limits how long the Writer tries to deliver a batch before it
// fails. The default is DefaultWriterPatience; zero means until the context
// ends.
func WriterPatience(d time.Duration) WriterOption {
	return func(w *writing) {
		w.patience = d
		if d <= 0 {
			w.patience = math.MaxInt64
		}
	}
}

// Compress sets whether large batches are compressed with gzip. By default they
// are if the server is on another machine and is recent enough to accept it.
func Compress(yes bool) WriterOption { return func(w *writing) { w.compress = yes } }

// AutoOpen makes the Writer open the stream before its first batch, as Client.Open
// does, and as patiently as it delivers lines: the server need not be running yet.
func AutoOpen(opts ...OpenOption) WriterOption {
	return func(w *writing) {
		w.open = func(w *Writer) error { return w.openStream(opts) }
	}
}

// Mask replaces each of the secrets by *** in everything that is sent, also if it
// comes in several writes, and in other forms: as JSON, URL or base64 encode it,
// alone or as a part of longer text, with line breaks of either kind, and each line
// of a secret that has several (of 4 or more characters). Masked text is shorter,
// and has as many lines. Text that may be the beginning of a secret waits for what
// follows it, or for Close. Blank secrets are ignored.
func Mask(secrets ...string) WriterOption {
	return func(w *writing) { w.secrets = append(w.secrets, secrets...) }
}
