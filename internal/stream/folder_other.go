//go:build !linux

package stream

import "os"

func allocate(f *os.File, size int64) error { return f.Truncate(size) }

func datasync(f *os.File) error { return f.Sync() }

func openDirect(string) *os.File { return nil }

func refusesDirect(error) bool { return false }
