package redis

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/harness/log-service/internal/logs"
)

func reopenMarks(t *testing.T, k *marks, dir string) *marks {
	t.Helper()
	if k != nil {
		if err := k.close(); err != nil {
			t.Fatal(err)
		}
	}
	k, err := openMarks(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestMarksSurviveARestart(t *testing.T) {
	dir := t.TempDir()
	k := reopenMarks(t, nil, dir)
	defer func() { _ = k.close() }()
	k.set(mark{bucket: 3, name: "acme/a", gen: "1", next: 7})
	k.set(mark{bucket: 3, name: "acme/a", gen: "1", next: 9})
	k.set(mark{bucket: 3, name: "acme/a", gen: "1", next: 8})
	how := logs.Closing{Archive: logs.ArchiveNever, Incomplete: true}
	k.set(mark{bucket: 3, name: "acme/b", gen: "2", next: 1 << 40})
	k.set(mark{bucket: 3, name: "acme/b", gen: "2", state: markClosed, how: how})
	k.set(mark{bucket: 15, name: "", gen: "", state: markDeleted})
	for range 2 {
		k = reopenMarks(t, k, dir)
		all := k.since(3, 0)
		if len(all) != 2 || all[0].next != 9 || all[0].name != "acme/a" || all[0].state != markOpen ||
			all[1].next != 1<<40 || all[1].state != markClosed || all[1].how != how {
			t.Errorf("the marks are %+v", all)
		}
		if all := k.since(15, 0); len(all) != 1 || all[0].state != markDeleted {
			t.Errorf("the marks of another bucket are %+v", all)
		}
	}
}

// A file that is torn or damaged anywhere yields marks that were set and no
// others, among them all that are before the damage.
func TestDamagedMarksAreLeftOut(t *testing.T) {
	dir := t.TempDir()
	k := reopenMarks(t, nil, dir)
	for i := range 4 {
		k.set(mark{name: fmt.Sprint("acme/", i), gen: fmt.Sprint(i), next: int64(i + 2)})
	}
	if err := k.close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(filepath.Join(dir, marksFile))
	if err != nil {
		t.Fatal(err)
	}
	const record = 48 // bytes
	check := func(what string, file []byte, damage int) {
		t.Helper()
		all := parseMarks(file)
		for i := range max(0, damage-len(marksMagic)) / record {
			if i >= len(all) || all[i].next != int64(i+2) {
				t.Fatalf("%s: mark %d is missing", what, i)
			}
		}
		for _, m := range all {
			if i := m.next - 2; m.next != 0 && (i < 0 || i > 3 || m.name != fmt.Sprint("acme/", i) || m.gen != fmt.Sprint(i) || m.state != markOpen) {
				t.Errorf("%s: %+v", what, m)
			}
		}
	}
	check("whole", whole, len(whole))
	for i := range whole {
		check(fmt.Sprint("cut after ", i), whole[:i], i)
		for bit := range 8 {
			file := append([]byte(nil), whole...)
			file[i] ^= 1 << bit
			check(fmt.Sprintf("bit %d of byte %d", bit, i), file, i)
		}
	}
}

// A generation that was dropped and returned is in the file twice.
func TestTheLaterOfTwoMarksCounts(t *testing.T) {
	dir := t.TempDir()
	file := []byte(marksMagic)
	for _, m := range []mark{{gen: "a", next: 2}, {gen: "b", next: 3}, {gen: "a", next: 4}} {
		file = m.appendName(m.appendState(file))
	}
	if err := os.WriteFile(filepath.Join(dir, marksFile), file, 0o600); err != nil {
		t.Fatal(err)
	}
	k := reopenMarks(t, nil, dir)
	defer func() { _ = k.close() }()
	if all := k.since(0, 0); len(all) != 2 || all[0].gen != "a" || all[0].next != 4 || all[1].next != 3 {
		t.Errorf("the marks are %+v", all)
	}
}

func TestMarksAreBounded(t *testing.T) {
	dir := t.TempDir()
	k := reopenMarks(t, nil, dir)
	defer func() { _ = k.close() }()
	for i := range 3*maxMarks + 1 {
		k.set(mark{name: "acme/a", gen: fmt.Sprint(i), next: 2})
	}
	if n := len(k.since(0, 0)); n != maxMarks {
		t.Errorf("%d marks are kept", n)
	}
	k = reopenMarks(t, k, dir)
	all := k.since(0, 0)
	if len(all) != maxMarks || all[maxMarks-1].gen != fmt.Sprint(3*maxMarks) {
		t.Errorf("%d marks are read, the last is %+v", len(all), all[len(all)-1])
	}
	if info, err := os.Stat(filepath.Join(dir, marksFile)); err != nil || info.Size() > 3*maxMarks*64 {
		t.Errorf("the file is %+v, %v", info, err)
	}
}

// BenchmarkMark is what marks add to an append of one of a thousand logs.
func BenchmarkMark(b *testing.B) {
	for name, dir := range map[string]func(*testing.B) string{
		"in memory":   func(*testing.B) string { return "" },
		"in the file": func(b *testing.B) string { return b.TempDir() },
	} {
		b.Run(name, func(b *testing.B) {
			k, err := openMarks(dir(b), slog.New(slog.DiscardHandler))
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = k.close() }()
			var gens [1000]string
			for i := range gens {
				gens[i] = fmt.Sprint(i)
			}
			next := int64(1)
			for b.Loop() {
				next++
				k.set(mark{name: "acme/a", gen: gens[next%1000], next: next})
			}
			if k.path != "" && k.file == nil {
				b.Error("the file was given up")
			}
		})
	}
}
