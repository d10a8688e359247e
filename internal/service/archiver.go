package service

import (
	"context"
	"errors"
	"io"
	"log/slog"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/archive"
	"github.com/harness/log-service/internal/join"
	"github.com/harness/log-service/internal/logs"
)

const (
	// maxArchiving bounds the logs that are archived at once, each with a
	// frame or two in memory (about 1 MiB); more than there are processors,
	// since the store's syncs are shared.
	maxArchiving = 16
	// smallArchive is how much of an archive is made before it is passed to the
	// store: one that ends within it is stored with its line count and size, so
	// that listings and readers need not open it.
	smallArchive = 256 << 10
)

// archiver stores the logs of closed streams.
type archiver struct {
	streams logs.Streams
	stored  *storedLogs
	store   logs.Store
	codec   *archive.Codec
	quota   *quota
	log     *slog.Logger
	plain   bool          // Config.Plain
	locks   *keyLocks     // of the writers of a blob
	slots   chan struct{} // one for each log being archived
}

func newArchiver(c Config, stored *storedLogs, q *quota, locks *keyLocks) *archiver {
	return &archiver{
		streams: c.Streams, stored: stored, store: c.Store, codec: stored.codec, quota: q, log: c.Logger, plain: c.Plain,
		locks: locks, slots: make(chan struct{}, maxArchiving),
	}
}

// archive stores the log of a claimed stream, as it was closed, so that its
// attempt has every line of the stream, and what only the upload of the attempt
// has.
func (a *archiver) archive(ctx context.Context, id logservice.ID, c logs.Claim) error {
	// The lock first: a slow upload must not hold a slot.
	unlock, err := a.locks.lock(ctx, id)
	if err != nil {
		return err
	}
	defer unlock()
	select {
	case a.slots <- struct{}{}:
		defer func() { <-a.slots }()
	case <-ctx.Done():
		return ctx.Err()
	}
	info, err := a.streams.Stat(ctx, id)
	if err != nil {
		return err
	}
	u, err := a.stored.uploads(ctx, id, info.Attempt)
	if err != nil {
		return err
	}
	archives, attempt := c.How().Archive != logs.ArchiveNever, info.Attempt
	switch {
	case archives && !info.Empty():
		attempt, err = a.streamAndUploads(ctx, info, c, u)
	case len(u.all) > 0:
		err = a.joinOne(ctx, logs.Attempt{ID: id, Number: attempt}, u, len(u.all)-1) // nothing was streamed: the last upload counts
	case archives:
		err = a.empty(ctx, info, c)
	}
	if err == nil {
		err = u.delete(ctx)
	}
	if err != nil {
		return err
	}
	// An upload that arrived meanwhile waits for this.
	return a.joinUploads(ctx, id, attempt)
}

// streamAndUploads stores a stream that has lines, joined with the uploads of
// its attempt, and returns the number of its attempt.
func (a *archiver) streamAndUploads(ctx context.Context, info logs.Info, c logs.Claim, u *aside) (attempt int64, err error) {
	first, err := u.open(ctx, 0)
	if err != nil {
		return 0, err
	}
	if first != nil {
		defer first.Close()
	}
	attempt, stored, err := a.stream(ctx, info, c, first)
	if err != nil {
		return 0, err
	}
	next := 0 // to be joined
	if stored && first != nil && !first.unrelated {
		next = 1 // the first was, at once
	}
	for i := next; i < len(u.all); i++ {
		if err := a.joinOne(ctx, logs.Attempt{ID: info.ID, Number: attempt}, u, i); err != nil {
			return 0, err
		}
	}
	return attempt, nil
}

// joinOne joins upload i with what is stored of its attempt.
func (a *archiver) joinOne(ctx context.Context, of logs.Attempt, u *aside, i int) error {
	upload, err := u.open(ctx, i)
	if err != nil || upload == nil {
		return err
	}
	defer upload.Close()
	return a.joinUpload(ctx, of, upload)
}

// empty stores an attempt without lines if there is no other attempt: it must
// not hide one, but that a step wrote nothing is worth knowing.
func (a *archiver) empty(ctx context.Context, info logs.Info, c logs.Claim) error {
	newest, err := a.stored.newest(ctx, info.ID)
	if err != nil || newest > 0 {
		return err
	}
	_, _, err = a.put(ctx, info, c, nil)
	return err
}

