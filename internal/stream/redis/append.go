package redis

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/redis/rueidis"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
	"github.com/harness/log-service/internal/stream/batches"
)

// maxAppend bounds one append: it is one command, and Redis refuses those of
// more than 512 MB or, together on a connection, 1 GB.
const maxAppend = 256 << 20

// What append.lua answers.
const (
	appendNotFound = iota
	appendDone
	appendGap
	appendOverlap
	appendFull
	appendKnown
)

// Append implements logs.Streams.
func (e *Engine) Append(ctx context.Context, id logservice.ID, l logs.Lines) (next int64, err error) {
	if len(l.Data) > maxAppend {
		return 0, logservice.Errorf(logservice.ErrTooLarge, "an append of %d bytes is too large: at most %d go to Redis at once", len(l.Data), maxAppend)
	}
	name := nameOf(id)
	b := e.buckets[bucketOf(name)]
	retry := "" // whether a batch that is known may be a retry
	for {
		a, err := e.append(ctx, b, name, l, retry)
		if err != nil {
			return 0, err
		}
		gen, next, held := a.text(1), a.int(2), a.int(3)
		switch a.int(0) {
		case appendNotFound:
			b.marks.forget(name)
			return 0, logservice.ErrStreamNotFound
		case appendGap:
			return 0, &logservice.SequenceError{Offset: l.Offset, Expected: next}
		case appendOverlap:
			l = l.From(next)
			continue
		case appendKnown: // rare, so only now the lines are looked at
			retry = "1"
			l.Dedupe = batches.Timed(l.Data)
			continue
		}
		b.marks.set(name, gen, next)
		if held > e.config.StreamMemory {
			e.move(b, name, gen)
		}
		if a.int(0) == appendFull {
			return 0, &logservice.UnavailableError{RetryAfter: time.Second,
				Cause: fmt.Errorf("the stream holds %d bytes in Redis, and its older lines cannot be moved to the blob store yet", held)}
		}
		return next, nil
	}
}

func (e *Engine) append(ctx context.Context, b *bucket, name string, l logs.Lines, retry string) (answer, error) {
	known := b.marks.get(name)
	// Where the call is given up, the client may yet send what it was given:
	// so it gets a copy, used again only once the call is over.
	own := copies.Get().(*[]byte)
	*own = append((*own)[:0], l.Data...)
	l.Data = *own
	args := make([]string, 0, 12)
	args = append(args, name, e.now(), e.node, itoa(l.Offset), known.gen, itoa(known.next),
		itoa(mostHeld*e.config.StreamMemory), checksum(l), itoa(l.Count), retry)
	if l.Count > 0 {
		for data, count := range batches.Pieces(l.Data, l.Count) {
			args = append(args, itoa(count), rueidis.BinaryString(data))
		}
	}
	var a answer
	var err error
	if e.config.Replicas == 0 {
		a, err = e.call(ctx, e.scripts.append, b.root, args...)
	} else {
		a, err = e.appendReplicated(ctx, b.root, args)
	}
	if err != nil {
		return nil, err
	}
	if f := b.follower(name, a.text(1)); f != nil && a.int(4) == 1 {
		f.appended(l, a.int(2)-l.Count) // keeps the copy
	} else if cap(*own) <= keepCopy {
		copies.Put(own)
	}
	return a, nil
}

// keepCopy bounds the buffers that are kept: one batch of any usual size.
const keepCopy = 1 << 20

var copies = sync.Pool{New: func() any { return new([]byte) }}

// checksum is what a retry of l is known by, empty where none is.
func checksum(l logs.Lines) string {
	if !l.Dedupe || l.Offset > 0 || l.Count == 0 {
		return ""
	}
	var sum [8]byte
	binary.BigEndian.PutUint64(sum[:], xxhash.Sum64(l.Data))
	return string(sum[:])
}

// appendReplicated is an append that waits for replicas. WAIT is about the
// writes of its own connection, so both use one that nobody else does.
func (e *Engine) appendReplicated(ctx context.Context, root string, args []string) (a answer, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	err = e.client.Dedicated(func(c rueidis.DedicatedClient) error {
		a, err = e.measured(ctx, e.scripts.append, c, root, args)
		if err != nil || a.int(0) != appendDone {
			return err
		}
		wait := c.B().Wait().Numreplicas(int64(e.config.Replicas)).Timeout((callTimeout / 2).Milliseconds()).Build()
		n, err := c.Do(ctx, wait).AsInt64()
		if err != nil {
			return e.unavailable(err)
		}
		if n < int64(e.config.Replicas) {
			return e.unavailable(fmt.Errorf("%d of the %d replicas that must have it have the append", n, e.config.Replicas))
		}
		return nil
	})
	if err != nil && !errors.Is(err, logservice.ErrUnavailable) {
		err = e.unavailable(err)
	}
	return a, err
}
