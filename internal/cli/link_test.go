package cli

import (
	"net/url"
	"strings"
	"testing"
)

func TestALinkFromAServerIsHarmlessAndStaysEquivalent(t *testing.T) {
	for link, want := range map[string]string{
		"https://b.example/a/1/2?X-Amz-Signature=ab&expires=1": "https://b.example/a/1/2?X-Amz-Signature=ab&expires=1",
		"http://h/x'; touch /tmp/pwned; '":                     "http://h/x%27%3B%20touch%20/tmp/pwned%3B%20%27",
		"http://h/$(reboot)`reboot`?a=\"b\"":                   "http://h/%24%28reboot%29%60reboot%60?a=%22b%22",
		"http://h/\\x|y<z>{u}^!*":                              "http://h/%5Cx%7Cy%3Cz%3E%7Bu%7D%5E%21%2A",
		"http://h/ü":                                           "http://h/%C3%BC",
		"http://[::1]:80/%27":                                  "http://[::1]:80/%27",
	} {
		got, err := safeURL(link)
		if err != nil || got != want {
			t.Errorf("%q: %q, %v; want %q", link, got, err, want)
			continue
		}
		before, _ := url.Parse(link)
		after, err := url.Parse(got)
		if err != nil || before.Path != after.Path || before.Query().Encode() != after.Query().Encode() {
			t.Errorf("%q became another link: %q", link, got)
		}
	}
	for _, link := range []string{
		"", "/relative", "javascript:alert(1)", "file:///etc/passwd", "ftp://h/x", "http:///x", "http://user:s3cr3t@h/x", "http://h/\x1b]0;x\x07", "http://h\n.example/",
		"http://$(reboot)/", "http://h'x/", "-o /tmp/x", strings.Repeat("x", 1<<20),
	} {
		if got, err := safeURL(link); err == nil || strings.ContainsAny(err.Error(), "\x1b\n\x07") || strings.Contains(err.Error(), "s3cr3t") || len(err.Error()) > 1000 {
			t.Errorf("%.100q: %.100q, %v", link, got, err)
		}
	}
}
