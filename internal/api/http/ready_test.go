package httpapi_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	httpapi "github.com/harness/log-service/internal/api/http"
	"github.com/harness/log-service/internal/logs"
	"github.com/harness/log-service/internal/service"
)

// full is an engine whose disk is full.
type full struct{ logs.Streams }

func (full) Check(context.Context) error { return errors.New("the disk is full") }

func TestReadinessHasTheReasonAndWhenToAskAgain(t *testing.T) {
	quiet := slog.New(slog.DiscardHandler)
	h := httpapi.New(httpapi.Config{Service: service.New(service.Config{Streams: full{}, Logger: quiet}), Logger: quiet})
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/ready/healthz", nil))
	if w.Code != 503 || w.Header().Get("Retry-After") != "1" || !strings.Contains(w.Body.String(), "live logs: the disk is full") {
		t.Errorf("%d, retry after %q: %s", w.Code, w.Header().Get("Retry-After"), w.Body)
	}
}
