package server

import "math"

// descriptors returns the process's limit of open files and connections.
func descriptors() int64 { return math.MaxInt32 }
