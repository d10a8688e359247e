package public

import (
	"strings"
	"testing"
)

func TestOriginsAreCheckedWhenTheyAreSet(t *testing.T) {
	for value, want := range map[string]string{
		"https://ci.example.com": "https://ci.example.com", "http://localhost:3000/": "http://localhost:3000", "*": "*",
		"https://A.example, https://b.example:8443": "https://a.example https://b.example:8443",
		"ci.example.com": "error", "https://ci.example.com/path": "error", "ftp://a": "error", "https://": "error",
		"https://u:p@a": "error", "https://*.example.com/x": "error", "null": "error", " , ": "error", "https://a?x": "error",
	} {
		c, err := load(t, map[string]string{"LOG_SERVICE_CORS_ORIGINS": value})
		got := strings.Join(c.Origins, " ")
		if err != nil {
			got = "error"
		}
		if got != want {
			t.Errorf("%q: %s, want %s (%v)", value, got, want, err)
		}
	}
}

func TestTheNamesOfThisMachine(t *testing.T) {
	for host, want := range map[string]bool{
		"localhost": true, "localhost:80": true, "LOCALHOST.:1": true, "a.localhost": true, "127.0.0.1": true, "127.9.9.9:1": true, "[::1]": true, "[::1]:8079": true, "::1": true,
		"[::ffff:127.0.0.1]:1": true,
		"":                     false, "localhost.evil.example": false, "evil.example": false, "10.0.0.1": false, "127.0.0.1.evil.example": false, "0.0.0.0": false, "xlocalhost": false,
	} {
		if got := LocalHost(host); got != want {
			t.Errorf("%q: %v", host, got)
		}
	}
}
