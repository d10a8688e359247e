package endpoint

import (
	"errors"
	"net/http"
	"testing"

	logservice "github.com/harness/log-service"
)

func TestASegmentIsWhatAKeyMayHoldBetweenSlashes(t *testing.T) {
	c := &Call{Request: &http.Request{}}
	for value, ok := range map[string]bool{
		"a": true, "a b": true, "%2F": true, "a:b;c": true, "...": true,
		"": false, ".": false, "..": false, "a/b": false, "/": false, `a\b`: false, "a\x00": false, "\u0085": false, "\xff": false,
	} {
		c.Request.SetPathValue("step", value)
		if got, err := c.Segment("step"); ok && (got != value || err != nil) || !ok && !errors.Is(err, logservice.ErrInvalid) {
			t.Errorf("%q: %q, %v; want that it is one: %v", value, got, err, ok)
		}
		if key, err := c.Key("run/{step}/x/{step}"); ok && (key != "run/"+value+"/x/"+value || err != nil) || !ok && err == nil {
			t.Errorf("%q in a key: %q, %v", value, key, err)
		}
	}
}