// stream makes sure that a stream which has lines is stored, and returns the
// number of its attempt. Stored means that it has just been, joined with the
// upload if there is one. What is stored of its attempt already may be lines
// from before the stream, this archive, or those of another attempt.
func (a *archiver) stream(ctx context.Context, info logs.Info, c logs.Claim, upload *Content) (attempt int64, stored bool, err error) {
	old, err := a.stored.open(ctx, info.ID, info.Attempt)
	switch {
	case errors.Is(err, logservice.ErrBlobNotFound):
		return a.put(ctx, info, c, upload)
	case isDamage(err): // what can be read of it stays
		return a.putAfter(ctx, info, c, upload)
	case err != nil:
		return 0, false, err
	}
	defer old.Close()
	if !old.streamed() {
		if old.archive == nil && old.stored() > 0 { // the upload of another attempt: uploads of this one are set aside
			return a.putAfter(ctx, info, c, upload)
		}
		return a.put(ctx, info, c, upload)
	}
	if info.First > 1 && old.archive != nil && old.archive.Summary().Next == info.First {
		return a.put(ctx, info, c, upload)
	}
	contained, err := a.contains(ctx, old, info)
	if contained || err != nil && !isDamage(err) {
		return info.Attempt, false, err
	}
	return a.putAfter(ctx, info, c, upload)
}

// putAfter stores the stream as an attempt after all others: its number is
// taken, because the store could not be asked when it was opened, or another
// server was faster.
func (a *archiver) putAfter(ctx context.Context, info logs.Info, c logs.Claim, upload *Content) (attempt int64, stored bool, err error) {
	newest, err := a.stored.newest(ctx, info.ID)
	if err != nil {
		return 0, false, err
	}
	a.log.Warn("a log is archived as a later attempt: another is stored under its number",
		"account", info.ID.Account, "key", info.ID.Key, "attempt", info.Attempt, "archived_as", newest+1)
	info.Attempt = newest + 1
	return a.put(ctx, info, c, upload)
}

// joinUploads joins the uploads that are set aside for an attempt with what is
// stored of it. The caller holds the lock of id.
func (a *archiver) joinUploads(ctx context.Context, id logservice.ID, attempt int64) error {
	u, err := a.stored.uploads(ctx, id, attempt)
	for i := range u.all {
		if err == nil {
			err = a.joinOne(ctx, logs.Attempt{ID: id, Number: attempt}, u, i)
		}
	}
	if err != nil {
		return err
	}
	return u.delete(ctx)
}

// joinUpload joins an upload with what is stored of its attempt.
func (a *archiver) joinUpload(ctx context.Context, of logs.Attempt, upload *Content) error {
	old, err := a.stored.open(ctx, of.ID, of.Number)
	switch {
	case errors.Is(err, logservice.ErrBlobNotFound) || isDamage(err):
		return a.copyUpload(ctx, of, upload)
	case err != nil:
		return err
	}
	defer old.Close()
	if old.streamed() {
		return a.join(ctx, of.ID, old, upload)
	}
	return a.copyUpload(ctx, of, upload)
}

// copyUpload stores an upload as it is: as the attempt of, if that has nothing,
// in place of the newest attempt, if that was uploaded, and otherwise as the one
// after it.
func (a *archiver) copyUpload(ctx context.Context, of logs.Attempt, upload *Content) error {
	attempt := of.Number
	newest, err := a.stored.newest(ctx, of.ID)
	if err != nil {
		return err
	}
	if newest >= attempt {
		attempt = newest + 1
		old, err := a.stored.open(ctx, of.ID, newest)
		if err == nil && !old.streamed() {
			attempt = newest
		}
		if err == nil {
			err = old.Close()
		}
		if err != nil && !isDamage(err) {
			return err
		}
	}
	r, err := upload.rangeOf(ctx, 0, -1)
	if err != nil {
		return err
	}
	defer r.Close()
	return a.store.Put(ctx, of.ID, r, logs.BlobInfo{Attempt: attempt})
}

// join adds to what is stored of an attempt what only an upload has.
func (a *archiver) join(ctx context.Context, id logservice.ID, old, upload *Content) error {
	plan, err := join.Make(ctx, old.cursor, upload.marked)
	if err != nil && !isDamage(err) {
		return err
	}
	if err != nil || plan.Unrelated { // what is damaged stays as it is
		return a.copyUpload(ctx, logs.Attempt{ID: id, Number: old.Attempt}, upload)
	}
	incomplete := old.Incomplete && !plan.Complete
	if plan.Added == 0 && incomplete == old.Incomplete {
		return nil
	}
	next, err := old.next(ctx)
	if err != nil {
		return err
	}
	before := old.cursorAfter(0)
	before.strict = true
	c := &chained{cursors: []logs.Cursor{before, plan.Cursor(upload.cursorAfter(0), next)}}
	defer c.Close()
	_, err = a.pack(ctx, logs.Attempt{ID: id, Number: old.Attempt}, c, nil, incomplete)
	return err
}

