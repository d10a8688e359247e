package streamtest

import (
	"fmt"
	"strings"
	"testing"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
)

// neighbours are identities that careless joining, escaping, matching or
// folding of names would confuse.
var neighbours = []logservice.ID{
	{Account: "a", Key: "b/c"},
	{Account: "a/b", Key: "c"},
	{Account: "a:b", Key: "c"},
	{Account: "a", Key: "b:c"},
	{Account: "a", Key: "b%2fc"},
	{Account: "a", Key: "b%2Fc"},
	{Account: "a", Key: "b%252fc"},
	{Account: "a", Key: `b\c`},
	{Account: "a", Key: "b"},
	{Account: "ab", Key: "c"},
	{Account: "a", Key: "bc"},
	{Account: "A", Key: "b/c"},
	{Account: "a", Key: "B/c"},
	{Account: "a ", Key: "b/c"},
	{Account: "a", Key: " b/c"},
	{Account: "a", Key: "b/c "},
	{Account: "a", Key: "*"},
	{Account: "a", Key: "b/*"},
	{Account: "a", Key: "b/?"},
	{Account: "a", Key: "b/[a-z]"},
	{Account: "a", Key: "b/{c,d}"},
	{Account: "a", Key: "b/%"},
	{Account: "a", Key: "b/_"},
	{Account: "a", Key: "..."},
	{Account: "a", Key: "%2e%2e/a"},
	{Account: "a", Key: "%252e%252e/a"},
	{Account: "a", Key: "b/c+d"},
	{Account: "a", Key: "b/c&key=d"},
	{Account: "a", Key: "b/c#d"},
	{Account: "a", Key: "b/c;d"},
	{Account: "a", Key: "b/c?accountID=x"},
	{Account: "a", Key: "b/%00"},
	{Account: "a", Key: "é"},       // one code point
	{Account: "a", Key: "e\u0301"}, // the same letter as two
	{Account: "a", Key: "ﬁ"},       // a ligature that folds to two letters
	{Account: "a", Key: "fi"},
	{Account: "default", Key: "b/c"},
	{Account: "b", Key: "a"},
	{Account: "a%2fb", Key: "c"},
	{Account: `a\b`, Key: "c"},
	{Account: "*", Key: "b/c"},
	{Account: "a", Key: logservice.Key("b/" + strings.Repeat("x", logservice.MaxKeyBytes-2))},
	{Account: "a", Key: logservice.Key("b/" + strings.Repeat("x", logservice.MaxKeyBytes-3))},
	{Account: strings.Repeat("a", logservice.MaxAccountBytes), Key: "b/c"},
}

func testIsolation(t *testing.T, b Backend) {
	e := start(t, b)
	var ids []logservice.ID
	for _, id := range neighbours {
		if _, err := logservice.ParseID(id.Account, string(id.Key)); err == nil || !b.Remote {
			ids = append(ids, id)
		}
	}
	own := func(i int) []string {
		return []string{fmt.Sprintf(`{"out":"only for %d"}`, i), `{"out":"second"}`}
	}
	present := make([]bool, len(ids))
	check := func(t *testing.T, what string) {
		t.Helper()
		for i, id := range ids {
			if present[i] {
				e.contents(t, id, own(i))
				continue
			}
			_, err := e.Append(t.Context(), id, plain(`{"out":"astray"}`))
			wantErr(t, err, logservice.ErrStreamNotFound, fmt.Sprintf("append to %q %s", id, what))
		}
	}
	for i, id := range ids {
		e.open(t, id)
		e.append(t, id, plain(own(i)...), 3)
		present[i] = true
	}
	check(t, "after all were written")
	for _, account := range []string{"a", "A", "ab", "b", "*", "a%2fb"} {
		want := 0
		for _, id := range ids {
			if id.Account == account {
				want++
			}
		}
		got := e.list(t, logs.Filter{Account: account})
		for _, in := range got {
			if in.ID.Account != account {
				t.Errorf("list of account %q has %q", account, in.ID)
			}
		}
		if len(got) != want {
			t.Errorf("list of account %q has %d streams, want %d", account, len(got), want)
		}
	}
	for i, id := range ids {
		if i%2 == 0 {
			e.remove(t, id)
			present[i] = false
		}
	}
	check(t, "after half were deleted")
	if b.Reopen != nil {
		e.Streams = b.Reopen(t, e.Streams)
		check(t, "after a restart")
	}
}
