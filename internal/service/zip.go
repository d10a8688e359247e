package service

import (
	"archive/zip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/klauspost/compress/flate"

	logservice "github.com/harness/log-service"
)

const (
	// maxZipLogs bounds the logs of one zip file, whose directory is in memory
	// until it is written at the end: about 300 bytes per log.
	maxZipLogs = 100_000
	// maxNameBytes bounds each part of a name: file systems end at 255.
	maxNameBytes = 200
	zipSuffix    = ".log"
	// noteSuffix follows the name of a damaged log. No log has it: theirs ends
	// in zipSuffix.
	noteSuffix = ".damaged.txt"
)

// Zip writes a zip file of every stored log of account at and below prefix to
// w, as JSON lines or a client's own bytes, each named for its key with ".log"
// appended; names are safe to unpack anywhere. Of a damaged log it has what can
// be read, and a note with ".damaged.txt" appended. ErrBlobNotFound (none) and
// ErrTooLarge (too many) come before anything is written; a later error leaves
// a broken file, which the caller must not end as if it were complete.
func (s *storedLogs) Zip(ctx context.Context, account string, prefix logservice.Key, w io.Writer) error {
	n, err := s.CountBlobs(ctx, account, prefix, maxZipLogs+1)
	switch {
	case err != nil:
		return err
	case n == 0:
		return logservice.ErrBlobNotFound
	case n > maxZipLogs:
		return logservice.Errorf(logservice.ErrTooLarge, "more than %d logs below %q: ask for a longer prefix", maxZipLogs, prefix)
	}
	z := zip.NewWriter(w)
	// The fastest level: better ones are slower than the network.
	z.RegisterCompressor(zip.Deflate, func(w io.Writer) (io.WriteCloser, error) {
		return flate.NewWriter(w, flate.BestSpeed)
	})
	names := make(map[string]bool)
	for e, err := range s.ListBlobs(ctx, account, prefix) {
		if err != nil {
			return err
		}
		id := logservice.ID{Account: account, Key: e.Key}
		if err := s.zipLog(ctx, z, id, unique(names, zipName(e.Key))); err != nil {
			return fmt.Errorf("log %q: %w", e.Key, err)
		}
	}
	return z.Close()
}

// zipLog adds what can be read of a log, and a note if that is not all.
func (s *storedLogs) zipLog(ctx context.Context, z *zip.Writer, id logservice.ID, name string) error {
	modified, err := s.zipContent(ctx, z, id, name)
	if damage := err; isDamage(damage) {
		var f io.Writer
		if f, err = z.CreateHeader(&zip.FileHeader{Name: name + noteSuffix, Method: zip.Deflate, Modified: modified}); err == nil {
			_, err = fmt.Fprintf(f, "The log %s is damaged: %s.\n%s has what can be read of it.\n", id.Key, cause(damage), path.Base(name))
		}
	}
	return err
}

func (s *storedLogs) zipContent(ctx context.Context, z *zip.Writer, id logservice.ID, name string) (modified time.Time, err error) {
	c, err := s.open(ctx, id, 0)
	if errors.Is(err, logservice.ErrBlobNotFound) {
		return modified, nil // deleted since it was listed
	}
	if err != nil {
		return modified, err
	}
	defer c.Close()
	r, err := c.Readable(ctx, 0, -1)
	if err != nil {
		return c.Modified, err
	}
	defer r.Close()
	f, err := z.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate, Modified: c.Modified})
	if err != nil {
		return c.Modified, err
	}
	if _, err := io.Copy(f, r); err != nil {
		return c.Modified, err
	}
	return c.Modified, errors.Join(ctx.Err(), r.Damage())
}

// zipName is the name of a log inside a zip file: its key, with what is not
// safe on some system as %XX, so that different keys have different names.
func zipName(k logservice.Key) string {
	segments := strings.Split(string(k), "/")
	last := len(segments) - 1
	for i, seg := range segments {
		name := safeName(seg)
		if i == last {
			name += zipSuffix
		} else if strings.HasSuffix(strings.ToLower(name), zipSuffix) {
			// Not the name of a log beside this directory.
			name = name[:len(name)-1] + fmt.Sprintf("%%%02X", name[len(name)-1])
		}
		segments[i] = name
	}
	return strings.Join(segments, "/")
}

// safeName makes a segment of a key a valid file name on Windows too.
func safeName(seg string) string {
	var b strings.Builder
	for i, r := range seg {
		atEnd := i+utf8.RuneLen(r) == len(seg)
		switch {
		case strings.ContainsRune(`<>:"\|?*%`, r), atEnd && (r == '.' || r == ' '), i == 0 && reserved(seg):
			fmt.Fprintf(&b, "%%%02X", r)
		default:
			b.WriteRune(r)
		}
	}
	name := b.String()
	if len(name) <= maxNameBytes {
		return name
	}
	sum := sha256.Sum256([]byte(seg))
	end := maxNameBytes
	for !utf8.RuneStart(name[end]) {
		end--
	}
	return name[:end] + "~" + hex.EncodeToString(sum[:8])
}

// reserved reports whether the name is a device on Windows, whatever its
// extension.
func reserved(name string) bool {
	base, _, _ := strings.Cut(strings.ToUpper(name), ".")
	switch base = strings.TrimRight(base, " "); base {
	case "CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$":
		return true
	}
	port, ok := strings.CutPrefix(base, "COM")
	if !ok {
		port, ok = strings.CutPrefix(base, "LPT")
	}
	return ok && utf8.RuneCountInString(port) == 1 && strings.Contains("0123456789¹²³", port)
}

// unique changes a name that differs from an earlier one in the case of its
// letters only: some file systems take the two for one.
func unique(names map[string]bool, name string) string {
	base := strings.TrimSuffix(name, zipSuffix)
	for n := 2; names[strings.ToLower(name)]; n++ {
		name = fmt.Sprintf("%s~%d%s", base, n, zipSuffix)
	}
	names[strings.ToLower(name)] = true
	return name
}
