package redis

import (
	"encoding/binary"

	"github.com/harness/log-service/internal/stream/batches"
)

// A trace is what Redis keeps of the appends of a segment, for as long as the
// youngest of them is recent: the time of that, the number of appends in this
// trace and those before, and the appends as batches.EncodeAppends has them. It
// is put together by offloaded.lua from the last part and the other two.
const traceHead = 8 + 8

func parseTrace(text string) []batches.Append {
	if len(text) < traceHead {
		return nil
	}
	all := batches.DecodeAppends([]byte(text[traceHead:]))
	for i := range all {
		all[i].At = milliseconds(int64(binary.BigEndian.Uint64([]byte(text))))
	}
	return all
}

// traceOf is what a segment of these entries leaves: its appends, how many they
// are, and when the youngest was made, in milliseconds of the service's clock.
func traceOf(entries []entry) (data []byte, count, clock int64) {
	var all []batches.Append
	for _, x := range entries {
		if x.sum != 0 {
			all = append(all, appendOf(x.next(), x.header))
			clock = max(clock, x.clock)
		}
	}
	return batches.EncodeAppends(nil, all), int64(len(all)), clock
}
