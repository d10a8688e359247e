package redis

import (
	"encoding/binary"
	"hash/fnv"
	"net/url"
	"strings"

	logservice "github.com/harness/log-service"
)

// tags are the hash tags of the buckets: tag i lies in the i-th sixteenth of a
// Cluster's slots, so that the buckets are spread evenly over its masters.
var tags = [buckets]string{
	"10", "3", "61", "43", "11", "2", "60", "42", "12", "1", "63", "41", "13", "0", "62", "40",
}

// buckets bounds the connections on which a node follows streams, and the
// masters of a Cluster that are used.
const buckets = 16

// nameOf encodes an identity, injectively: the first slash ends the account.
// The names of an account are adjacent, in the order of their keys.
func nameOf(id logservice.ID) string {
	return url.PathEscape(id.Account) + "/" + string(id.Key)
}

// idOf is the reverse of nameOf.
func idOf(name string) (logservice.ID, bool) {
	account, key, ok := strings.Cut(name, "/")
	if !ok {
		return logservice.ID{}, false
	}
	account, err := url.PathUnescape(account)
	return logservice.ID{Account: account, Key: logservice.Key(key)}, err == nil
}

// bucketOf spreads names over the buckets, the same way on every node.
func bucketOf(name string) int {
	h := fnv.New64a()
	_, _ = h.Write([]byte(name)) // cannot fail
	return int(binary.BigEndian.Uint64(h.Sum(nil)) >> 7 % buckets)
}

// lexRange is one range of names, as ZRANGEBYLEX wants its ends.
type lexRange struct{ from, to string }

// rangesOf are the names of the streams of account at and below prefix; an
// empty account is all.
func rangesOf(account string, prefix logservice.Key) []lexRange {
	if account == "" {
		return []lexRange{{"-", "+"}} // the caller filters by prefix
	}
	a := url.PathEscape(account)
	if prefix == "" {
		return []lexRange{{"[" + a + "/", "(" + a + "0"}} // 0 follows / in ASCII
	}
	name := a + "/" + string(prefix)
	ranges := []lexRange{{"[" + name, "[" + name}}
	for _, start := range prefix.Below() {
		start = a + "/" + start
		last := len(start) - 1
		ranges = append(ranges, lexRange{"[" + start, "(" + start[:last] + string(rune(start[last]+1))})
	}
	return ranges
}
