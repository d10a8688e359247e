package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/client"
	"github.com/harness/log-service/internal/screen"
)

// maxDownloadRow limits the rows that --format text parses; lines are far shorter.
const maxDownloadRow = 64 << 20

// Formats of a download.
const (
	formatText = "text"
	formatRaw  = "raw"
)

type downloadFlags struct {
	noArgument
	To      string `placeholder:"FILE" help:"Write to this file, completely or not at all (of a damaged log: what can be read), instead of standard output."`
	Format  string `name:"output" aliases:"format" short:"o" placeholder:"FORMAT" default:"ndjson" help:"ndjson or json (lines as they are stored), text (what the programs wrote), or raw (the bytes that were uploaded, also compressed ones) (${default}); also --format."`
	Attempt int64  `placeholder:"N" help:"Download attempt N of a log that was opened again after its end; by default the newest."`
	Raw     bool   `help:"Pass all control sequences of the log to a terminal; by default only colors reach it. A file always gets every byte."`
}

func (downloadFlags) help() string {
	return example("log-service cistore download 1 2 3 4", "log-service cistore download 1 2 3 4 -o text --to build.log")
}

func (downloadFlags) idExample() string { return `log-service store download default "" 1/2/3/4` }

func (f downloadFlags) run(ctx context.Context, s *session, t target, _ *string) error {
	if !slices.Contains(downloadFormats(), f.Format) {
		return &usage{err: fmt.Errorf("-o %s: the format is none of %s", oneLine(f.Format), strings.Join(downloadFormats(), ", ")), hint: "to write to a file: --to FILE"}
	}
	c, err := s.client(t, oneShot)
	if err != nil {
		return err
	}
	opts := []client.DownloadOption{client.DownloadAttempt(f.Attempt)}
	if f.Format == formatRaw {
		opts = append(opts, client.AsUploaded())
	}
	log, err := c.Download(ctx, t.key, opts...)
	if errors.Is(err, logservice.ErrBlobNotFound) {
		return withHint(err, "a log that is still live is not finished: %s cistream tail %s", s.Name, t.key)
	}
	if err != nil {
		return err
	}
	defer log.Close()
	if log.Incomplete {
		defer s.noteIncomplete()
	}
	if f.To == "" || f.To == "-" {
		return f.write(s, s.Stdout, log)
	}
	return writeFile(f.To, func(w io.Writer) error { return f.write(s, w, log) })
}

// downloadFormats are the values of -o.
func downloadFormats() []string { return []string{"ndjson", outputJSON, formatText, formatRaw} }

// write writes the log in the requested format. What goes to a terminal is
// rendered; everything else is as it was written.
func (f *downloadFlags) write(s *session, w io.Writer, log io.Reader) error {
	out := bufio.NewWriterSize(w, 64<<10)
	var dst io.Writer = out
	var safe *screen.Writer
	if !f.Raw && isTerminal(w) {
		safe = screen.NewWriter(out, s.colours())
		dst = safe
	}
	var err error
	if f.Format == formatText {
		err = textOf(dst, log)
	} else {
		_, err = io.Copy(dst, log)
	}
	if safe != nil {
		err = errors.Join(err, safe.Close())
	}
	return errors.Join(err, out.Flush())
}

// textOf writes the text of every row of a log.
func textOf(w io.Writer, log io.Reader) error {
	r := bufio.NewReaderSize(log, 64<<10)
	var row, text []byte
	var t written
	for {
		part, err := r.ReadSlice('\n')
		row = append(row, part...)
		long := errors.Is(err, bufio.ErrBufferFull)
		if long && len(row) < maxDownloadRow {
			continue
		}
		if long { // it is no line of ours, and passes in parts
			text = t.piece(text[:0], row, true)
		} else if len(row) > 0 {
			text = t.row(text[:0], row)
		} else {
			text = text[:0]
		}
		if _, err := w.Write(text); err != nil {
			return err
		}
		row = row[:0]
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil && !long:
			return err
		}
	}
}

// writeFile atomically replaces a file by what write writes. Of a damaged log,
// that is all that can be read.
func writeFile(path string, write func(io.Writer) error) error {
	if st, err := os.Stat(path); err == nil && !st.Mode().IsRegular() {
		f, err := os.OpenFile(path, os.O_WRONLY, 0) // a device or a pipe
		if err != nil {
			return err
		}
		return errors.Join(write(f), f.Close())
	}
	// Created like any file of the user, subject to the umask.
	f, err := os.OpenFile(path+".part-"+strconv.Itoa(os.Getpid()), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666) //nolint:gosec // see above
	if err != nil {
		return err
	}
	damage := write(f)
	err = f.Close()
	if !errors.Is(damage, logservice.ErrDamaged) {
		err, damage = errors.Join(damage, err), nil
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return damage
}
