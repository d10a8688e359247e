package cli

import (
	"net"
	"strings"
	"testing"
	"time"
)

func TestCompletionDoesNotWaitForAServerThatHangs(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0") // connections are made, and never answered
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	var out strings.Builder
	began := time.Now()
	p := Program{Name: "log-service", Stdin: strings.NewReader(""), Stdout: &out, Stderr: &out}
	status := Run(t.Context(), p, []string{"complete", "--", "--server", "http://" + silent.Addr().String(), "cistream", "tail", "1"})
	// Without the limit it would be half a minute.
	if took := time.Since(began); status != exitOK || out.String() != "" || took > 20*time.Second {
		t.Errorf("status %d after %v, printed %q", status, took, out.String())
	}
}

func TestWordsThatBashSplitAreJoined(t *testing.T) {
	for words, want := range map[string][2]string{
		"":                                {"", ""},
		"tail a":                          {"tail|a", ""},
		"tail run : 1":                    {"tail|run:1", "run:"},
		"tail run :":                      {"tail|run:", "run:"},
		"--server http : //h : 80 tail":   {"--server|http://h:80|tail", ""},
		"--output = j":                    {"--output=j", "--output="},
		"--server = http : //h : 1 x : y": {"--server=http://h:1|x:y", "x:"},
	} {
		all, split := joined(strings.Fields(words))
		if strings.Join(all, "|") != want[0] || split != want[1] {
			t.Errorf("%q: %q, split %q; want %q", words, all, split, want)
		}
	}
}
