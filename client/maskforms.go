package client

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"unicode/utf16"
)

const (
	// minHiddenLine is the length from which a line of a secret is hidden where
	// it stands alone: a shorter one, such as a brace, is in every log.
	minHiddenLine = 4
	// minEncoded is the same for the encoded forms of a secret.
	minEncoded = 4
	// minInside is the same for what base64 makes of a secret within other text.
	minInside = 6
)

// formsOf returns the texts by which a secret may appear.
func formsOf(secret string) []string {
	secret = strings.ReplaceAll(secret, "\r\n", "\n")
	secret = strings.Trim(secret, "\r\n") // as files and variables have it
	if strings.TrimSpace(secret) == "" {
		return nil
	}
	forms := lineBreaks(secret)
	if lines := strings.Split(secret, "\n"); len(lines) > 1 {
		for _, line := range lines {
			if line = strings.TrimSpace(line); len(line) >= minHiddenLine {
				forms = append(forms, line)
			}
		}
	}
	if len(secret) < minEncoded {
		return forms
	}
	for _, s := range lineBreaks(secret) {
		forms = append(forms, inJSON(s)...)
		forms = append(forms, inURL(s)...)
		forms = append(forms, inBase64(s)...)
		forms = append(forms, inBase64(s+"\n")...)
	}
	return forms
}

// lineBreaks returns s with either kind of line break.
func lineBreaks(s string) []string {
	if !strings.Contains(s, "\n") {
		return []string{s}
	}
	return []string{s, strings.ReplaceAll(s, "\n", "\r\n")}
}

// inJSON returns s as a part of JSON strings: with and without escapes for HTML and
// for what is not ASCII, and with escaped slashes.
func inJSON(s string) []string {
	var plain bytes.Buffer
	enc := json.NewEncoder(&plain)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(s) // strings can be encoded
	html, _ := json.Marshal(s)
	inside := func(quoted string) string {
		return strings.TrimSuffix(quoted, "\n")[1 : len(strings.TrimSuffix(quoted, "\n"))-1]
	}
	forms := []string{inside(plain.String()), inside(string(html))}
	for _, f := range forms {
		forms = append(forms, escapedASCII(f))
	}
	for _, f := range forms {
		forms = append(forms, strings.ReplaceAll(f, "/", `\/`))
	}
	return forms
}

func escapedASCII(s string) string {
	var b strings.Builder
	for _, r := range s {
		if r < 0x80 {
			b.WriteRune(r)
			continue
		}
		for _, unit := range utf16.Encode([]rune{r}) {
			fmt.Fprintf(&b, `\u%04x`, unit)
		}
	}
	return b.String()
}

var percentCode = regexp.MustCompile(`%[0-9A-F]{2}`)

// inURL returns s as a part of URLs and forms: encoders differ in what they leave,
// in the space, and in the case of digits.
func inURL(s string) []string {
	query, path := url.QueryEscape(s), url.PathEscape(s)
	forms := []string{query, path, strings.ReplaceAll(query, "+", "%20")}
	// What encodeURIComponent of JavaScript leaves, too.
	forms = append(forms, strings.NewReplacer("+", "%20", "%21", "!", "%27", "'", "%28", "(", "%29", ")", "%2A", "*").Replace(query))
	for _, f := range forms {
		forms = append(forms, percentCode.ReplaceAllStringFunc(f, strings.ToLower))
	}
	return forms
}

// inBase64 returns what base64 makes of s, in both alphabets: alone, in one line or
// in lines of the usual widths, and, without the characters that depend on its
// neighbors, within other text.
func inBase64(s string) []string {
	var forms []string
	for _, enc := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding} {
		alone := enc.EncodeToString([]byte(s))
		forms = append(forms, alone, strings.TrimRight(alone, "="))
		for _, width := range []int{64, 76} {
			if len(alone) > width {
				forms = append(forms, lineBreaks(wrapped(alone, width))...)
			}
		}
		for before := range 3 {
			all := enc.EncodeToString([]byte(strings.Repeat("x", before) + s))
			inside := all[(before*8+5)/6 : (before+len(s))*8/6]
			if len(inside) >= minInside {
				forms = append(forms, inside)
			}
		}
	}
	return forms
}

func wrapped(s string, width int) string {
	var b strings.Builder
	for len(s) > width {
		b.WriteString(s[:width] + "\n")
		s = s[width:]
	}
	return b.String() + s
}
