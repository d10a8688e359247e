package cli

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/client"
)

// maxDownloadLine limits the lines that --format text parses; archived lines are
// far shorter.
const maxDownloadLine = 64 << 20

type downloadFlags struct {
	noArgument
	To      string `placeholder:"FILE" help:"Write to this file, completely or not at all (of a damaged log: what can be read), instead of standard output."`
	Format  string `name:"output" aliases:"format" short:"o" placeholder:"FORMAT" default:"ndjson" help:"ndjson or json (as stored), or text (${default}); also --format."`
	Attempt int64  `placeholder:"N" help:"Download attempt N of a log that was opened again after its end; by default the newest."`
	Raw     bool   `help:"Pass all control sequences of the log through; by default only colors reach a terminal or text."`
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
	log, err := c.Download(ctx, t.key, client.DownloadAttempt(f.Attempt))
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
func downloadFormats() []string { return []string{"ndjson", outputJSON, "text"} }

// write writes the log in the requested format. Stored bytes pass unchanged unless
// they go to a terminal.
func (f *downloadFlags) write(s *session, w io.Writer, log io.Reader) error {
	out := bufio.NewWriterSize(w, 64<<10)
	var dst io.Writer = out
	var safe *filter
	if !f.Raw && (f.Format == "text" || isTerminal(w)) {
		safe = newFilter(out, s.colours())
		dst = safe
	}
	var err error
	if f.Format == "text" {
		err = textOf(dst, log)
	} else {
		_, err = io.Copy(dst, log)
	}
	if safe != nil {
		err = errors.Join(err, safe.Close())
	}
	return errors.Join(err, out.Flush())
}

// textOf writes the text of every line of a log of JSON lines. Lines that are not
// JSON pass unchanged.
func textOf(w io.Writer, log io.Reader) error {
	r := bufio.NewReaderSize(log, 64<<10)
	var buf []byte
	for {
		part, err := r.ReadSlice('\n')
		buf = append(buf, part...)
		if errors.Is(err, bufio.ErrBufferFull) {
			if len(buf) > maxDownloadLine {
				return fmt.Errorf("a line exceeds %d bytes: use --format ndjson to get it unchanged", maxDownloadLine)
			}
			continue
		}
		if len(bytes.TrimSpace(buf)) > 0 {
			if _, err := w.Write(textRow(buf)); err != nil {
				return err
			}
		}
		buf = buf[:0]
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// textRow returns the text of one row.
func textRow(row []byte) []byte {
	var line struct {
		Out *string `json:"out"`
	}
	var whole logservice.Line
	text := row
	// Only the text of a writer's line is needed; duplicate names and
	// invalid UTF-8 are handled as in encoding/json.
	if json.Unmarshal(row, &line, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)) == nil && line.Out != nil {
		text = []byte(*line.Out)
	} else if whole.UnmarshalJSON(row) == nil {
		text = []byte(whole.Out)
	}
	if !bytes.HasSuffix(text, []byte("\n")) {
		text = append(text[:len(text):len(text)], '\n')
	}
	return text
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
