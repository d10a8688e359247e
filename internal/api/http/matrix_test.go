package httpapi_test

import (
	"encoding/json"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dchest/authcookie"

	logservice "github.com/harness/log-service"
	httpapi "github.com/harness/log-service/internal/api/http"
	"github.com/harness/log-service/internal/auth"
)

// rule is what the test knows of a route.
type rule struct {
	needs auth.Verbs
	// key is the key of the log, where the path names it: {name} is the
	// segment of that name.
	key string
	// own: the log is in the account that the token is for.
	own bool
}

// rules are what routes must ask of their callers, decided here once more: a
// route that is not in this list fails the test, and so does one whose row in
// the table says something else.
var rules = map[string]rule{
	"GET /token":                            {needs: auth.Global},
	"POST /token":                           {needs: auth.Push | auth.Tail | auth.Read | auth.Write | auth.Delete, own: true},
	"POST /stream":                          {needs: auth.Push},
	"PUT /stream":                           {needs: auth.Push},
	"GET /stream":                           {needs: auth.Tail},
	"DELETE /stream":                        {needs: auth.Push},
	"POST /stream/ticket":                   {needs: auth.Tail},
	"GET /stream/info":                      {needs: auth.Push | auth.Tail | auth.Read},
	"GET /info/stream":                      {needs: auth.Global},
	"POST /blob":                            {needs: auth.Write},
	"GET /blob":                             {needs: auth.Read},
	"DELETE /blob":                          {needs: auth.Delete},
	"GET /blob/exists":                      {needs: auth.Read},
	"POST /blob/link/upload":                {needs: auth.Write},
	"POST /blob/link/download":              {needs: auth.Read},
	"POST /blob/download":                   {needs: auth.Read},
	"DELETE /internal/blob":                 {needs: auth.Global},
	"PUT /link/upload":                      {needs: auth.Public},
	"GET /link/download":                    {needs: auth.Public},
	"GET /link/zip":                         {needs: auth.Public},
	"POST " + ciPath + "stream":             {needs: auth.Push, key: ciKey},
	"PUT " + ciPath + "stream":              {needs: auth.Push, key: ciKey},
	"GET " + ciPath + "stream":              {needs: auth.Tail, key: ciKey},
	"DELETE " + ciPath + "stream":           {needs: auth.Push, key: ciKey},
	"POST " + ciPath + "blob":               {needs: auth.Write, key: ciKey},
	"GET " + ciPath + "blob":                {needs: auth.Read, key: ciKey},
	"DELETE " + ciPath + "blob":             {needs: auth.Delete, key: ciKey},
	"GET " + ciPath + "blob/exists":         {needs: auth.Read, key: ciKey},
	"POST " + ciPath + "blob/link/upload":   {needs: auth.Write, key: ciKey},
	"POST " + ciPath + "blob/link/download": {needs: auth.Read, key: ciKey},
	"GET /ci/streams":                       {needs: auth.Push | auth.Tail | auth.Read},
	"POST /rpc/v2/step/{id}/logs/batch":     {needs: auth.Push, key: "drone/step/{id}", own: true},
	"POST /rpc/v2/step/{id}/logs/upload":    {needs: auth.Write, key: "drone/step/{id}", own: true},
	"GET /healthz":                          {needs: auth.Public},
	"GET /ready/healthz":                    {needs: auth.Public},
	"GET /metrics":                          {needs: auth.Global},
	"POST /rca":                             {needs: auth.Public},
	"POST /stackdriver":                     {needs: auth.Public},
	"GET /stackdriver":                      {needs: auth.Public},
}

const (
	ciKey  = "{project}/{build}/{stage}/{step}"
	ciPath = "/ci/" + ciKey + "/"
)

// methodsOf is the method of a row, and those that come with it.
func methodsOf(r httpapi.Row) []string {
	if r.Method == http.MethodGet {
		return []string{http.MethodGet, http.MethodHead}
	}
	return []string{r.Method}
}

