package bolt

import (
	"bytes"
	"io"
	"log/slog"
	"testing"

	"github.com/harness/log-service/internal/logs"
	"github.com/harness/log-service/internal/store/storetest"
)

// Readers of one blob share its descriptor: thousands may follow one log.
func TestReadersOfABlobShareItsFile(t *testing.T) {
	d := &countingDisk{disk: system{}}
	path := dataFile(t)
	s, err := Open(path, Options{Logger: slog.New(slog.DiscardHandler), disk: d})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	content := storetest.Noise(3 * chunkSize)
	id := storetest.ID("acc", "log")
	put(t, s, id, content)
	var blobs []logs.Blob
	for range 50 {
		b, err := s.Get(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		blobs = append(blobs, b)
	}
	if d.opened != 1 || d.open != 1 {
		t.Errorf("50 readers opened the file %d times, and %d are open", d.opened, d.open)
	}
	if err := s.Delete(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	for i, b := range blobs {
		r, err := b.Range(t.Context(), chunkSize, -1)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		if err != nil || !bytes.Equal(got, content[chunkSize:]) {
			t.Fatalf("reader %d gets %d bytes, %v", i, len(got), err)
		}
		for range 2 {
			_ = b.Close()
		}
		if open := d.open; i+1 < len(blobs) && open != 1 {
			t.Fatalf("%d open after %d readers have left", open, i+1)
		}
		_ = r.Close()
	}
	if d.open != 0 || len(s.reads.byID) != 0 {
		t.Errorf("%d files are open", d.open)
	}
}

// countingDisk counts the files that are open to be read.
type countingDisk struct {
	disk
	opened, open int // by the test alone
}

func (d *countingDisk) Open(name string) (file, error) {
	f, err := d.disk.Open(name)
	if err != nil {
		return nil, err
	}
	d.opened++
	d.open++
	return &countedFile{f, d}, nil
}

type countedFile struct {
	file
	d *countingDisk
}

func (f *countedFile) Close() error {
	f.d.open--
	return f.file.Close()
}
