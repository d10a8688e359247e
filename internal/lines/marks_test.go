package lines

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/harness/log-service/internal/logs"
)

func TestTimesThatIdentifyALine(t *testing.T) {
	for time, want := range map[string]bool{
		`"2026-01-02T15:04:05.123456789Z"`:      true, // Go
		`"2026-01-02T15:04:05.2Z"`:              true,
		`"2026-01-02T20:34:05.123456789+05:30"`: true,
		`"2026-01-02T15:04:05.000000001Z"`:      true,
		`"2026-01-02T15:04:05.123Z"`:            true, // Java, JavaScript
		`"2026-01-02 15:04:05,123"`:             true, // log4j
		`"2026-01-02 15:04:05.123456"`:          true, // Fluent Bit, java_sql_timestamp
		`"2026-01-02T15:04:05.123456+00:00"`:    true, // Python
		`1767366245123`:                         true, // milliseconds
		`1767366245123456`:                      true,
		`1767366245123456789`:                   true,
		`1767366245.5`:                          true, // seconds
		`1767366245.123456789`:                  true, // Java's Instant as a decimal
		`1.767366245123E9`:                      true, // Java's double
		`1.767366245123e+12`:                    true,
		`"1767366245123"`:                       true,
		`"1767366245.123"`:                      true, // nginx
		`[2026,1,2,15,4,5,123000000]`:           true, // Java's LocalDateTime
		`[ 2026, 1, 2, 15, 4, 5, 1 ]`:           true,

		`null`: false, `""`: false, `0`: false, `0.0`: false, `true`: false, `{}`: false, `[]`: false, `-0`: false,
		`"0001-01-01T00:00:00Z"`:               false, // the zero time of Go
		`"0001-01-01T00:00:00.5Z"`:             false,
		`"1970-01-01T00:00:00.001Z"`:           false,
		`"2026-01-02T15:04:05Z"`:               false,
		`"2026-01-02T15:04:05+05:30"`:          false,
		`"2026-01-02T15:04:05.Z"`:              false,
		`"2026-01-02T15:04:05.000Z"`:           false, // date +%FT%T.000Z
		`"2026-01-02T15:04:05.000+05:30"`:      false,
		`"2026-01-02"`:                         false,
		`"2026-01-02T15:04"`:                   false,
		`"20260102T150405.123Z"`:               false,
		`"Jan  2 15:04:05"`:                    false,
		`"yesterday"`:                          false,
		`3`:                                    false, // seconds since the step began
		`3.5`:                                  false,
		`86400`:                                false,
		`12345.678`:                            false,
		`1767366245`:                           false,
		`1767366245000`:                        false,
		`1767366245000000000`:                  false,
		`1767366245.000`:                       false,
		`1.767366245E9`:                        false,
		`1.767366245E12`:                       false,
		`17673662451`:                          false, // of no unit
		`-1767366245123`:                       false,
		`"1767366245123 ms"`:                   false,
		`"1767366245e"`:                        false,
		`[2026,1,2,15,4,5]`:                    false,
		`[2026,1,2,15,4,5,0]`:                  false,
		`[2026,1,2,15,4,5,1,2]`:                false,
		`["2026","1","2","15","4","5","1"]`:    false,
		`{"time":1767366245123}`:               false,
		`"` + strings.Repeat("1", 10000) + `"`: false,
	} {
		mustIdentify(t, `[{"pos":0,"out":"x","time":`+time+`}]`, want)
	}
}

func TestOnlyMarksThatIdentifyALineMarkItsBatch(t *testing.T) {
	const at = `"time":"2026-01-02T15:04:05.123Z"`
	for body, want := range map[string]bool{
		`[{"pos":0,` + at + `}]`:                         true,
		`[{"pos" : 0 , "time" : 1767366245123 }]`:        true,
		"[{\n\t\"pos\"\n:\n0,\r\n" + at + "\n}]":         true,
		`[{` + at + `,"pos":12345678901}]`:               true,
		`[{"pos":0,"time":""},{"pos":1,` + at + `}]`:     true,
		`[{"pos":0,` + at + `},{"pos":1,"time":""}]`:     true,
		`[{"out":"x"},{"pos":1,` + at + `},{"out":"x"}]`: true,
		`[{"time":null,"pos":0,` + at + `}]`:             true, // readers take the last one
		`[{"pos":0,` + at + `,"time":null}]`:             false,
		`[{` + at + `}]`:                                 false,
		`[{"pos":0},{` + at + `}]`:                       false, // two halves
		`[{"pos":null,` + at + `}]`:                      false,
		`[{"pos":"0",` + at + `}]`:                       false,
		`[{"pos":"",` + at + `}]`:                        false,
		`[{"pos":-1,` + at + `}]`:                        false,
		`[{"pos":1.5,` + at + `}]`:                       false,
		`[{"pos":1e3,` + at + `}]`:                       false,
		`[{"pos":99999999999999999999,` + at + `}]`:      false,
		`[{"pos":[0],` + at + `}]`:                       false,
		`[{"a":{"pos":0,` + at + `}}]`:                   false,
		`[{"args":{"pos":0},` + at + `}]`:                false,
		`[{"pos":0,"args":{` + at + `}}]`:                false,
		`[{"out":"\"pos\":0,\"time\":1767366245123"}]`:   false,
		`[{"position":0,"times":1767366245123}]`:         false,
		`[{"a":"pos","b":"time","c":1767366245123}]`:     false,
		`[]`:   false,
		`null`: false,
	} {
		mustIdentify(t, body, want)
	}
}

