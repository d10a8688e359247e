package logservice

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
)

func TestEveryKindOfErrorIsFoundInEveryDirection(t *testing.T) {
	statuses, codes := map[int]bool{}, map[uint32]bool{}
	for _, k := range kinds {
		if got := KindOf(fmt.Errorf("append: %w", k.Err)); got.Code != k.Code || got.Status != k.Status || got.GRPC != k.GRPC {
			t.Errorf("%v is %+v, want %+v", k.Err, got, k)
		}
		if got := KindOfCode(k.Code); !errors.Is(k.Err, got.Err) {
			t.Errorf("%s is %v, want %v", k.Code, got.Err, k.Err)
		}
		if got := KindOfStatus(k.Status); got.Err == nil || got.Status != k.Status || !statuses[k.Status] && got.Err != k.Err {
			t.Errorf("status %d is %v, want the first row that has it", k.Status, got.Err)
		}
		if got := KindOfGRPC(k.GRPC); got.Err == nil || got.GRPC != k.GRPC || !codes[k.GRPC] && got.Err != k.Err {
			t.Errorf("code %d of gRPC is %v, want the first row that has it", k.GRPC, got.Err)
		}
		for _, status := range k.statuses {
			if got := KindOfStatus(status); got.Err != k.Err {
				t.Errorf("status %d is %v, want %v", status, got.Err, k.Err)
			}
		}
		for _, err := range k.from {
			if got := KindOf(fmt.Errorf("read: %w", err)); got.Err != k.Err {
				t.Errorf("%v is %v, want %v", err, got.Err, k.Err)
			}
		}
		statuses[k.Status], codes[k.GRPC] = true, true
	}
}

func TestAnErrorIsOfItsMostSpecificKind(t *testing.T) {
	for _, tc := range []struct {
		err  error
		want string
	}{
		{&SequenceError{Offset: 9, Expected: 4}, "sequence_gap"},
		{Invalidf("bad"), "invalid"},
		{&UnavailableError{Cause: Errorf(ErrLimit, "too many")}, "limit"},
		// Unavailable errors may succeed later, whatever their cause.
		{&UnavailableError{Cause: context.DeadlineExceeded}, "unavailable"},
		{&UnavailableError{Cause: ErrBlobNotFound}, "unavailable"},
		{&UnavailableError{Cause: io.ErrUnexpectedEOF}, "unavailable"},
		{&UnavailableError{Cause: ErrDamaged}, "unavailable"},
		{&DamageError{Gap{First: 1, Last: 1, Rest: true}}, "damaged"},
		{errors.New("any other"), "internal"},
	} {
		if got := KindOf(tc.err); got.Code != tc.want {
			t.Errorf("%v is %s, want %s", tc.err, got.Code, tc.want)
		}
	}
	if _, known := errors.AsType[*GapError](&DamageError{Gap{First: 2, Last: 5, Damage: "x"}}); !known {
		t.Error("damage of known length is no gap")
	}
	if _, known := errors.AsType[*GapError](&DamageError{Gap{First: 2, Last: 2, Damage: "x", Rest: true}}); known {
		t.Error("damage of unknown length is a gap")
	}
	full := &UnavailableError{Cause: &os.PathError{Op: "write", Path: "/data/1.wal", Err: syscall.ENOSPC}}
	if k := KindOf(full); k.Code != "unavailable" || !k.Temporary() || k.Err.Error() != "no space left on the server's disk" {
		t.Errorf("a full disk is %+v", k)
	}
	if !errors.Is(&SequenceError{}, ErrConflict) {
		t.Error("a gap is no conflict")
	}
	for status, want := range map[int]error{400: ErrInvalid, 418: ErrInvalid, 599: nil, 302: nil} {
		if got := KindOfStatus(status).Err; got != want {
			t.Errorf("status %d is %v, want %v", status, got, want)
		}
	}
	if k := KindOfCode("new"); k.Err != nil || k.Status != 500 || KindOfGRPC(2).Err != nil {
		t.Errorf("an unknown name is %+v", k)
	}
}

// Every kind is in the tables of the documentation.
func TestTheDocumentationHasEveryKindOfError(t *testing.T) {
	for file, row := range map[string]func(Kind) string{
		"docs/http-api.md": func(k Kind) string { return fmt.Sprintf("(?m)^\\| %d \\|.*`%s`", k.Status, k.Code) },
		"docs/grpc.md":     func(k Kind) string { return fmt.Sprintf("(?m)^\\| .*`%s`.*\\| %d", strings.ToUpper(k.Code), k.Status) },
	} {
		page, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range append(slices.Clone(kinds), internalKind) {
			if errors.Is(k.Err, ErrBlobNotFound) && file == "docs/grpc.md" {
				continue // no call concerns blobs
			}
			if !regexp.MustCompile(row(k)).Match(page) {
				t.Errorf("%s has no row for %s (%d)", file, k.Code, k.Status)
			}
		}
	}
}
