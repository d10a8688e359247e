//go:build unix

package server

import (
	"testing"

	"golang.org/x/sys/unix"
)

// A child process has a copy of every open file until it executes its program.
func TestAClosedFolderIsFreeEvenIfItsLockFileIsOpenElsewhere(t *testing.T) {
	path := t.TempDir()
	d, err := openFolder(path)
	if err != nil {
		t.Fatal(err)
	}
	dup, err := unix.Dup(int(d.lock.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close(dup) }()
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if d, err = openFolder(path); err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}
