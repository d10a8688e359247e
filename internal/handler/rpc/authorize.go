package rpc

import (
	"context"
	"errors"
	"strings"

	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/reflection/grpc_reflection_v1alpha"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/auth"
	"github.com/harness/log-service/internal/handler/endpoint"
	logservicev1 "github.com/harness/log-service/proto/logservice/v1"
)

// Needs is every call of the server, by its full name, and the verbs of which
// its caller must have one. A call that is not here is refused.
func Needs() map[string]auth.Verbs {
	const list = auth.Push | auth.Tail | auth.Read // who has to do with live logs sees those of its scope
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

// caller is who makes a call. It is the only way to an identity.
type caller struct {
	grant auth.Grant
	needs auth.Verbs
}

type callerKey struct{}

func callerOf(ctx context.Context) caller {
	c, _ := ctx.Value(callerKey{}).(caller) // the zero one may do nothing
	return c
}

// authenticate verifies the token of a call and returns its context with the
// caller in it.
func (s *Server) authenticate(ctx context.Context, method string) (context.Context, error) {
	needs, ok := s.needs[method]
	switch {
	case !ok:
		return ctx, logservice.Errorf(logservice.ErrUnsupported, "no such call")
	case needs == auth.Public:
		return ctx, nil
	}
	token, err := credential(ctx)
	if err != nil {
		return ctx, err
	}
	grant, err := s.auth.Verify(ctx, token)
	if errors.Is(err, logservice.ErrUnauthorized) {
		err = logservice.Errorf(logservice.ErrUnauthorized, "no token: send it in the metadata, as authorization: Bearer TOKEN or as x-harness-token: TOKEN")
	}
	return context.WithValue(ctx, callerKey{}, caller{grant, needs}), err
}

// credential is the token of a call. Two that differ are refused: who looks at
// one of them must not be told another one's answer.
func credential(ctx context.Context) (token string, err error) {
	given := metadata.ValueFromIncomingContext(ctx, strings.ToLower(endpoint.HeaderToken))
	for _, field := range metadata.ValueFromIncomingContext(ctx, "authorization") {
		if scheme, t, _ := strings.Cut(field, " "); strings.EqualFold(scheme, "Bearer") {
			given = append(given, strings.TrimSpace(t))
		}
	}
	for _, t := range given {
		if token != "" && t != token {
			return "", logservice.Invalidf("two tokens in one call: send one")
		}
		token = t
	}
	return token, nil
}

// log is a log that the caller may do to what the call is for.
func (c caller) log(account, key string) (logservice.ID, error) {
	id, err := logservice.ParseID(account, key)
	if err != nil {
		return id, err
	}
	return id, c.also(c.needs, id)
}

// also checks that the caller has one of verbs, for a field that does more
// than the call is for.
func (c caller) also(verbs auth.Verbs, id logservice.ID) error {
	if err := c.grant.Allows(verbs, id); err != nil {
		return refused(id.Account, err)
	}
	return nil
}

// listing is the part of account at and below prefix that the caller may see.
func (c caller) listing(account, prefix string) (string, logservice.Key, error) {
	account, err := logservice.ParseAccount(account)
	if err != nil {
		return "", "", err
	}
	var key logservice.Key
	if prefix != "" {
		if key, err = logservice.ParseKey(prefix); err != nil {
			return "", "", err
		}
	}
	if err = c.grant.AllowsAccount(c.needs, account); err == nil {
		key, err = c.grant.Narrow(key)
	}
	if err != nil {
		return "", "", refused(account, err)
	}
	return account, key, nil
}

func refused(account string, err error) error {
	return logservice.Errorf(logservice.ErrForbidden, "operation not permitted for account %s: %v", account, err)
}
