package server

import "math"

// descriptors is how many files and connections the process may have open.
func descriptors() int64 { return math.MaxInt32 }
