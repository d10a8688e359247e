package endpoint

import (
	"net/url"
	"strconv"
	"strings"
	"time"

	logservice "github.com/harness/log-service"
)

// maxParams bounds the parameters of a request: the longest known call has six,
// and the search for duplicates compares all pairs.
const maxParams = 32

// Query holds the parameters of a request. Each name occurs once.
type Query struct {
	params []param
}

type param struct{ name, value string }

// ParseQuery parses the raw query of a URL. Parameters are separated only by &:
// real keys contain ;, which the standard library rejects. A repeated parameter
// or an invalid escape is ErrInvalid: two readers of such a query could see two
// different logs.
func ParseQuery(raw string) (Query, error) {
	var q Query
	for part := range strings.SplitSeq(raw, "&") {
		if part == "" {
			continue
		}
		if len(q.params) == maxParams {
			return Query{}, logservice.Invalidf("more than %d query parameters", maxParams)
		}
		rawName, rawValue, _ := strings.Cut(part, "=")
		name, err := url.QueryUnescape(rawName)
		if err != nil {
			return Query{}, logservice.Invalidf("query parameter name %q is not escaped correctly: write %%25 for %%", rawName)
		}
		value, err := url.QueryUnescape(rawValue)
		if err != nil {
			return Query{}, logservice.Invalidf("query parameter %s is not escaped correctly: write %%25 for %%", name)
		}
		if q.has(name) {
			return Query{}, logservice.Invalidf("query parameter %s is given twice", name)
		}
		if q.params == nil {
			q.params = make([]param, 0, 4)
		}
		q.params = append(q.params, param{name, value})
	}
	return q, nil
}

func (q Query) has(name string) bool {
	for _, p := range q.params {
		if p.name == name {
			return true
		}
	}
	return false
}

// Get returns the value of a parameter, empty if it is absent.
func (q Query) Get(name string) string {
	for _, p := range q.params {
		if p.name == name {
			return p.value
		}
	}
	return ""
}

// Bool reads a parameter that is true, false, or absent (ok is false).
func (q Query) Bool(name string) (value, ok bool, err error) {
	s := q.Get(name)
	if s == "" {
		return false, false, nil
	}
	if value, err = strconv.ParseBool(s); err != nil {
		return false, false, logservice.Invalidf("%s is %q: use true or false", name, s)
	}
	return value, true, nil
}

// Sequence reads a parameter that is a sequence of at least least; zero if it
// is absent.
func (q Query) Sequence(name string, least int64) (int64, error) {
	s := q.Get(name)
	if s == "" {
		return 0, nil
	}
	return sequence(name, s, least)
}

func sequence(what, s string, least int64) (int64, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < least {
		return 0, logservice.Invalidf("%s is %q: use a whole number from %d on", what, s, least)
	}
	return n, nil
}

// Seconds reads a parameter in seconds; zero if it is absent, and the largest
// duration if it is larger.
func (q Query) Seconds(name string) (time.Duration, error) {
	s := q.Get(name)
	if s == "" {
		return 0, nil
	}
	const most = int64(1<<63-1) / int64(time.Second)
	// ParseInt gives the largest number for one out of range.
	n, err := strconv.ParseInt(s, 10, 64)
	if (err != nil && n != 1<<63-1) || n < 0 {
		return 0, logservice.Invalidf("%s is %q: use a whole number of seconds, not negative", name, s)
	}
	return time.Duration(min(n, most)) * time.Second, nil
}
