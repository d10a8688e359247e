//go:build !linux

package bolt

import "go.etcd.io/bbolt"

func prefetch(*bbolt.Tx, []byte) {}

func unmap(*bbolt.Tx) {}
