package endpoint

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/harness/log-service/internal/api"
	"github.com/harness/log-service/internal/api/access"
	"github.com/harness/log-service/internal/auth"
)

// discardWait is how long net/http may continue to read the body of an answered
// request: a peer that never sends it must not occupy its connection.
const discardWait = 5 * time.Second

// Headers of all answers, which share the slices: nobody may change them. Shared
// caches know neither tokens nor links, and logs go on.
var (
	ownCopies = slices.Clip([]string{"private, no-cache"})
	byToken   = slices.Clip([]string{"Authorization, " + access.HeaderToken})
)

// Handler makes an http.Handler of f: it parses the query, gives the request an
// ID, answers errors, recovers from panics, counts, and logs one line. Method
// and route are the labels of the metrics.
//
// The caller must have one of the verbs of needs. That is checked when f
// requests its account, the only source of a Log or a Tree.
func (a *API) Handler(method, route string, needs auth.Verbs, f Func) http.Handler {
	meter := a.metrics.meter(method, route)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := &Call{ResponseWriter: w, Request: r, ID: api.RequestID(r.Header.Get(api.HeaderRequestID)), api: a, needs: needs}
		start := time.Now()
		h := w.Header()
		h.Set(api.HeaderRequestID, c.ID)
		h["Cache-Control"] = ownCopies
		if needs != auth.Public {
			h["Vary"] = byToken
		}
		a.metrics.inFlight.Inc()
		defer a.metrics.inFlight.Dec()
		defer meter.done(c, start)
		defer a.recovered(c, start)
		var err error
		if c.Query, err = ParseQuery(r.URL.RawQuery); err == nil {
			err = f(c)
		}
		if r.ContentLength != 0 && !c.took {
			wait := discardWait
			if errors.Is(err, os.ErrDeadlineExceeded) {
				wait = 0 // it had its time
			}
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(wait))
		}
		a.finish(c, start, err)
	})
}

// finish answers what f left unanswered, and logs the request once.
func (a *API) finish(c *Call, start time.Time, err error) {
	level := slog.LevelDebug
	if err != nil {
		var cut *errAborted
		switch {
		case errors.As(err, &cut):
			if !lostPeer(cut) {
				level = slog.LevelError
			}
			c.cut = true
			defer panic(http.ErrAbortHandler)
		case c.status != 0:
			// A part was sent: what follows must not look like the rest.
			level = slog.LevelError
			c.cut = true
			defer panic(http.ErrAbortHandler)
		case c.fail(err):
			level = slog.LevelError
		}
		if c.Request.Context().Err() != nil {
			level = slog.LevelDebug // the peer disconnected: not a fault of the server
		}
	} else if err = c.answered; err != nil && api.Describe(c.Request.Context(), err).Internal {
		level = slog.LevelError
	}
	if level == slog.LevelDebug && c.status >= http.StatusBadRequest && c.Request.Context().Err() == nil {
		level = slog.LevelInfo // the client has the id of the request
	}
	a.logCall(c, level, start, err)
}

// lostPeer reports that the peer disconnected or stalled.
func lostPeer(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) || errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.Canceled)
}

func (a *API) logCall(c *Call, level slog.Level, start time.Time, err error) {
	ctx := context.WithoutCancel(c.Request.Context())
	if !a.log.Enabled(ctx, level) {
		return
	}
	status := c.status
	if status == 0 {
		status = http.StatusOK
	}
	// Not the URL: its query may contain a token or the signature of a link.
	attrs := []slog.Attr{
		slog.String("request_id", c.ID), slog.String("route", c.Request.Method+" "+c.Request.Pattern),
		slog.Int("status", status), slog.Duration("took", time.Since(start)),
		slog.String("account", c.account), slog.String("key", strings.Join(c.keys, ",")),
	}
	if err != nil {
		attrs = append(attrs, slog.String("error", err.Error()))
	}
	a.log.LogAttrs(ctx, level, "request", attrs...)
}

// recovered answers a panic like an internal error. http.ErrAbortHandler, with
// which a handler closes a connection, is passed on to the server.
func (a *API) recovered(c *Call, start time.Time) {
	p := recover()
	if p == nil {
		return
	}
	if p == http.ErrAbortHandler {
		panic(p)
	}
	a.log.Error("panic", "request_id", c.ID, "route", c.Request.Method+" "+c.Request.Pattern,
		"took", time.Since(start), "panic", p, "stack", string(debug.Stack()))
	if c.status != 0 {
		c.cut = true
		panic(http.ErrAbortHandler)
	}
	c.fail(api.ErrPanic)
}
