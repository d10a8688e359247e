package grpcapi

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/tap"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/api"
	"github.com/harness/log-service/internal/auth"
	logservicev1 "github.com/harness/log-service/proto/logservice/v1"
)

const (
	// messageTime is how long the request of a call may take to arrive; it has a few
	// hundred bytes.
	messageTime = 20 * time.Second
	// publicTime is the time limit of a public call. Watchers of the health service
	// call again.
	publicTime = 15 * time.Minute
	// maxPublic and maxPublicOfOne limit the public calls in progress: of all
	// connections, and of one.
	maxPublic, maxPublicOfOne = 512, 16
)

var (
	errNoMessage  = status.Error(codes.DeadlineExceeded, "the request did not arrive in time")
	errPublicTime = status.Error(codes.DeadlineExceeded, "the time limit of a call without a token has passed: call again")
)

// call is one call, from its headers to its end.
type call struct {
	server  *Server
	method  string
	id      string
	began   time.Time
	caller  caller
	conn    *receiver     // its connection
	message *time.Timer   // ends the call if its request does not arrive; or nil
	revoked chan struct{} // closed when the token of a call that streams is revoked
	asked   atomic.Pointer[logservice.ID]
}

type callKey struct{}

// callOf returns the call of ctx, which tap has put there.
func callOf(ctx context.Context) *call {
	c, _ := ctx.Value(callKey{}).(*call)
	return c
}

// tap admits or refuses a call when its headers have arrived, before any of its
// messages is buffered. gRPC calls it from the goroutine that reads the connection.
func (s *Server) tap(ctx context.Context, info *tap.Info) (context.Context, error) {
	c := &call{server: s, method: info.FullMethodName, id: requestID(info.Header), began: time.Now(), conn: receiverOf(ctx)}
	needs, known := s.needs[c.method]
	err := s.recovered(func() (err error) {
		switch {
		case !known:
			return logservice.Errorf(logservice.ErrUnsupported, "no such call")
		case needs == auth.Public:
			return s.enterPublic(c.conn)
		}
		c.caller, err = s.identify(ctx, info.Header, needs)
		c.caller.call = c
		return err
	})
	if err != nil {
		st, _ := failure(ctx, err, c.id)
		if known {
			s.metrics.began()
			s.metrics.ended(c.method, st.Code(), time.Since(c.began))
		}
		c.write(ctx, slog.LevelInfo, st.Code(), err) // the client has the id of the call
		return ctx, st.Err()
	}
	return c.admit(ctx, needs == auth.Public), nil
}

// admit returns the context of a call that may begin.
func (c *call) admit(ctx context.Context, public bool) context.Context {
	ctx, cancel := context.WithCancelCause(context.WithValue(ctx, callKey{}, c))
	release := func() {}
	if public {
		ctx, release = context.WithTimeoutCause(ctx, c.server.publicTime, errPublicTime)
	} else if c.method != logservicev1.LogStream_Push_FullMethodName {
		c.message = time.AfterFunc(c.server.messageTime, func() { cancel(errNoMessage) })
	}
	if c.streams() {
		c.revoked = make(chan struct{})
		release = c.server.auth.OnRevoked(c.caller.Grant(), func() { close(c.revoked) })
	}
	c.conn.begin(c.caller.Own())
	context.AfterFunc(ctx, func() {
		cancel(nil)
		release()
		if c.message != nil {
			c.message.Stop()
		}
		if public {
			c.server.leavePublic(c.conn)
		}
		c.conn.end()
	})
	return ctx
}

// streams reports whether the call lasts for as long as its caller wants.
func (c *call) streams() bool {
	switch c.method {
	case logservicev1.LogStream_Push_FullMethodName, logservicev1.LogStream_Tail_FullMethodName, logservicev1.LogStream_Watch_FullMethodName:
		return true
	}
	return false
}

// received counts a message that the handler has taken.
func (c *call) received(n int64) {
	if c.message != nil {
		c.message.Stop()
	}
	c.conn.took(n)
}

// enterPublic counts a public call, if there may be another one.
func (s *Server) enterPublic(r *receiver) error {
	all, one := s.public.Add(1), r.addPublic(1)
	if all <= maxPublic && one <= maxPublicOfOne {
		return nil
	}
	s.leavePublic(r)
	return &logservice.UnavailableError{Cause: errors.New("too many calls without a token"), RetryAfter: time.Second}
}

func (s *Server) leavePublic(r *receiver) {
	s.public.Add(-1)
	r.addPublic(-1)
}

var headerRequestID = strings.ToLower(api.HeaderRequestID)

// requestID returns the client's ID of the call if it is short and plain, and a
// random one otherwise.
func requestID(h metadata.MD) string {
	given := ""
	if v := h[headerRequestID]; len(v) > 0 {
		given = v[0]
	}
	return api.RequestID(given)
}

// about returns the account and key that the call last acted on, as sent by the
// client.
func (c *call) about() (id logservice.ID) {
	if asked := c.asked.Load(); asked != nil {
		id = *asked
	}
	return id
}
