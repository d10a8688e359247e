package endpoint

import (
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	logservice "github.com/harness/log-service"
)

func TestAQueryIsParsedAsItWasMeant(t *testing.T) {
	q, err := ParseQuery("accountID=A&key=a/b:c;d=e?f+g%20h%2B%26&&flag&empty=")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"accountID": "A", "key": "a/b:c;d=e?f g h+&", "flag": "", "empty": "", "missing": "", "KEY": ""} {
		if got := q.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

func TestAmbiguousQueriesAreRefused(t *testing.T) {
	for _, raw := range []string{"a=1&a=2", "a=1&%61=2", "a&a", "a=%", "a=%4", "%zz=1", "a=%zz", "a=" + strings.Repeat("&b", 2), manyParams(maxParams + 1)} {
		if _, err := ParseQuery(raw); !errors.Is(err, logservice.ErrInvalid) {
			t.Errorf("%q: %v", raw, err)
		}
	}
	if _, err := ParseQuery(manyParams(maxParams)); err != nil {
		t.Error(err)
	}
}

func manyParams(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString("&p" + strings.Repeat("x", i))
	}
	return b.String()
}

func TestSecondsAreClampedAndChecked(t *testing.T) {
	for raw, want := range map[string]time.Duration{
		"": 0, "s=": 0, "s=0": 0, "s=90": 90 * time.Second, "s=99999999999999999999999": 9223372036 * time.Second,
		"s=-1": -1, "s=-99999999999999999999999": -1, "s=1.5": -1, "s=5m": -1,
	} {
		q, err := ParseQuery(raw)
		if err != nil {
			t.Fatal(err)
		}
		got, err := q.Seconds("s")
		if (err != nil) != (want < 0) || (err == nil && got != want) {
			t.Errorf("%q: %v, %v; want %v", raw, got, err, want)
		}
	}
}

// FuzzQuery compares with the standard library on what both accept.
func FuzzQuery(f *testing.F) {
	for _, s := range []string{"accountID=A&key=a/b:c", "key=a;b", "a=1&a=2", "a=%zz", "a=+%2B", "&&=&", "a==b=c"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		q, err := ParseQuery(raw)
		want, stdErr := url.ParseQuery(raw)
		if err != nil {
			return
		}
		if stdErr != nil {
			if !strings.Contains(raw, ";") {
				t.Fatalf("%q: accepted, the standard library says %v", raw, stdErr)
			}
			return
		}
		if len(q.params) != len(want) {
			t.Fatalf("%q: %v, want %v", raw, q.params, want)
		}
		for name, values := range want {
			if len(values) != 1 || q.Get(name) != values[0] {
				t.Fatalf("%q: %s is %q, want %q", raw, name, q.Get(name), values)
			}
		}
	})
}
