package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/harness/log-service/client"
)

type uploadFlags struct {
	Path *string `arg:"" optional:"" help:"File to upload; - or no argument reads standard input."`

	Append bool   `help:"Append to the stored log instead of replacing it."`
	Format string `enum:"auto,json,text,raw" default:"auto" help:"Input format: json (JSON lines, or an array of lines), text, raw (anything, byte for byte), or auto to detect it (${default})."`
}

func (uploadFlags) help() string {
	return "JSON lines are stored unchanged. An array of lines is stored as one line per element. " +
		"Each line of other text becomes the text of a log line. Files in gzip, zstd or UTF-16 are what they hold; " +
		"other binary files need --format raw.\n\n" +
		example("log-service cistore upload 1 2 3 4 /path/to/logs.json", "make 2>&1 | log-service cistore upload 1 2 3 4 -")
}

func (uploadFlags) idExample() string {
	return `log-service store upload default "" 1/2/3/4 /path/to/logs.json`
}

func (f uploadFlags) argument() (*string, bool) { return f.Path, true }

func (f uploadFlags) run(ctx context.Context, s *session, t target, path *string) error {
	c, err := s.client(t, client.DefaultRetry())
	if err != nil {
		return err
	}
	var opts []client.UploadOption
	if f.Append {
		opts = append(opts, client.AtEnd())
	}
	if path == nil || *path == "-" {
		if path == nil && isTerminal(s.Stdin) {
			return &usage{err: fmt.Errorf("nothing to upload"), hint: "give a file, or - to type the log and end it with Ctrl-D"}
		}
		return f.once(ctx, s, c, t, s.Stdin, opts)
	}
	file, err := os.Open(*path)
	if err != nil {
		return err
	}
	defer file.Close()
	st, err := file.Stat()
	if err != nil {
		return err
	}
	if !st.Mode().IsRegular() { // pipes and devices can be read only once
		return f.once(ctx, s, c, t, file, opts)
	}
	src := &fileSource{session: s, file: file, size: st.Size(), format: f.Format, now: time.Now()}
	src.rewind()
	defer func() { _ = src.lines.Close() }()
	return f.upload(ctx, s, c, t, src, func() int64 { return src.lines.replaced }, opts)
}

// once uploads what can be read only once.
func (f *uploadFlags) once(ctx context.Context, s *session, c *client.Client, t target, r io.Reader, opts []client.UploadOption) error {
	in := newInput(s.watched(r, -1), f.Format, time.Now())
	defer in.Close()
	return f.upload(ctx, s, c, t, struct{ io.Reader }{in}, func() int64 { return in.replaced }, opts)
}

func (f *uploadFlags) upload(ctx context.Context, s *session, c *client.Client, t target, r io.Reader, replaced func() int64, opts []client.UploadOption) error {
	err := c.Upload(ctx, t.key, r, opts...)
	if n := replaced(); err == nil && n > 0 && !s.root.Quiet {
		fmt.Fprintf(s.Stderr, "note: %d bytes that are not UTF-8 were replaced by U+FFFD; --format raw keeps them\n", n)
	}
	return err
}

// fileSource reads a file as JSON lines, and starts over if the client has to
// resend it.
type fileSource struct {
	session *session
	file    *os.File
	size    int64
	format  string
	now     time.Time // the same in every attempt
	lines   *input
}

func (f *fileSource) rewind() {
	if f.lines != nil {
		_ = f.lines.Close() // a copy that nobody needs any more
	}
	f.lines = newInput(f.session.watched(f.file, f.size), f.format, f.now)
}

func (f *fileSource) Read(p []byte) (int, error) { return f.lines.Read(p) }

// Seek supports only the start. It reports an end of 0, because the length of the
// JSON is not known in advance.
func (f *fileSource) Seek(offset int64, whence int) (int64, error) {
	if offset != 0 {
		return 0, fmt.Errorf("seek to %d: only seeking to the start is supported", offset)
	}
	if whence != io.SeekStart {
		return 0, nil
	}
	if _, err := f.file.Seek(0, io.SeekStart); err != nil {
		return 0, err
	}
	f.rewind()
	return 0, nil
}

// watched shows the progress of reading r on a terminal; a negative size means
// unknown.
func (s *session) watched(r io.Reader, size int64) io.Reader {
	if s.root.Quiet || !isTerminal(s.Stderr) {
		return r
	}
	return &watchedReader{r: r, size: size, out: s.Stderr}
}

// watchedReader reports on one line of a terminal how much of r was read.
type watchedReader struct {
	r          io.Reader
	size, read int64
	out        io.Writer
	shown      time.Time
}

func (w *watchedReader) Read(p []byte) (int, error) {
	n, err := w.r.Read(p)
	w.read += int64(n)
	switch {
	case err != nil:
		fmt.Fprint(w.out, "\r\x1b[K") // remove the line
	case time.Since(w.shown) > 100*time.Millisecond:
		w.shown = time.Now()
		total := ""
		if w.size >= 0 {
			total = fmt.Sprintf(" of %.1f", mib(w.size))
		}
		fmt.Fprintf(w.out, "\ruploading %.1f%s MiB", mib(w.read), total)
	}
	return n, err
}

func mib(n int64) float64 { return float64(n) / (1 << 20) }
