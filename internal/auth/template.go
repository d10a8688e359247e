package auth

import (
	"encoding/json"
	"strings"

	logservice "github.com/harness/log-service"
)

// template builds a name from the claims of an identity token: text with claims in
// braces, such as github/{repository}.
//
// Two identities must never get the same name. So each path segment holds at most
// one claim, with fixed text around it, and only the last claim of a template may
// contain slashes.
type template struct{ parts []templatePart }

type templatePart struct {
	text  string
	claim string // instead of text
}

// parseTemplate parses a template. The error says what is wrong.
func parseTemplate(s string) (t template, err error) {
	if s == "" {
		return t, nil
	}
	for seg := range strings.SplitSeq(s, "/") {
		if strings.Count(seg, "{") > 1 {
			return t, logservice.Invalidf("%q has two claims in one segment, so two identities could map to the same name: put a / between them", s)
		}
	}
	for rest := s; rest != ""; {
		text, after, found := strings.Cut(rest, "{")
		if strings.Contains(text, "}") {
			return t, logservice.Invalidf("%q has a } without a {", s)
		}
		if text != "" {
			t.parts = append(t.parts, templatePart{text: text})
		}
		if !found {
			break
		}
		claim, after, found := strings.Cut(after, "}")
		if !found || claim == "" || strings.Contains(claim, "{") {
			return t, logservice.Invalidf("%q has a { without the name of a claim and a }", s)
		}
		t.parts = append(t.parts, templatePart{claim: claim})
		rest = after
	}
	return t, nil
}

// sample fills the template with sample claims, to validate the result.
func (t template) sample() string {
	s, _ := t.fill(func(string) (string, bool) { return "x", true })
	return s
}

// fill substitutes the claims. An error names the claim, not its value.
func (t template) fill(claim func(name string) (value string, ok bool)) (string, error) {
	var b strings.Builder
	for i, p := range t.parts {
		if p.claim == "" {
			b.WriteString(p.text)
			continue
		}
		value, ok := claim(p.claim)
		switch {
		case !ok || value == "":
			return "", refuse("the identity token has no claim %s that is a text or a number", p.claim)
		case strings.Contains(value, "/") && i < len(t.parts)-1:
			return "", refuse("the claim %s of the identity token holds a /, which only the last one of a template may", p.claim)
		}
		b.WriteString(value)
	}
	return b.String(), nil
}

// claimSet holds the raw claims of an identity token.
type claimSet map[string]json.RawMessage

// text returns a claim that is a string, a number or a boolean. A name with
// slashes also descends into objects: kubernetes.io/serviceaccount/name.
func (c claimSet) text(name string) (string, bool) {
	if raw, ok := c[name]; ok {
		return plainValue(raw)
	}
	outer, inner, ok := strings.Cut(name, "/")
	if !ok {
		return "", false
	}
	var below claimSet
	if json.Unmarshal(c[outer], &below) != nil {
		return "", false
	}
	return below.text(inner)
}

func plainValue(raw json.RawMessage) (string, bool) {
	var v any
	d := json.NewDecoder(strings.NewReader(string(raw)))
	d.UseNumber()
	if d.Decode(&v) != nil {
		return "", false
	}
	switch v := v.(type) {
	case string:
		return v, true
	case json.Number:
		return v.String(), true
	case bool:
		return string(raw), true
	}
	return "", false
}
