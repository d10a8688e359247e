package client

import (
	"log/slog"
	"regexp"
	"strings"
	"testing"
	"testing/slogtest"
	"testing/synctest"
	"time"

	logservice "github.com/harness/log-service"
)

func TestTheSlogHandlerPassesSlogtest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memoryLog{}
		c, _ := scripted(t, memoryAnswer(m))
		w := c.Writer(t.Context(), key)
		err := slogtest.TestHandler(NewSlogHandler(w, nil), func() []map[string]any {
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			var all []map[string]any
			for _, l := range m.lines {
				all = append(all, attributes(l))
			}
			return all
		})
		if err != nil {
			t.Error(err)
		}
	})
}

// attributes converts a line to the nested map that slogtest checks.
func attributes(l logservice.Line) map[string]any {
	message, _, _ := strings.Cut(strings.TrimSuffix(l.Out, "\n"), " ")
	all := map[string]any{slog.LevelKey: l.Level, slog.MessageKey: message}
	if !l.Time.IsZero() {
		all[slog.TimeKey] = l.Time
	}
	for name, value := range l.Args {
		m := all
		path := strings.Split(name, ".")
		for _, group := range path[:len(path)-1] {
			if m[group] == nil {
				m[group] = map[string]any{}
			}
			m = m[group].(map[string]any)
		}
		m[path[len(path)-1]] = value
	}
	return all
}

func TestARecordBecomesALine(t *testing.T) {
	hide := func(groups []string, a slog.Attr) slog.Attr {
		switch {
		case a.Key == "password" && len(groups) == 1 && groups[0] == "db":
			return slog.String(a.Key, "***")
		case a.Key == slog.LevelKey:
			return slog.String(slog.LevelKey, "NOTE")
		}
		return a
	}
	for name, c := range map[string]struct {
		options *slog.HandlerOptions
		log     func(*slog.Logger)
		out     string
		level   string
		args    int
	}{
		"attributes": {nil, func(l *slog.Logger) {
			l.With("a", 1).WithGroup("g").Warn("it is late", "b c", "x y", "d", time.Minute, "e", "")
		}, `^it is late a=1 "g.b c"="x y" g.d=1m0s g.e=""\n$`, "warn", 4},
		"below the level": {nil, func(l *slog.Logger) { l.Debug("no"); l.Error("yes") }, `^yes\n$`, "error", 0},
		"replaced": {&slog.HandlerOptions{ReplaceAttr: hide}, func(l *slog.Logger) {
			l.WithGroup("db").Info("open", "password", "secret")
		}, `^open db\.password=\*\*\*\n$`, "note", 1},
		"source": {&slog.HandlerOptions{AddSource: true, Level: slog.LevelDebug}, func(l *slog.Logger) { l.Debug("x") },
			`^x source=slog_test\.go:\d+\n$`, "debug", 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := &memoryLog{}
				cl, _ := scripted(t, memoryAnswer(m))
				w := cl.Writer(t.Context(), key)
				c.log(slog.New(NewSlogHandler(w, c.options)))
				if err := w.Close(); err != nil || len(m.lines) != 1 {
					t.Fatalf("%d lines, error %v", len(m.lines), err)
				}
				l := m.lines[0]
				if !regexp.MustCompile(c.out).MatchString(l.Out) || l.Level != c.level || len(l.Args) != c.args || l.Time.IsZero() {
					t.Errorf("%+v", l)
				}
			})
		})
	}
}