func newMatrix(t *testing.T, c httpapi.Config) *matrix {
	t.Helper()
	m := &matrix{}
	logger := slog.New(slog.NewTextHandler(&m.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	revoked := filepath.Join(t.TempDir(), "revoked")
	if err := os.WriteFile(revoked, []byte("stolen\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	v, err := auth.New(auth.Config{Secret: testSecret, GlobalToken: globalToken, RevokedTokens: revoked, Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	c.Auth, c.Logger = v, logger
	m.testServer = startServer(t, c)
	return m
}

// keys are those of all logs that there are.
func (m *matrix) keys() []string {
	all := map[string]bool{"p/2/x/y": true}
	for _, r := range httpapi.Table() {
		all[logOf(r, existing)] = true
	}
	return slices.Sorted(maps.Keys(all))
}

// fill makes logs of account A and one of B, live and stored.
func (m *matrix) fill() {
	m.t.Helper()
	for account, text := range map[string]string{"A": marker, "B": "mine"} {
		token := m.cookie(account, time.Hour, testSecret)
		for _, key := range m.keys() {
			q := "accountID=" + account + "&key=" + key
			m.must(204, http.MethodPost, "/stream?"+q, "", "X-Harness-Token", token)
			m.must(204, http.MethodPut, "/stream?"+q, `[{"out":"`+text+`"}]`, "X-Harness-Token", token)
			m.must(204, http.MethodPost, "/blob?"+q, text, "X-Harness-Token", token)
		}
	}
}

func (m *matrix) cookie(account string, ttl time.Duration, secret string) string {
	return authcookie.NewSinceNow(account, ttl, []byte(secret))
}

func (m *matrix) scoped(g auth.Grant) string { return tokenFor(m.t, testSecret, g) }

// but is every verb except those of v.
func but(v auth.Verbs) auth.Verbs {
	return (auth.Push | auth.Tail | auth.Read | auth.Write | auth.Delete) &^ v
}

// bad is every kind of token that is not good for a route about the log of key
// in account A, with how it comes and the words it is refused with.
func (m *matrix) bad(needs auth.Verbs, key string) map[string][3]string {
	refusal := notAllowed
	if needs == auth.Global {
		refusal = notGlobal
	}
	kinds := map[string][3]string{
		"none":                           {"", "", noToken},
		"an empty one":                   {"header", "", noToken},
		"a query token":                  {"query", m.cookie("A", time.Hour, testSecret), noToken},
		"malformed":                      {"header", "malformed", refusal},
		"malformed, with dots":           {"header", "mal.for.med", refusal},
		"of somebody else":               {"bearer", "mal.for.med", noToken},
		"expired":                        {"header", m.cookie("A", -time.Hour, testSecret), refusal},
		"expired, with a scope":          {"bearer", m.scoped(auth.Grant{Account: "A", Verbs: auth.Admin, Expires: time.Now().Add(-time.Hour)}), refusal},
		"forged":                         {"header", m.cookie("A", time.Hour, otherSecret), refusal},
		"forged, with a scope":           {"bearer", tokenFor(m.t, otherSecret, auth.Grant{AllAccounts: true, Verbs: auth.Admin}), refusal},
		"revoked":                        {"bearer", m.scoped(auth.Grant{AllAccounts: true, Verbs: auth.Admin, ID: "stolen"}), refusal},
		"of another account":             {"header", m.cookie("B", time.Hour, testSecret), refusal},
		"of another account, any verb":   {"bearer", m.scoped(auth.Grant{Account: "B", Verbs: auth.Admin}), refusal},
		"of the account's begin":         {"header", m.cookie("A ", time.Hour, testSecret), refusal},
		"for another key":                {"bearer", m.scoped(auth.Grant{Account: "A", Verbs: auth.Admin, Prefix: "p/2"}), refusal},
		"for a key that begins the same": {"bearer", m.scoped(auth.Grant{Account: "A", Verbs: auth.Admin, Prefix: logservice.Key(key + "/z")}), refusal},
		"for all accounts, another key":  {"bearer", m.scoped(auth.Grant{AllAccounts: true, Verbs: auth.Admin, Prefix: "q"}), refusal},
		"the global token":               {"header", globalToken, refusal},
	}
	if but(needs) != 0 {
		kinds["of all accounts, another verb"] = [3]string{"bearer", m.scoped(auth.Grant{AllAccounts: true, Verbs: but(needs)}), refusal}
		kinds["of the account, another verb"] = [3]string{"bearer", m.scoped(auth.Grant{Account: "A", Verbs: but(needs)}), refusal}
	}
	if needs == auth.Global {
		delete(kinds, "the global token")
		kinds["of the account, all of it"] = [3]string{"header", m.cookie("A", time.Hour, testSecret), refusal}
	}
	return kinds
}

// TestEveryRouteAgainstEveryKindOfToken is the authorisation matrix. It is made
// of the real table of routes.
func TestEveryRouteAgainstEveryKindOfToken(t *testing.T) {
	m := newMatrix(t, httpapi.Config{})
	m.fill()
	before := m.state()
	seen := map[string]bool{}
	for _, r := range httpapi.Table() {
		name := r.Method + " " + r.Pattern
		seen[name] = true
		if want, ok := rules[name]; !ok || want.needs != r.Needs {
			t.Errorf("%s needs %v, and the list of this test says %v (listed: %v)", name, r.Needs, want.needs, ok)
			continue
		}
		if r.Needs == auth.Public {
			continue
		}
		for kind, c := range m.bad(r.Needs, logOf(r, existing)) {
			m.refuses(r, kind, c)
		}
	}
	for name := range rules {
		if !seen[name] {
			t.Errorf("%s is in the list of this test, and no route", name)
		}
	}
	if after := m.state(); after != before {
		t.Errorf("refused requests changed something:\n%s\nwas\n%s", after, before)
	}
	for _, r := range httpapi.Table() {
		m.admits(r)
	}
	m.keepsTokensSecret()
}

// TestTokensInTheQueryAreForReads sends good tokens in the query to a server that
// accepts them there.
func TestTokensInTheQueryAreForReads(t *testing.T) {
	m := newMatrix(t, httpapi.Config{QueryTokens: true})
	m.fill()
	reads := 0
	for _, r := range httpapi.Table() {
		if r.Needs == auth.Public || r.Method+r.Pattern == "GET/token" {
			continue
		}
		token := m.cookie("A", time.Hour, testSecret)
		if r.Needs == auth.Global {
			token = globalToken
		}
		o := m.probe(r, r.Method, existing, "query", token)
		read := r.Method == http.MethodGet && r.Needs != auth.Global
		if read {
			reads++
		}
		if refused := o.message == noToken; refused == read {
			t.Errorf("%s %s with a token in the query: %d %q", r.Method, r.Pattern, o.status, o.message)
		}
	}
	if reads < 5 {
		t.Errorf("only %d routes read", reads)
	}
	get := "/blob?accountID=A&key=" + existing + "&X-Harness-Token="
	token := m.cookie("A", time.Hour, testSecret)
	m.must(200, "HEAD", get+token, "")
	m.must(200, "GET", get+token, "", "Authorization", "Bearer the.session.of-somebody-else")
	m.must(403, "GET", get+m.cookie("B", time.Hour, testSecret), "")
	m.must(403, "GET", get+token, "", "X-Harness-Token", m.cookie("B", time.Hour, testSecret))
	m.must(200, "GET", get, "", "X-Harness-Token", token)
	if log := m.log.String(); strings.Contains(log, token) || strings.Contains(log, "X-Harness-Token") {
		t.Error("the log holds a token from the query")
	}
}

// refuses checks that a kind of token is refused, and learns nothing.
func (m *matrix) refuses(r httpapi.Row, kind string, c [3]string) {
	m.t.Helper()
	place, token, words := c[0], c[1], c[2]
	exchange := r.Method+r.Pattern == "POST/token"
	own := rules[r.Method+" "+r.Pattern].own
	switch {
	case own && strings.HasPrefix(kind, "of another account"), own && kind == "of the account's begin":
		return // it is good for a log of its own
	case exchange && strings.HasSuffix(kind, "key"), exchange && kind == "for a key that begins the same":
		return // about no key
	case r.Method+r.Pattern == "GET/token" && place == "query":
		words = notGlobal // that route alone looks there
	case r.Needs == auth.Push|auth.Tail|auth.Read && kind == "for a key that begins the same":
		return // a listing of what it is for
	}
	for _, method := range methodsOf(r) {
		what := method + " " + r.Pattern + " with a token " + kind
		there := m.probe(r, method, existing, place, token)
		nowhere := m.probe(r, method, missing, place, token)
		if method == http.MethodHead {
			if there.status != 400 && there.status != 403 {
				m.t.Errorf("%s: %d", what, there.status)
			}
			continue
		}
		status := http.StatusForbidden
		if words != notAllowed {
			status = http.StatusBadRequest
		}
		if there.status != status || !strings.HasPrefix(there.message, words) {
			m.t.Errorf("%s: %d %q, want %d %q", what, there.status, there.message, status, words)
		}
		if strings.Contains(there.body, marker) || (token != "" && strings.Contains(there.body, token)) {
			m.t.Errorf("%s: the answer %q reveals a secret", what, there.body)
		}
		if there.status != nowhere.status || there.message != nowhere.message {
			m.t.Errorf("%s: %+v for a log that exists, %+v for one that does not", what, there, nowhere)
		}
	}
}

// admits checks that what is good for a route is not refused.
func (m *matrix) admits(r httpapi.Row) {
	m.t.Helper()
	good := map[string][2]string{
		"no token":  {"", ""},
		"any token": {"header", "any"},
	}
	switch r.Needs {
	case auth.Public:
	case auth.Global:
		good = map[string][2]string{
			"the global token": {"header", globalToken},
			"an operator's":    {"bearer", m.scoped(auth.Grant{AllAccounts: true, Verbs: auth.Admin})},
		}
	default:
		good = map[string][2]string{
			"the account's":       {"header", m.cookie("A", time.Hour, testSecret)},
			"the account's, sent": {"bearer", m.cookie("A", time.Hour, testSecret)},
			"an operator's":       {"bearer", m.scoped(auth.Grant{AllAccounts: true, Verbs: auth.Admin})},
		}
		for _, verb := range []auth.Verbs{auth.Push, auth.Tail, auth.Read, auth.Write, auth.Delete} {
			if verb&r.Needs == 0 {
				continue
			}
			key := logOf(r, existing)
			for _, prefix := range []string{path.Dir(key), key} {
				good["for "+verb.String()+" below "+prefix] = [2]string{"bearer",
					m.scoped(auth.Grant{Account: "A", Verbs: verb, Prefix: logservice.Key(prefix)})}
			}
		}
	}
	for kind, c := range good {
		for _, method := range methodsOf(r) {
			if o := m.probe(r, method, existing, c[0], c[1]); o.refused() || (method == http.MethodHead && r.Needs != auth.Public && (o.status == 403 || o.status == 400)) {
				m.t.Errorf("%s %s with %s: %d %s", method, r.Pattern, kind, o.status, o.body)
			}
		}
	}
}

// keepsTokensSecret looks for every token in what the server has logged.
func (m *matrix) keepsTokensSecret() {
	m.t.Helper()
	log := m.log.String()
	if strings.Count(log, "msg=request") < 500 {
		m.t.Fatalf("the log has too few requests to say anything:\n%.2000s", log)
	}
	for _, token := range append(m.tokens, globalToken, testSecret) {
		if len(token) > len("malformed, and not much longer") && strings.Contains(log, token) || token == globalToken && strings.Contains(log, token) {
			m.t.Fatalf("the log holds the token %s", token)
		}
	}
	for _, word := range []string{"X-Harness-Token", "Bearer ", "signature=", "ticket="} {
		if strings.Contains(log, word) {
			m.t.Errorf("the log holds %q: what follows it may be a secret", word)
		}
	}
}

// state is everything that the service keeps, as its owners see it.
func (m *matrix) state() string {
	m.t.Helper()
	var b strings.Builder
	for _, account := range []string{"A", "B"} {
		token := m.cookie(account, time.Hour, testSecret)
		info := m.must(200, http.MethodGet, "/stream/info?accountID="+account, "", "X-Harness-Token", token).body
		var list struct {
			Streams map[string]struct {
				Size, Bytes int64
			} `json:"streams"`
		}
		if err := json.Unmarshal([]byte(info), &list); err != nil {
			m.t.Fatal(err)
		}
		text, _ := json.Marshal(list)
		b.Write(text)
		for _, key := range append(m.keys(), missing) {
			a := m.do(http.MethodGet, "/blob?accountID="+account+"&key="+key, nil, "X-Harness-Token", token)
			if a.status != 200 {
				a.body = ""
			}
			b.WriteString("\n" + key + ": " + a.body)
		}
		b.WriteString("\n")
	}
	return b.String()
}
