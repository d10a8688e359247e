package client

import (
	"bytes"
	"math/rand/v2"
	"os"
	"testing"
)

func TestTheTemporaryFileIsAQueueWithinItsLimit(t *testing.T) {
	const limit = 10_000
	s := spill{dir: t.TempDir(), limit: limit}
	defer s.close()
	var want [][]byte
	filled, kept := 0, 0
	for n := range 20_000 {
		if rand.IntN(2) == 0 || n%4000 > 3900 { // and sometimes it becomes empty
			if len(want) == 0 {
				continue
			}
			got, err := s.read()
			if err != nil || !bytes.Equal(got, want[0]) {
				t.Fatalf("read %d bytes of %d, error %v", len(got), len(want[0]), err)
			}
			want = want[1:]
			continue
		}
		data := bytes.Repeat([]byte{byte(n)}, 1+rand.IntN(2000))
		switch ok, err := s.write(data); {
		case err != nil:
			t.Fatal(err)
		case ok:
			want = append(want, data)
			kept++
		default:
			filled++
		}
		info, err := s.file.Stat()
		if err != nil || info.Size() > limit || info.Mode().Perm() != 0o600 {
			t.Fatalf("%v, error %v", info, err)
		}
	}
	if kept < 5000 || filled == 0 {
		t.Errorf("%d kept, %d refused", kept, filled)
	}
}

func TestNoFileIsLeft(t *testing.T) {
	dir := t.TempDir()
	s := spill{dir: dir, limit: 100}
	for range 10 {
		if ok, err := s.write([]byte("some data")); !ok || err != nil {
			t.Fatal(ok, err)
		}
	}
	s.close()
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("%v, error %v", left, err)
	}
}

func TestATemporaryFileThatCannotBeWrittenIsNoneAndIsReportedOnce(t *testing.T) {
	s := spill{dir: t.TempDir() + "/none", limit: 100}
	if ok, err := s.write([]byte("x")); ok || err == nil {
		t.Errorf("%v, error %v", ok, err)
	}
	if ok, err := s.write([]byte("x")); ok || err != nil {
		t.Errorf("again: %v, error %v", ok, err)
	}
}
