//go:build !linux

package bolt

func beginFlush(file) {}
