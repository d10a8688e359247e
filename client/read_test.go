package client

import (
	"iter"
	"testing"

	"github.com/google/go-cmp/cmp"

	logservice "github.com/harness/log-service"
)

func TestPiecesOfALineAreJoinedUnlessWanted(t *testing.T) {
	raws := func(yield func(Raw, error) bool) {
		for i, text := range []string{`{"pos":0,"out":"a\n"}`, `{"pos":1,"out":".","partial":true}`, `{"pos":2,"out":".","partial":true}`, `{"pos":3,"out":"done\n"}`, `{"msg":"x"}`} {
			if !yield(Raw{Seq: int64(i + 1), JSON: []byte(text)}, nil) {
				return
			}
		}
		if yield(Raw{Seq: 6, JSON: []byte(`{"pos":4,"out":"cut off","partial":true}`)}, nil) && yield(Raw{Seq: 9}, &logservice.GapError{First: 7, Last: 9}) {
			yield(Raw{Seq: 10, JSON: []byte(`{"pos":8,"out":"end\n"}`)}, nil)
		}
	}
	read := func(all iter.Seq2[logservice.Line, error]) (got []string) {
		for l, err := range all {
			if err != nil {
				got = append(got, err.Error())
				continue
			}
			got = append(got, l.Out)
		}
		return got
	}
	gap := (&logservice.GapError{First: 7, Last: 9}).Error()
	if diff := cmp.Diff([]string{"a\n", "..done\n", `{"msg":"x"}`, "cut off", gap, "end\n"}, read(decoded(raws, reading{}))); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"a\n", ".", ".", "done\n", `{"msg":"x"}`, "cut off", gap, "end\n"}, read(decoded(raws, reading{pieces: true}))); diff != "" {
		t.Error(diff)
	}
	for n := range 6 { // a loop that ends early
		var seqs []int64
		for l := range decoded(raws, reading{bounded: true}) {
			if seqs = append(seqs, l.Seq); len(seqs) > n {
				break
			}
		}
	}
}
