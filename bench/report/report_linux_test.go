package report

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTheReportReplacesOnlyWhatIsBetweenTheMarkers(t *testing.T) {
	got, err := replaceBetween("a\n"+beginMark+"\nold\n"+endMark+"\nz\n", "new\n")
	if err != nil || got != "a\n"+beginMark+"\nnew\n"+endMark+"\nz\n" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := replaceBetween("no marks", "x"); err == nil {
		t.Error("a page without markers was changed")
	}
}

func TestAReportMakesItsPageAndReplacesItself(t *testing.T) {
	page := filepath.Join(t.TempDir(), "2026-01-02.md")
	for _, text := range []string{"one\n", "two\n"} {
		if err := WriteReport(page, text); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(page)
	if want := strings.Replace(emptyPage, endMark, "two\n"+endMark, 1); string(got) != want || err != nil {
		t.Errorf("%q, %v, want %q", got, err, want)
	}
}

func TestBoundsScaleWithTheirReference(t *testing.T) {
	for _, c := range []struct {
		b        Bound
		got, ref float64
		want     bool
	}{
		{AtLeast(0.5), 50, 100, true},
		{AtLeast(0.5), 49, 100, false},
		{AtMost(3).Plus(5), 8, 1, true},
		{AtMost(3).Plus(5), 8.1, 1, false},
		{AtMost(0).Plus(60), 61, 0, false},
	} {
		if got := c.b.met(c.got, c.ref); got != c.want {
			t.Errorf("%v of %v against %v: %v", c.b, c.got, c.ref, got)
		}
	}
}
