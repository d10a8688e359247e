package redis

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
)

// readAhead is how much of a part one read takes, since each is a few requests
// to the blob store.
const readAhead = 1 << 20

// part is a run of a stream's lines in the blob store: an archive of these.
type part struct {
	first, next int64
	id          logservice.ID
}

// newPart names a part as no other move of the same lines does.
func newPart(gen string, first, next int64) part {
	name := fmt.Sprintf("%d-%d-%s", first, next, token())
	return part{first, next, logservice.ID{Account: stored(gen).Account, Key: stored(gen).Key + "/" + logservice.Key(name)}}
}

// name is the last segment of the part's key: what Redis keeps.
func (p part) name() string { return string(p.id.Key[strings.LastIndexByte(string(p.id.Key), '/')+1:]) }

func parsePart(gen, name string) (part, bool) {
	f := strings.Split(name, "-")
	if len(f) != 3 {
		return part{}, false
	}
	first, err := strconv.ParseInt(f[0], 10, 64)
	next, err2 := strconv.ParseInt(f[1], 10, 64)
	id := logservice.ID{Account: stored(gen).Account, Key: stored(gen).Key + "/" + logservice.Key(name)}
	return part{first, next, id}, err == nil && err2 == nil
}

// readPart reads up to readAhead bytes of the lines behind after. A part that
// is not there is ErrBlobNotFound.
func (e *Engine) readPart(ctx context.Context, p part, after int64) (found []*logs.Batch, err error) {
	blob, err := e.config.Store.Get(ctx, p.id)
	if errors.Is(err, logservice.ErrBlobNotFound) {
		return nil, err
	}
	if err != nil {
		return nil, e.partError(err)
	}
	defer blob.Close()
	r, err := e.codec.Open(ctx, blob, blob.Info().Size)
	if err != nil {
		return nil, e.partError(err)
	}
	c := r.Cursor(after)
	defer func() { _ = c.Close() }() // read only: nothing can be lost
	for size := 0; size < readAhead; {
		b, err := c.Next(ctx)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return found, e.partError(err)
		}
		found = append(found, b)
		size += len(b.Data)
	}
	return found, nil
}

// partError: a part that cannot be read is trouble of the moment, as a stream
// is only ever deleted after its archive is made.
func (e *Engine) partError(err error) error {
	// Not wrapped, as in unavailable: a part that is not found is no blob that is not.
	return &logservice.UnavailableError{Cause: fmt.Errorf("part of a live log in the blob store: %v", err)}
}
