package httpapi_test

import (
	"bufio"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	httpapi "github.com/harness/log-service/internal/api/http"
	"github.com/harness/log-service/internal/api/http/public"
)

// TestTheAPIAnswersAsItsSpecificationSays runs testdata/*.http. Each file is
// one server's life: exchanges between lines of ###, each a request and,
// below a line "=> STATUS", what it is answered.
//
//	# A comment.
//	PUT /stream?accountID=A&key=k
//	Content-Type: text/plain
//
//	the body, up to the line break before =>
//	=> 204
//	X-Log-Next-Sequence: 2
//
//	the body of the answer, byte for byte, up to the line break before ###
//
// Headers of the answer that are not named do not matter; one named without a
// value must be absent. In an answer <any> matches anything, <name> for
// anything that is then {{name}} in later exchanges; {{server}} is the address.
//
// The server of auth.http asks for tokens; {{global}} is the global one, others
// are made by scriptTokens.
func TestTheAPIAnswersAsItsSpecificationSays(t *testing.T) {
	files, err := filepath.Glob("testdata/*.http")
	if err != nil || len(files) == 0 {
		t.Fatal("no scripts", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".http"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			c := httpapi.Config{Public: public.Config{Origins: []string{public.AnyOrigin}}}
			vars := map[string]string{}
			if filepath.Base(file) == "auth.http" {
				c.Auth, vars = scriptTokens(t)
			}
			s := startServer(t, c)
			vars["server"] = s.url
			line := 1
			for part := range strings.SplitSeq(string(text), "###\n") {
				e := parseExchange(t, part)
				if e.target != "" {
					where := file + ":" + strconv.Itoa(line)
					runExchange(t, s, where, e, vars)
				}
				line += strings.Count(part, "\n") + 1
			}
		})
	}
}

type exchange struct {
	method, target string
	header         http.Header
	body           string
	status         int
	answerHeader   [][2]string
	answer         string
}

func parseExchange(t *testing.T, part string) (e exchange) {
	for strings.HasPrefix(part, "#") || strings.HasPrefix(part, "\n") {
		_, part, _ = strings.Cut(part, "\n")
	}
	if part == "" {
		return e
	}
	request, answer, ok := strings.Cut(part, "=> ")
	if !ok {
		t.Fatalf("no answer in %q", part)
	}
	head, body, _ := strings.Cut(request, "\n\n")
	first, fields, _ := strings.Cut(strings.TrimSuffix(head, "\n"), "\n")
	e.method, e.target, _ = strings.Cut(first, " ")
	e.body = strings.TrimSuffix(body, "\n")
	e.header = http.Header{}
	for _, f := range headerFields(fields) {
		e.header.Add(f[0], f[1])
	}
	head, e.answer, _ = strings.Cut(answer, "\n\n")
	e.answer = strings.TrimSuffix(e.answer, "\n")
	first, fields, _ = strings.Cut(strings.TrimSuffix(head, "\n"), "\n")
	var err error
	if e.status, err = strconv.Atoi(strings.TrimSpace(first)); err != nil {
		t.Fatalf("no status in %q", answer)
	}
	e.answerHeader = headerFields(fields)
	return e
}

func headerFields(text string) (fields [][2]string) {
	for s := bufio.NewScanner(strings.NewReader(text)); s.Scan(); {
		name, value, _ := strings.Cut(s.Text(), ":")
		fields = append(fields, [2]string{name, strings.TrimSpace(value)})
	}
	return fields
}

func runExchange(t *testing.T, s *testServer, where string, e exchange, vars map[string]string) {
	t.Helper()
	for name, value := range vars {
		e.target = strings.ReplaceAll(e.target, "{{"+name+"}}", value)
		e.answer = strings.ReplaceAll(e.answer, "{{"+name+"}}", value)
		for _, values := range e.header {
			values[0] = strings.ReplaceAll(values[0], "{{"+name+"}}", value)
		}
	}
	target := e.target
	if strings.HasPrefix(target, "/") {
		target = s.url + target
	}
	u, err := url.Parse(target)
	if err != nil {
		t.Fatalf("%s: %v", where, err)
	}
	req := &http.Request{Method: e.method, URL: u, Header: e.header, ContentLength: int64(len(e.body)), Body: http.NoBody, Host: u.Host}
	if e.body != "" {
		req.Body = readCloser{strings.NewReader(e.body)}
	}
	resp, err := s.client.Do(req.WithContext(t.Context()))
	if err != nil {
		t.Fatalf("%s: %v", where, err)
	}
	defer resp.Body.Close()
	var got strings.Builder
	if _, err := bufio.NewReader(resp.Body).WriteTo(&got); err != nil {
		t.Errorf("%s: %v", where, err)
	}
	s.hangUp(resp)
	if resp.StatusCode != e.status {
		t.Errorf("%s: %s %s\ngot status %d, want %d\n%s", where, e.method, e.target, resp.StatusCode, e.status, got.String())
		return
	}
	for _, f := range e.answerHeader {
		value := strings.Join(resp.Header.Values(f[0]), ", ")
		if !capture(f[1], value, vars) {
			t.Errorf("%s: %s %s\ngot header %s: %q, want %q", where, e.method, e.target, f[0], value, f[1])
		}
	}
	if !capture(e.answer, got.String(), vars) {
		t.Errorf("%s: %s %s\ngot body  %q\nwant body %q", where, e.method, e.target, got.String(), e.answer)
	}
}

type readCloser struct{ *strings.Reader }

func (readCloser) Close() error { return nil }

// capture matches text against a pattern with <names>, and keeps what they
// match.
func capture(pattern, text string, vars map[string]string) bool {
	name := regexp.MustCompile(`<[a-z]+>`)
	expr := "^"
	last := 0
	var names []string
	for _, at := range name.FindAllStringIndex(pattern, -1) {
		expr += regexp.QuoteMeta(pattern[last:at[0]]) + "(?s:(.*?))"
		names = append(names, pattern[at[0]+1:at[1]-1])
		last = at[1]
	}
	expr += regexp.QuoteMeta(pattern[last:]) + "$"
	m := regexp.MustCompile(expr).FindStringSubmatch(text)
	for i, n := range names {
		if m != nil && n != "any" {
			vars[n] = m[i+1]
		}
	}
	return m != nil
}
