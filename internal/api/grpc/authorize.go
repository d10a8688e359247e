package grpcapi

import (
	"context"
	"errors"
	"strings"

	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/reflection/grpc_reflection_v1alpha"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/api/access"
	"github.com/harness/log-service/internal/auth"
	"github.com/harness/log-service/internal/logs"
	logservicev1 "github.com/harness/log-service/proto/logservice/v1"
)

// Needs maps every call of the server, by its full name, to the verbs of which
// its caller must have one. Other calls are rejected.
func Needs() map[string]auth.Verbs {
	const list = auth.Push | auth.Tail | auth.Read // whoever uses live logs sees those of its scope
	return map[string]auth.Verbs{
		logservicev1.LogStream_Open_FullMethodName:  auth.Push,
		logservicev1.LogStream_Push_FullMethodName:  auth.Push,
		logservicev1.LogStream_Tail_FullMethodName:  auth.Tail,
		logservicev1.LogStream_Close_FullMethodName: auth.Push,
		logservicev1.LogStream_List_FullMethodName:  list,
		logservicev1.LogStream_Watch_FullMethodName: list,

		grpc_health_v1.Health_Check_FullMethodName:                                   auth.Public,
		grpc_health_v1.Health_List_FullMethodName:                                    auth.Public,
		grpc_health_v1.Health_Watch_FullMethodName:                                   auth.Public,
		grpc_reflection_v1.ServerReflection_ServerReflectionInfo_FullMethodName:      auth.Public,
		grpc_reflection_v1alpha.ServerReflection_ServerReflectionInfo_FullMethodName: auth.Public,
	}
}

// caller is the sender of a call. Only its methods return the identity of a
// log.
type caller struct {
	access.Caller
	call *call // notes what it acts on, for the log of calls
}

// callerOf returns the caller of a call. The caller of a public call may do
// nothing.
func callerOf(ctx context.Context) caller { return callOf(ctx).caller }

// identify verifies the token of a call.
func (s *Server) identify(ctx context.Context, h metadata.MD, needs auth.Verbs) (caller, error) {
	c, err := access.Identify(ctx, s.auth, access.Credentials{Peer: peerOf(ctx), Header: h[headerToken], Authorization: h["authorization"]}, needs)
	if errors.Is(err, logservice.ErrUnauthorized) {
		err = logservice.Errorf(logservice.ErrUnauthorized, "no token: send it in the metadata, as authorization: Bearer TOKEN or as x-harness-token: TOKEN")
	}
	return caller{Caller: c}, err
}

func peerOf(ctx context.Context) string {
	if p, ok := peer.FromContext(ctx); ok {
		return p.Addr.String()
	}
	return ""
}

var headerToken = strings.ToLower(access.HeaderToken)

// find returns a log that the caller may act on within the call's purpose.
func (c caller) find(account, key string) (access.Log, error) {
	c.note(account, key)
	a, err := c.Account(account)
	if err != nil {
		return access.Log{}, err
	}
	return a.Log(key)
}

func (c caller) note(account, key string) {
	if c.call != nil {
		c.call.asked.Store(&logservice.ID{Account: account, Key: logservice.Key(key)})
	}
}

// log is like find, and returns the log's identity.
func (c caller) log(account, key string) (logservice.ID, error) {
	l, err := c.find(account, key)
	return l.ID(), err
}

// listing selects the logs of account at and below prefix that the caller may
// see.
func (c caller) listing(account, prefix string) (logs.Filter, error) {
	c.note(account, prefix)
	a, err := c.Account(account)
	if err != nil {
		return logs.Filter{}, err
	}
	t, err := a.Listing(prefix)
	if err != nil {
		return logs.Filter{}, err
	}
	return t.Filter()
}
