package logservice

import (
	"errors"
	"strings"
	"testing"
)

func TestKeysThatRealClientsSendAreAccepted(t *testing.T) {
	for _, s := range []string{
		"1/2/3/4",
		"accountId:px7;orgId:default;projectId:p;pipelineId:build/run:12/level0:stages",
		"acct/pipeline/Deploy_prod/42/-KJ9/step one",
		"ключ/日本", "a*b?c[d]", `back\slash`, "%2e%2e/x", "...", "a/.b/c.",
		strings.Repeat("k", MaxKeyBytes),
	} {
		if k, err := ParseKey(s); err != nil || string(k) != s {
			t.Errorf("ParseKey(%q) = %q, %v", s, k, err)
		}
	}
}

func TestKeysThatCouldLeaveTheirPlaceAreRefused(t *testing.T) {
	for _, s := range []string{
		"", "/", "/a", "a/", "a//b", ".", "..", "a/./b", "../B/x", "a/..",
		"a\x00b", "a\nb", "a\x7fb", "a\u0085b", "a\xffb",
		strings.Repeat("k", MaxKeyBytes+1),
	} {
		if _, err := ParseKey(s); !errors.Is(err, ErrInvalid) {
			t.Errorf("ParseKey(%q): %v, want ErrInvalid", s, err)
		}
	}
}

func TestAccountsAreNames(t *testing.T) {
	for _, s := range []string{"", "a/b", ".", "..", "a\x00", "\xff", strings.Repeat("a", MaxAccountBytes+1)} {
		if _, err := ParseAccount(s); !errors.Is(err, ErrInvalid) {
			t.Errorf("ParseAccount(%q): %v, want ErrInvalid", s, err)
		}
	}
	if id, err := ParseID("px7xd_BFRCi-pfWPYXVjvw", "a/b"); err != nil || id.Account == "" || id.Key != "a/b" {
		t.Errorf("ParseID: %v, %v", id, err)
	}
}

func TestTheInternalAccountIsForStoresOnly(t *testing.T) {
	id := ID{InternalAccount, "a/b"}
	if _, err := ParseID(id.Account, string(id.Key)); !errors.Is(err, ErrInvalid) {
		t.Errorf("ParseID(%v): %v, want ErrInvalid", id, err)
	}
	if err := id.Check(); err != nil {
		t.Errorf("%v.Check(): %v", id, err)
	}
	for _, bad := range []ID{{InternalAccount, "a/../b"}, {"", "a"}, {"a/b", "c"}} {
		if err := bad.Check(); !errors.Is(err, ErrInvalid) {
			t.Errorf("%v.Check(): %v, want ErrInvalid", bad, err)
		}
	}
}

func TestAnIdentifierIsOneSegment(t *testing.T) {
	if k, err := CIKey("1", "2", "3", "4"); err != nil || k != "1/2/3/4" {
		t.Errorf("CIKey = %q, %v", k, err)
	}
	for _, bad := range []string{"a/b", "", ".."} {
		if _, err := CIKey("1", bad, "3", "4"); !errors.Is(err, ErrInvalid) {
			t.Errorf("CIKey with %q: %v, want ErrInvalid", bad, err)
		}
	}
}

func TestUnderEndsAtABoundary(t *testing.T) {
	for _, c := range []struct {
		k, p Key
		want bool
	}{
		{"run:1", "run:1", true},
		{"run:1/a", "run:1", true},
		{"run:10", "run:1", false},
		{"run:1-x/a", "run:1", false},
		{"run", "run:1", false},
		{"a/b/c", "a/b", true},
		{"a/b/c", "", true},
		{"s:1-commandUnit:Execute", "s:1", true},
		{"s:1-commandUnit:Execute/x", "s:1", true},
		{"s:1-commandUnit:Execute", "s:1-commandUnit:Execute", true},
		{"s:1-commandUnit:Execute", "s:1-commandUnit:", false},
		{"s:1-commandUnit:Execute", "s", false},
		{"s:10-commandUnit:Execute", "s:1", false},
		{"s:1-commandUnits:Execute", "s:1", false},
		{"s:1-commandUnit", "s:1", false},
		{"x/s:1-commandUnit:Execute", "x", true},
	} {
		if got := c.k.Under(c.p); got != c.want {
			t.Errorf("%q under %q: %v", c.k, c.p, got)
		}
		starts := 0
		for _, start := range c.p.Below() {
			if strings.HasPrefix(string(c.k), start) {
				starts++
			}
		}
		if below := c.want && c.k != c.p; c.p != "" && (starts == 1) != below {
			t.Errorf("%q starts in %d of the ways %q, and below is %v", c.k, starts, c.p.Below(), below)
		}
	}
}
