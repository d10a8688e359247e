package redis

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/archive"
	"github.com/harness/log-service/internal/logs"
)

// readAhead is how much of a segment is read at once, since each read is a few
// requests to the blob store.
const readAhead = 1 << 20

// segment is a run of a stream's lines in the blob store: an archive of these.
type segment struct {
	first, next int64
	id          logservice.ID
}

// newSegment gives a segment a name that no other offload of the same lines
// uses.
func newSegment(gen string, first, next int64) segment {
	name := fmt.Sprintf("%d-%d-%s", first, next, token())
	return segment{first, next, logservice.ID{Account: stored(gen).Account, Key: stored(gen).Key + "/" + logservice.Key(name)}}
}

// name is the end of the segment's key, which Redis stores.
func (s segment) name() string {
	return string(s.id.Key[strings.LastIndexByte(string(s.id.Key), '/')+1:])
}

func parseSegment(gen, name string) (segment, bool) {
	f := strings.Split(name, "-")
	if len(f) != 3 {
		return segment{}, false
	}
	first, err := strconv.ParseInt(f[0], 10, 64)
	next, err2 := strconv.ParseInt(f[1], 10, 64)
	id := logservice.ID{Account: stored(gen).Account, Key: stored(gen).Key + "/" + logservice.Key(name)}
	return segment{first, next, id}, err == nil && err2 == nil
}

// readSegment reads up to readAhead bytes of the lines after the sequence after.
// In place of those that are damaged is a gap. ErrBlobNotFound: the segment is
// not in the store.
func (n *node) readSegment(ctx context.Context, s segment, after int64) (found []*logs.Batch, err error) {
	blob, err := n.store.Get(ctx, s.id)
	if logs.IsDamage(err) {
		return []*logs.Batch{n.damaged(s, after+1, s.next-after-1, time.Time{}, err)}, nil
	}
	if errors.Is(err, logservice.ErrBlobNotFound) {
		return nil, err
	}
	if err != nil {
		return nil, segmentError(err)
	}
	defer blob.Close()
	r, err := n.codec.Open(ctx, blob, blob.Info().Size)
	if logs.IsDamage(err) {
		return []*logs.Batch{n.damaged(s, after+1, s.next-after-1, blob.Info().Modified, err)}, nil
	}
	if err != nil {
		return nil, segmentError(err)
	}
	c := r.Cursor(after)
	defer func() { _ = c.Close() }() // read only: nothing can be lost
	for size := 0; size < readAhead; {
		b, err := c.Next(ctx)
		if errors.Is(err, io.EOF) {
			break
		}
		if logs.IsDamage(err) {
			first, count := c.Skip()
			b, err = n.damaged(s, first, count, blob.Info().Modified, err), nil
		}
		if err != nil {
			return found, segmentError(err)
		}
		found = append(found, b)
		size += len(b.Data)
	}
	return found, nil
}

// damaged is the gap in place of count lines of a segment from first on.
func (n *node) damaged(s segment, first, count int64, at time.Time, err error) *logs.Batch {
	n.log.Error("lines of a live log cannot be read as they were stored; readers get a gap", "segment", s.id, "lines", count, "error", err)
	return logs.NewDamage(first, count, archive.Cause(err), at)
}

// segmentError: a segment that cannot be read now may be later, as a stream is
// only ever deleted after its archive is made.
func segmentError(err error) error {
	// Not wrapped, as in unavailable: a missing segment must not look like a
	// missing blob.
	return &logservice.UnavailableError{Cause: fmt.Errorf("segment of a live log in the blob store: %v", err)}
}

// stored is the key below which the segments of a generation are, in the
// account that no request reaches.
func stored(gen string) logservice.ID {
	return logservice.ID{Account: logservice.InternalAccount, Key: logservice.Key(gen)}
}
