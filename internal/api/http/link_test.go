package httpapi_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	httpapi "github.com/harness/log-service/internal/api/http"
)

// TestALinkIsForItsMethodKeyAndTime asks for links and uses them in every
// wrong way.
func TestALinkIsForItsMethodKeyAndTime(t *testing.T) {
	s := startServer(t, httpapi.Config{})
	s.must(204, "POST", "/blob?accountID=A&key=run/1", "one\n")
	s.must(204, "POST", "/blob?accountID=B&key=run/1", "other\n")
	right := map[string]string{"/blob/link/upload?accountID=A&key=run/1": "PUT", "/blob/link/download?accountID=A&key=run/1": "GET", "/blob/download?accountID=A&prefix=run": "GET"}
	for route, method := range right {
		var answer struct{ Link string }
		if err := json.Unmarshal([]byte(s.must(200, "POST", route, "").body), &answer); err != nil {
			t.Fatal(err)
		}
		s.must(200, method, answer.Link, "two\n")
		for _, wrong := range []string{"GET", "PUT", "POST", "DELETE", "PATCH"} {
			if wrong != method {
				s.must(403, wrong, answer.Link, "three\n")
			}
		}
		u, err := url.Parse(answer.Link)
		if err != nil {
			t.Fatal(err)
		}
		change := func(name, value string) string {
			c, q := *u, u.Query()
			q.Set(name, value)
			c.RawQuery = q.Encode()
			return c.String()
		}
		expires, _ := strconv.ParseInt(u.Query().Get("expires"), 10, 64)
		if left := time.Until(time.Unix(expires, 0)); left < 59*time.Minute || left > time.Hour {
			t.Errorf("%s works for %v", route, left)
		}
		signature := u.Query().Get("signature")
		for _, forged := range []string{
			change("accountID", "B"), change("key", "run/2"), change("key", "run"+strings.Repeat("/1", 3)),
			change("expires", strconv.FormatInt(expires+1, 10)), change("expires", "1"), change("expires", ""), change("expires", "soon"),
			change("signature", ""), change("signature", signature[1:]), change("signature", signature+"="), change("signature", strings.ToUpper(signature)),
		} {
			s.must(403, method, forged, "four\n")
		}
		for _, path := range []string{"/link/upload", "/link/download", "/link/zip"} {
			if path != u.Path {
				other := *u
				other.Path = path
				s.must(403, http.MethodGet, other.String(), "")
				s.must(403, http.MethodPut, other.String(), "five\n")
			}
		}
	}
	if got := s.must(200, "GET", "/blob?accountID=A&key=run/1", "").body; got != "two\n" {
		t.Errorf("the log is %q", got)
	}
	// No link lives longer than a day.
	var answer struct{ Expires time.Duration }
	if err := json.Unmarshal([]byte(s.must(200, "POST", "/blob/link/upload?accountID=A&key=k&expires=1000h", "").body), &answer); err != nil || answer.Expires != 24*time.Hour {
		t.Errorf("%v, %v", answer.Expires, err)
	}
}
