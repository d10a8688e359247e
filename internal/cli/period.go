package cli

import (
	"reflect"
	"strconv"
	"time"

	"github.com/alecthomas/kong"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/duration"
)

// periodFlags select lines by their time.
type periodFlags struct {
	Since string `placeholder:"TIME" help:"Print only lines from this time on: 2026-01-02T15:04:05Z, or 5m or 2d ago."`
	Until string `placeholder:"TIME" help:"Print only lines before this time."`
}

// period is a range of time. A line without a time is of the time of the one
// before it.
type period struct {
	since, until time.Time // zero: no limit
	now          time.Time // of the last line
}

func (f *periodFlags) period() (p period, err error) {
	if p.since, err = moment("--since", f.Since); err != nil {
		return p, err
	}
	p.until, err = moment("--until", f.Until)
	return p, err
}

// moment reads a time, or a duration before now. Without a zone it is local.
func moment(flag, value string) (time.Time, error) {
	if value == "" {
		return time.Time{}, nil
	}
	if d, err := duration.Parse(value); err == nil {
		return time.Now().Add(-d), nil
	}
	for _, layout := range []string{"2006-01-02", "2006-01-02 15:04", "2006-01-02T15:04", "2006-01-02 15:04:05", "2006-01-02T15:04:05", "15:04", "15:04:05"} {
		t, err := time.ParseInLocation(layout, value, time.Local)
		if err != nil {
			continue
		}
		if t.Year() == 0 { // the time of day
			now := time.Now()
			t = time.Date(now.Year(), now.Month(), now.Day(), t.Hour(), t.Minute(), t.Second(), 0, time.Local)
		}
		return t, nil
	}
	if t, ok := logservice.ParseTime([]byte(strconv.Quote(value))); ok {
		return t, nil
	}
	return time.Time{}, usagef("%s %s: want a time such as 2026-01-02T15:04:05Z, or a duration before now such as 5m or 2d", flag, value)
}

// decodeDuration reads the durations of all flags.
func decodeDuration(ctx *kong.DecodeContext, target reflect.Value) error {
	var value string
	if err := ctx.Scan.PopValueInto("duration", &value); err != nil {
		return err
	}
	d, err := duration.Parse(value)
	if err != nil {
		return err
	}
	target.SetInt(int64(d))
	return nil
}

// limited reports whether the period selects at all.
func (p *period) limited() bool { return !p.since.IsZero() || !p.until.IsZero() }

// past reports whether the period has ended.
func (p *period) past() bool { return !p.until.IsZero() && p.until.Before(time.Now()) }

// has reports whether the next line is of the period.
func (p *period) has(l *logservice.Line) bool {
	if !l.Time.IsZero() {
		p.now = l.Time
	}
	return (p.since.IsZero() || !p.now.Before(p.since)) && (p.until.IsZero() || p.now.Before(p.until))
}