// attempt returns a cursor over the lines of a stream's attempt: those that are
// stored from before the stream, and those of the stream.
func (a *archiver) attempt(ctx context.Context, info logs.Info) (logs.Cursor, error) {
	live, err := a.streams.Follow(ctx, info.ID, 0)
	if err != nil || info.First <= 1 {
		return live, err
	}
	before, err := a.stored.follow(ctx, info.ID, info.Attempt, 0)
	switch {
	case errors.Is(err, logservice.ErrBlobNotFound):
		return live, nil // deleted since
	case err != nil:
		live.Close()
		return nil, err
	case before.content.archive == nil || before.content.archive.Summary().Next != info.First:
		before.Close()
		return live, nil // stored as another attempt
	}
	return &chained{cursors: []logs.Cursor{before, live}}, nil
}

// put stores the log of a claimed stream, with what only the upload has, if
// there is one.
func (a *archiver) put(ctx context.Context, info logs.Info, claim logs.Claim, upload *Content) (attempt int64, stored bool, err error) {
	c, complete, err := a.joined(ctx, info, upload)
	if err != nil {
		return 0, false, err
	}
	defer c.Close()
	incomplete := claim.How().Incomplete && !complete
	sum, err := a.pack(ctx, logs.Attempt{ID: info.ID, Number: info.Attempt}, c, claim, incomplete)
	if noter, ok := claim.(logs.Archivable); ok && err == nil {
		noter.Archived(logs.Archived{ID: info.ID, Attempt: info.Attempt, Summary: sum})
	}
	return info.Attempt, true, err
}

// joined returns a cursor over the lines of a closed stream's attempt and what
// only its upload has, if there is one; complete means that this has the end.
func (a *archiver) joined(ctx context.Context, info logs.Info, upload *Content) (c logs.Cursor, complete bool, err error) {
	open := func(ctx context.Context) (logs.Cursor, error) { return a.attempt(ctx, info) }
	if upload == nil {
		c, err = open(ctx)
		return c, false, err
	}
	plan, err := join.Make(ctx, open, upload.marked)
	if err != nil {
		return nil, false, err
	}
	upload.unrelated = plan.Unrelated
	if c, err = open(ctx); err != nil || plan.Unrelated {
		return c, false, err
	}
	added := plan.Cursor(upload.cursorAfter(0), info.Lines+1)
	return &chained{cursors: []logs.Cursor{c, added}}, plan.Complete, nil
}

// pack stores what c yields as the archive of an attempt. The claim, if there is
// one, is committed before.
func (a *archiver) pack(ctx context.Context, to logs.Attempt, c logs.Cursor, claim logs.Claim, incomplete bool) (logs.Summary, error) {
	indexer, ok := a.store.(logs.Indexer)
	plain := a.plain && ok
	p := newPacker(ctx, a.codec, c, claim, plain, incomplete)
	if err := p.fill(smallArchive); err != nil {
		return p.sum, err
	}
	blob := logs.BlobInfo{Attempt: to.Number, Archive: true, Plain: plain, Incomplete: incomplete}
	if p.ended {
		blob.RawSize, blob.Lines = p.sum.RawSize, p.sum.Lines
	}
	r := a.quota.counted(to.Account, p)
	var err error
	if plain {
		err = indexer.PutIndexed(ctx, to.ID, r, blob, p.w.Index)
	} else {
		err = a.store.Put(ctx, to.ID, r, blob)
	}
	if err != nil && p.ended && claim != nil {
		claim.Rollback(context.WithoutCancel(ctx))
	}
	return p.sum, err
}

// contains reports whether an archive has the lines of a stream, under the same
// sequences: it was stored before a crash.
func (a *archiver) contains(ctx context.Context, old *Content, info logs.Info) (bool, error) {
	live, err := a.streams.Follow(ctx, info.ID, 0)
	if err != nil {
		return false, err
	}
	defer live.Close()
	if old.archive != nil && old.archive.Summary().Next < info.Lines+1 {
		return false, nil
	}
	from := func(after int64) *comparison {
		c := old.cursorAfter(after)
		c.strict = true
		return newComparison(c)
	}
	same := from(info.First - 1)
	for {
		batches, err := live.Next(ctx)
		if errors.Is(err, io.EOF) {
			return true, nil
		}
		if err == nil && len(batches) == 0 {
			err = errNotClosed
		}
		if err != nil {
			return false, err
		}
		for _, b := range batches {
			if b.Gap { // its text has the time at which it was read
				same = from(b.Last())
				continue
			}
			if ok, err := same.next(ctx, b); !ok || err != nil {
				return false, err
			}
		}
	}
}
