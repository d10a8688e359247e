package grpcapi_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	grpcapi "github.com/harness/log-service/internal/api/grpc"
	"github.com/harness/log-service/internal/auth"
	"github.com/harness/log-service/internal/logs"
	pb "github.com/harness/log-service/proto/logservice/v1"
)

const (
	testSecret  = "a secret of the tests, long enough"
	globalToken = "the global token of the tests"
)

func token(t *testing.T, secret string, g auth.Grant) string {
	t.Helper()
	s, err := auth.NewSigner([]byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	if g.Expires.IsZero() {
		g.Expires = time.Now().Add(time.Hour)
	}
	made, _, err := s.Sign(g, time.Now().Add(-2*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// calls makes each call of LogStream about a key of account A, and returns
// the error that the server answers.
func (s *testServer) calls() map[string]func(ctx context.Context, key string) error {
	return map[string]func(ctx context.Context, key string) error{
		"Open": func(ctx context.Context, key string) error {
			_, err := s.Open(ctx, &pb.OpenRequest{Account: "A", Key: key})
			return err
		},
		"Push": func(ctx context.Context, key string) error {
			stream, err := s.Push(ctx)
			if err != nil {
				return err
			}
			_ = stream.Send(&pb.PushRequest{Account: "A", Key: key})
			_, err = stream.Recv()
			return err
		},
		"Tail": func(ctx context.Context, key string) error {
			stream, err := s.Tail(ctx, &pb.TailRequest{Account: "A", Key: key})
			if err != nil {
				return err
			}
			_, err = stream.Recv()
			return err
		},
		"Close": func(ctx context.Context, key string) error {
			_, err := s.Close(ctx, &pb.CloseRequest{Account: "A", Key: key})
			return err
		},
		"List": func(ctx context.Context, key string) error {
			_, err := s.List(ctx, &pb.ListRequest{Account: "A", Prefix: key})
			return err
		},
		"Watch": func(ctx context.Context, key string) error {
			stream, err := s.Watch(ctx, &pb.WatchRequest{Account: "A", Prefix: key})
			if err != nil {
				return err
			}
			_, err = stream.Recv()
			return err
		},
	}
}

// The matrix: every call with every kind of token. A call that is not in it
// fails the test.
func TestEveryCallAsksForItsToken(t *testing.T) {
	verifier, err := auth.New(auth.Config{Secret: testSecret, GlobalToken: globalToken, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	s := startServer(t, grpcapi.Config{Auth: verifier}, 0)
	all := s.calls()
	for service, info := range s.rpc.Services() {
		for _, m := range info.Methods {
			full := "/" + service + "/" + m.Name
			needs, ok := grpcapi.Needs()[full]
			if !ok {
				t.Errorf("%s is in no table of what calls need", full)
			}
			if _, ok := all[m.Name]; needs != auth.Public && !ok {
				t.Errorf("%s is not in the matrix", full)
			}
		}
	}
	const no, forbidden = codes.Unauthenticated, codes.PermissionDenied
	scoped := func(v auth.Verbs) string { return token(t, testSecret, auth.Grant{Account: "A", Verbs: v}) }
	for _, tc := range []struct {
		name, token string
		denied      codes.Code
		allowed     string // the calls that it is good for
	}{
		{"none", "", no, ""},
		{"malformed", "nonsense", forbidden, ""},
		{"of another secret", token(t, "another secret, just as long", auth.Grant{Account: "A", Verbs: auth.Admin}), forbidden, ""},
		{"expired", token(t, testSecret, auth.Grant{Account: "A", Verbs: auth.Admin, Expires: time.Now().Add(-time.Hour)}), forbidden, ""},
		{"another account's", token(t, testSecret, auth.Grant{Account: "B", Verbs: auth.Admin}), forbidden, ""},
		{"another key's", token(t, testSecret, auth.Grant{Account: "A", Prefix: "other", Verbs: auth.Admin}), forbidden, ""},
		{"like the key", token(t, testSecret, auth.Grant{Account: "A", Prefix: "p/1/2", Verbs: auth.Admin}), forbidden, "List Watch"},
		{"global", globalToken, forbidden, ""},
		{"to push", scoped(auth.Push), forbidden, "Open Push Close List Watch"},
		{"to tail", scoped(auth.Tail), forbidden, "Tail List Watch"},
		{"to read", scoped(auth.Read), forbidden, "List Watch"},
		{"to write", scoped(auth.Write), forbidden, ""},
		{"for all", scoped(auth.Admin), forbidden, "Open Push Tail Close List Watch"},
		{"for all accounts", token(t, testSecret, auth.Grant{AllAccounts: true, Verbs: auth.Admin}), forbidden, "Open Push Tail Close List Watch"},
	} {
		for name, call := range all {
			for how, md := range map[string]metadata.MD{
				"authorization":   metadata.Pairs("authorization", "Bearer "+tc.token),
				"x-harness-token": metadata.Pairs("x-harness-token", tc.token),
			} {
				ctx, cancel := context.WithCancel(metadata.NewOutgoingContext(s.context(), md))
				if err := s.service.Open(ctx, s.id("p/1"), logs.OpenOptions{}); err != nil {
					t.Fatal(err)
				}
				err := call(ctx, "p/1")
				cancel()
				want := tc.denied
				if tc.name == "malformed" && how == "authorization" {
					want = no // somebody else's, for a proxy in between
				}
				if strings.Contains(tc.allowed, name) {
					want = codes.OK
				}
				if status.Code(err) != want {
					t.Errorf("%s with the token %s (%s): %v, want %v", name, tc.name, how, err, want)
				}
				if tc.token != "" && err != nil && strings.Contains(err.Error(), tc.token) {
					t.Errorf("%s reveals the token: %v", name, err)
				}
			}
		}
	}
}

func TestFieldsThatDoMoreAskForMore(t *testing.T) {
	verifier, err := auth.New(auth.Config{Secret: testSecret, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	s := startServer(t, grpcapi.Config{Auth: verifier}, 0)
	with := func(v auth.Verbs) context.Context {
		made := token(t, testSecret, auth.Grant{Account: "A", Prefix: "p", Verbs: v})
		return metadata.AppendToOutgoingContext(s.context(), "authorization", "bearer "+made)
	}
	open := func(ctx context.Context) error {
		_, err := s.Open(ctx, &pb.OpenRequest{Account: "A", Key: "p/1", Truncate: true})
		return err
	}
	closing := func(how pb.Archiving) func(ctx context.Context) error {
		return func(ctx context.Context) error {
			if err := s.service.Open(ctx, s.id("p/1"), logs.OpenOptions{}); err != nil {
				return err
			}
			_, err := s.Close(ctx, &pb.CloseRequest{Account: "A", Key: "p/1", Archiving: how})
			return err
		}
	}
	for _, tc := range []struct {
		name string
		call func(context.Context) error
		more auth.Verbs
	}{
		{"truncate", open, auth.Delete},
		{"archive always", closing(pb.Archiving_ARCHIVING_ALWAYS), auth.Write},
		{"archive never", closing(pb.Archiving_ARCHIVING_NEVER), auth.Delete},
	} {
		if err := tc.call(with(auth.Push)); status.Code(err) != codes.PermissionDenied {
			t.Errorf("%s by who may push: %v", tc.name, err)
		}
		if err := tc.call(with(auth.Push | tc.more)); err != nil {
			t.Errorf("%s by who may: %v", tc.name, err)
		}
	}
	// A push that goes on in a log of somebody else.
	push, err := s.Push(with(auth.Push | auth.Tail))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.service.Open(t.Context(), s.id("p/2"), logs.OpenOptions{}); err != nil {
		t.Fatal(err)
	}
	_ = push.Send(&pb.PushRequest{Account: "A", Key: "p/2"})
	if _, err := push.Recv(); err != nil {
		t.Fatal(err)
	}
	_ = push.Send(&pb.PushRequest{Account: "A", Key: "q/2"})
	if _, err := push.Recv(); status.Code(err) != codes.PermissionDenied || errors.Is(err, io.EOF) {
		t.Errorf("pushing on into another log: %v", err)
	}
	two := metadata.AppendToOutgoingContext(with(auth.Push), "x-harness-token", "one", "x-harness-token", "another")
	if err := open(two); status.Code(err) != codes.InvalidArgument {
		t.Errorf("two tokens: %v", err)
	}
}
