package endpoint

import (
	"strings"

	logservice "github.com/harness/log-service"
)

// Segment returns the part of the path for a wildcard of the route's pattern,
// decoded once. It is one segment of a key: a path with an escaped slash or
// backslash would otherwise name another log, depending on the proxies in
// front.
func (c *Call) Segment(name string) (string, error) {
	s := c.Request.PathValue(name)
	if i := strings.IndexAny(s, `/\`); i >= 0 {
		return "", logservice.Invalidf("%s %q contains a %c: it must be one segment of the path", name, s, s[i])
	}
	if _, err := logservice.ParseKey(s); err != nil {
		return "", logservice.Invalidf("%s: %v", name, err)
	}
	return s, nil
}

// Key returns pattern with each {name} replaced by the segment of that name.
func (c *Call) Key(pattern string) (string, error) {
	var key strings.Builder
	for {
		text, rest, found := strings.Cut(pattern, "{")
		key.WriteString(text)
		if !found {
			return key.String(), nil
		}
		name, after, _ := strings.Cut(rest, "}")
		segment, err := c.Segment(name)
		if err != nil {
			return "", err
		}
		key.WriteString(segment)
		pattern = after
	}
}
