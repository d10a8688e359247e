package logs

import logservice "github.com/harness/log-service"

// Reader is a Cursor whose caller sends what it reads to a peer. What Next
// returned may be used until the next call of any of its methods; a caller
// that has to wait for its peer calls Rewind or Ready first, and holds none of
// it while it waits. The cursors of engines are Readers, too.
type Reader interface {
	Cursor
	// Attempt is the attempt that the batches of the last Next belong to, and
	// before the first Next the one that it starts in.
	Attempt() int64
	// First is the sequence of the first line that it could read: more than 1
	// if those before are stored elsewhere.
	First() int64
	// Rewind puts the cursor back to after the line after, which is not
	// past where it stands: the peer has not taken more yet.
	Rewind(after int64)
}

// ReleasedError says that an engine has released the lines of a deleted stream
// that a cursor had not read yet: no reader holds files that all streams share.
// The lines below sequence Next existed.
type ReleasedError struct {
	Next     int64
	Archived *Archived // nil: they are nowhere
}

func (e *ReleasedError) Error() string { return "the log was deleted while it was read" }

// Unwrap makes it an error after which to try again: the archive has the log.
func (e *ReleasedError) Unwrap() error { return logservice.ErrUnavailable }

// Archived says where a stream's lines are stored. What is found there later
// is these lines only if its summary, the checksum of its content included, is
// the same: the key may belong to another attempt by then.
type Archived struct {
	ID      logservice.ID
	Attempt int64
	Summary Summary
}

// Archivable is a Claim that takes note of the stream's archive, before it
// deletes the stream, for cursors to go on there.
type Archivable interface {
	Archived(a Archived)
}

// Summary describes a whole archive.
type Summary struct {
	First   int64 // the sequence of the first line
	Next    int64 // the sequence after the last line
	Lines   int64 // of the content; a gap counts as one
	RawSize int64 // of the content, in bytes
	// Incomplete marks the archive of a log whose writer became silent.
	Incomplete bool
	Checksum   uint32 // CRC-32C of the content
}
