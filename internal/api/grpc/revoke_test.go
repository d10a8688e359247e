package grpcapi_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	grpcapi "github.com/harness/log-service/internal/api/grpc"
	"github.com/harness/log-service/internal/auth"
	pb "github.com/harness/log-service/proto/logservice/v1"
)

func TestCallsEndWhenTheirTokenIsRevoked(t *testing.T) {
	list := filepath.Join(t.TempDir(), "revoked")
	v, err := auth.New(auth.Config{Secret: testSecret, RevokedTokens: list, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	s := startServer(t, grpcapi.Config{Auth: v}, 1<<20)
	calls := func(id string) map[string]func() error {
		ctx := metadata.AppendToOutgoingContext(s.context(), "x-harness-token", token(t, testSecret, auth.Grant{Account: "A", Verbs: auth.Admin, ID: id}))
		if _, err := s.Open(ctx, &pb.OpenRequest{Account: "A", Key: "k"}); err != nil {
			t.Fatal(err)
		}
		push, err := s.Push(ctx)
		if err == nil {
			err = push.Send(&pb.PushRequest{Account: "A", Key: "k", Lines: []byte(`{"out":"x"}`)})
		}
		if err == nil {
			_, err = push.Recv()
		}
		if err != nil {
			t.Fatal(err)
		}
		tail, err := s.Tail(ctx, &pb.TailRequest{Account: "A", Key: "k"})
		if err == nil {
			_, err = tail.Recv()
		}
		if err != nil {
			t.Fatal(err)
		}
		watch, err := s.Watch(ctx, &pb.WatchRequest{Account: "A"})
		if err == nil {
			_, err = watch.Recv()
		}
		if err != nil {
			t.Fatal(err)
		}
		return map[string]func() error{
			"a push":  func() error { _, err := push.Recv(); return err },
			"a tail":  func() error { _, err := tail.Recv(); return err },
			"a watch": func() error { _, err := watch.Recv(); return err },
		}
	}
	stolen, other := calls("stolen"), calls("other")
	if err := os.WriteFile(list, []byte("stolen\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, receive := range stolen {
		err := error(nil)
		for err == nil { // what came before
			err = receive()
		}
		if status.Code(err) != codes.PermissionDenied {
			t.Errorf("%s: %v", name, err)
		}
	}
	ctx := metadata.AppendToOutgoingContext(s.context(), "x-harness-token", token(t, testSecret, auth.Grant{Account: "A", Verbs: auth.Admin, ID: "other"}))
	push, err := s.Push(ctx)
	if err == nil {
		err = push.Send(&pb.PushRequest{Account: "A", Key: "k", Lines: []byte(`{"out":"y"}`)})
	}
	if err == nil {
		_, err = push.Recv()
	}
	if err == nil {
		err = other["a tail"]()
	}
	if err != nil {
		t.Errorf("with another token: %v", err)
	}
}