// mustIdentify checks both forms of a body.
func mustIdentify(t *testing.T, body string, want bool) {
	t.Helper()
	got, err := Array([]byte(body), noLimit)
	if err != nil || got.Dedupe != want {
		t.Errorf("%.200s: identified %v, %v; want %v", body, got.Dedupe, err, want)
	}
	if got, err = NDJSON(got.Data, noLimit); err != nil || got.Dedupe != want {
		t.Errorf("%.200s as JSON lines: identified %v, %v; want %v", body, got.Dedupe, err, want)
	}
}

func TestWhereThePositionsCountTheyIdentifyABatch(t *testing.T) {
	for body, want := range map[string]bool{
		`[{"pos":0,"time":0}]`:                    true,
		`[{"pos":7,"time":3},{"pos":8,"time":3}]`: true,
		`[{"pos":7},{"pos":9}]`:                   true, // without time
		`[{"pos":7,"time":3},{"pos":7,"time":3}]`: false,
		`[{"pos":8},{"pos":7},{"pos":9}]`:         false,
		`[{"pos":7},{"out":"x"}]`:                 false,
		`[{"out":"x"},{"pos":7}]`:                 false,
		`[{"pos":null,"time":1767366245123}]`:     false,
		`[{"pos":"7"}]`:                           false,
		`[]`:                                      false,
	} {
		if got, err := Counted([]byte(body), noLimit); err != nil || got.Dedupe != want {
			t.Errorf("%s: identified %v, %v; want %v", body, got.Dedupe, err, want)
		}
	}
}

// A text is given its position and time here: the retry of it is other lines,
// and equal lines are two texts.
func TestNothingIdentifiesText(t *testing.T) {
	if got, err := Text([]byte("x\n"), TextOptions{MaxLine: noLimit, MaxBytes: noLimit}); err != nil || got.Dedupe {
		t.Errorf("identified %v, %v", got.Dedupe, err)
	}
}

// Whatever values the marks have, the batch of a line is identified by the
// exact values only: for any batch that is, no line could be written again at
// another time with the same bytes.
func TestABatchIsIdentifiedByTheInstantOfALineAlone(t *testing.T) {
	coarse := rapid.SampledFrom([]string{`null`, `""`, `0`, `"0001-01-01T00:00:00Z"`, `"2026-01-02T15:04:05Z"`, `1767366245`, `1767366245000`, `[2026,1,2,15,4,5]`})
	finer := rapid.Custom(func(t *rapid.T) string {
		ms := rapid.IntRange(1, 999).Draw(t, "ms")
		form := rapid.SampledFrom([]string{`"2026-01-02T15:04:05.%03dZ"`, `1767366245%03d`, `1767366245.%03d`, `[2026,1,2,15,4,5,%d000000]`}).Draw(t, "form")
		return fmt.Sprintf(form, ms)
	})
	pos := rapid.SampledFrom([]string{`null`, `"0"`, `0`, `1`, `7`})
	space := rapid.SampledFrom([]string{"", " ", "\n", "\t "})
	rapid.Check(t, func(t *rapid.T) {
		var body []string
		want := false
		for range rapid.IntRange(1, 5).Draw(t, "lines") {
			time, p := coarse.Draw(t, "time"), pos.Draw(t, "pos")
			if rapid.Bool().Draw(t, "fine") {
				time = finer.Draw(t, "fine time")
				want = want || p == "0" || p == "1" || p == "7"
			}
			s := space.Draw(t, "space")
			members := rapid.Permutation([]string{`"pos"` + s + `:` + s + p, `"time"` + s + `:` + s + time, `"out":"tick\n"`, `"args":{"pos":1,"time":1767366245123}`}).Draw(t, "order")
			body = append(body, "{"+strings.Join(members, s+","+s)+s+"}")
		}
		for form, parse := range map[string]func() (logs.Lines, error){
			"array":  func() (logs.Lines, error) { return Array([]byte("["+strings.Join(body, ",")+"]"), noLimit) },
			"ndjson": func() (logs.Lines, error) { return NDJSON([]byte(strings.Join(body, "\n")), noLimit) },
		} {
			if got, err := parse(); err != nil || got.Dedupe != want {
				t.Fatalf("%s of %s: identified %v, %v; want %v", form, body, got.Dedupe, err, want)
			}
		}
	})
}
