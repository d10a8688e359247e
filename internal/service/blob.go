package service

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
)

// emptyGuard is how long a blob is protected from being replaced by nothing:
// clients retry an upload for 2 minutes, and then some.
const emptyGuard = 5 * time.Minute

// PutBlob stores what r yields as the log of id, byte for byte and whole or
// not at all, replacing what was there: a blob, and a closed stream that waits
// to be archived. With add it goes behind what is there instead (the lines of
// an archive, as JSON lines); what waits to be archived is archived first.
//
// An empty r that would replace a closed stream with lines, or a blob with
// content written in the last minutes, is refused with ErrConflict: it is a
// client's retry with a body that it had already consumed. Writers of one
// identity take turns; one that waits too long gets ErrUnavailable.
func (s *Service) PutBlob(ctx context.Context, id logservice.ID, r io.Reader, add bool) error {
	if err := s.quota.mayStore(id.Account); err != nil {
		return err
	}
	body := bufio.NewReaderSize(s.quota.counted(id.Account, r), 64<<10)
	_, err := body.Peek(1) // before the turn: nobody waits for this client
	empty := errors.Is(err, io.EOF)
	if err != nil && !empty {
		return fmt.Errorf("reading the blob: %w", err)
	}
	if add {
		return s.addToBlob(ctx, id, body, empty)
	}
	return s.replacing(ctx, id, func(old logs.Claim) error {
		if empty {
			if err := s.mayBeEmptied(ctx, id, old); err != nil {
				return err
			}
		}
		return s.store.Put(ctx, id, body, logs.BlobInfo{})
	})
}

// mayBeEmptied refuses to replace what looks like the log that the client
// meant to send.
func (s *Service) mayBeEmptied(ctx context.Context, id logservice.ID, old logs.Claim) error {
	if old != nil {
		info, err := s.streams.Stat(ctx, id)
		if err == nil && info.Pending() && info.Lines > 0 {
			err = logservice.Errorf(logservice.ErrConflict,
				"an empty body would replace the log of %d lines that waits to be archived: delete it first if that is wanted", info.Lines)
		}
		return err
	}
	blob, err := s.store.Get(ctx, id)
	if errors.Is(err, logservice.ErrBlobNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	defer blob.Close()
	info := blob.Info()
	if age := time.Since(info.Modified); info.Size > 0 && age < emptyGuard {
		return logservice.Errorf(logservice.ErrConflict,
			"an empty body would replace the log of %d bytes that was stored %s ago: delete it first if that is wanted", info.Size, age.Round(time.Second))
	}
	return nil
}

func (s *Service) addToBlob(ctx context.Context, id logservice.ID, body io.Reader, empty bool) error {
	if err := s.archived(ctx, id); err != nil {
		return err
	}
	return s.replacing(ctx, id, func(waiting logs.Claim) error {
		if waiting != nil && waiting.How().Archive != logs.ArchiveNever {
			return errArchiving // closed since
		}
		old, err := s.openStored(ctx, id)
		if errors.Is(err, logservice.ErrBlobNotFound) {
			return s.store.Put(ctx, id, body, logs.BlobInfo{})
		}
		if err != nil {
			return err
		}
		defer old.Close()
		if empty {
			return nil
		}
		before, err := old.Range(ctx, 0, -1)
		if err != nil {
			return err
		}
		defer before.Close()
		return s.store.Put(ctx, id, io.MultiReader(before, body), logs.BlobInfo{Incomplete: old.Incomplete})
	})
}

// Blob opens the finished log of id: a blob of the store, or a closed stream
// that waits to be archived. ErrBlobNotFound: neither exists.
func (s *Service) Blob(ctx context.Context, id logservice.ID) (*Content, error) {
	for round := range 2 {
		// A stream that will replace what is stored comes first.
		if how, ok := s.waiting(ctx, id); ok && (round > 0 || how.Archive == logs.ArchiveAlways) {
			c, err := s.openClosed(ctx, id, how)
			if !errors.Is(err, logservice.ErrStreamNotFound) {
				return c, err
			}
		}
		c, err := s.openStored(ctx, id)
		if errors.Is(err, logservice.ErrUnavailable) {
			// What is still here can be read while the store is down.
			if how, ok := s.waiting(ctx, id); ok {
				if c, err := s.openClosed(ctx, id, how); err == nil {
					return c, nil
				}
			}
		}
		if !errors.Is(err, logservice.ErrBlobNotFound) {
			return c, err
		}
	}
	return nil, logservice.ErrBlobNotFound
}

// waiting tells whether the stream of id is closed and to be archived.
func (s *Service) waiting(ctx context.Context, id logservice.ID) (how logs.Closing, ok bool) {
	if j := s.job(id); j != nil {
		select {
		case <-j.closed:
		default:
			return logs.Closing{}, false
		}
	}
	// A job does not know yet what a user said of its log at another service.
	info, err := s.streams.Stat(ctx, id)
	return info.How, err == nil && info.Pending()
}

func (s *Service) openClosed(ctx context.Context, id logservice.ID, how logs.Closing) (*Content, error) {
	c, err := s.streams.Follow(ctx, id, 0)
	if err != nil {
		return nil, err
	}
	c.Close()
	return &Content{Size: -1, Incomplete: how.Incomplete, streams: s.streams, id: id}, nil
}

// BlobExists tells whether Blob would find something.
func (s *Service) BlobExists(ctx context.Context, id logservice.ID) (bool, error) {
	exists, err := s.stored(ctx, id)
	if err != nil || exists {
		return exists, err
	}
	if _, ok := s.waiting(ctx, id); ok {
		return true, nil
	}
	return s.stored(ctx, id) // it may have been archived in between
}

// DeleteBlob deletes the log of id: what is stored, and a closed stream that
// waits to be archived. One that does not exist is no error.
func (s *Service) DeleteBlob(ctx context.Context, id logservice.ID) error {
	return s.replacing(ctx, id, func(logs.Claim) error { return s.store.Delete(ctx, id) })
}

// DeleteBlobs deletes the logs of account at and below prefix (whole
// segments), as DeleteBlob does, and says how many. On an error some may be
// gone.
func (s *Service) DeleteBlobs(ctx context.Context, account string, prefix logservice.Key) (n int, err error) {
	if account == "" { // the filter would take it for all
		return 0, logservice.Invalidf("account is empty")
	}
	// What waits to be archived comes first: what is archived meanwhile is
	// in the listing of the store.
	infos, err := s.streams.List(ctx, logs.Filter{Account: account, Prefix: prefix})
	if err != nil {
		return 0, err
	}
	for i := range infos {
		if !infos[i].Pending() {
			continue
		}
		if err := s.DeleteBlob(ctx, infos[i].ID); err != nil {
			return n, err
		}
		n++
	}
	for e, err := range s.store.List(ctx, account, prefix) {
		if err != nil {
			return n, err
		}
		if err := s.DeleteBlob(ctx, logservice.ID{Account: account, Key: e.Key}); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// ListBlobs yields the stored logs of account at and below prefix; see
// Store.List.
func (s *Service) ListBlobs(ctx context.Context, account string, prefix logservice.Key) iter.Seq2[logs.BlobEntry, error] {
	return s.store.List(ctx, account, prefix)
}
