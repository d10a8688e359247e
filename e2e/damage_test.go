package e2e_test

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestDamagedLinesAreAGapForEveryReader kills a server that has live, closed and
// archived logs, damages its write-ahead log, and reads all of them in every
// way. Exactly the lines of damaged records are missing, as a gap with their
// number.
func TestDamagedLinesAreAGapForEveryReader(t *testing.T) {
	const (
		header = 48 // of a record, before its data
		group  = 24 // of a group, before its first record
		block  = 4096
	)
	for name, damage := range map[string]func(d *damaged, file []byte){
		"flipped bits": func(d *damaged, file []byte) {
			live, pending, archived := d.logs["live"], d.logs["pending"], d.logs["archived"]
			flip := func(at int) { file[at] ^= 1 << (at % 8) }
			flip(live.batches[0].at + 7)           // its first lines
			flip(live.batches[3].at + 1000)        // in their data
			flip(live.batches[6].at - header + 5)  // in a record's header
			flip(live.batches[7].at - header + 40) // two in a row are one gap
			flip(live.batches[9].at - header - 20) // in a group's header: its records are whole
			flip(pending.batches[2].at + 200)      // of a log that waits to be archived
			flip(pending.last().at - header + 9)   // the only record that has its last lines
			flip(archived.batches[1].at + 100)     // of what is in the archive
			flip(archived.batches[1].at - group)   // the start of its record
			live.lose(0, 3, 6, 7)
			pending.lose(2, len(pending.batches)-1)
		},
		"a block of zeros": func(d *damaged, file []byte) {
			from := d.logs["live"].batches[5].at/block*block + block
			clear(file[from : from+block])
			for _, l := range d.logs {
				for i, b := range l.batches {
					if b.at-header < from+block && b.at+b.size > from {
						l.lose(i)
					}
				}
			}
			if !d.logs["live"].batches[5].lost {
				d.t.Fatal("the block holds none of the lines that it was chosen for")
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDamaged(t)
			d.s.kill()
			d.restoreStore()
			segment := d.segment()
			file, err := os.ReadFile(segment)
			d.must(err)
			for _, l := range d.logs {
				l.locate(t, file)
			}
			damage(d, file)
			d.must(os.WriteFile(segment, file, 0o600))
			d.s.start()
			d.alarms("write-ahead log damaged", "log_service_wal_damaged_segments")
			d.readsLive("live")
			d.readsLive("neighbour")
			d.readsArchived("pending")
			d.readsArchived("archived")
			// They go on with the next sequence, and their archives have the gaps.
			for _, key := range []string{"live", "neighbour"} {
				d.push(key, 30)
				d.readsLive(key)
				d.must(d.wire.close(t.Context(), d.key(key), ""))
				d.readsArchived(key)
			}
			d.s.stop()
			lines, lost := 0, 0
			for _, l := range d.logs {
				lines += len(l.lines)
				for _, b := range l.batches {
					if b.lost {
						lost += b.count
					}
				}
			}
			t.Logf("%d lines of %d logs, read in every way: %d in gaps, hidden 0", lines, len(d.logs), lost)
		})
	}
}

// damaged is a server whose files are damaged, and what it has acknowledged.
type damaged struct {
	t    *testing.T
	s    *process
	wire *wire
	logs map[string]*damagedLog
	rand *rand.ChaCha8
}

// newDamaged starts a server and gives it a live log between others: one that
// is live, too, one that was closed but not archived, and one in the archive.
func newDamaged(t *testing.T) *damaged {
	d := &damaged{t: t, s: startServer(t, program(t)), logs: map[string]*damagedLog{}, rand: rand.NewChaCha8([32]byte{1})}
	d.wire = newWire(d.s.url)
	for _, key := range []string{"live", "neighbour", "pending", "archived"} {
		d.must(d.wire.open(t.Context(), d.key(key)))
		d.logs[key] = &damagedLog{}
	}
	for i := range 12 {
		d.push("archived", 30)
		d.push("neighbour", 1+i)
		d.push("live", 60)
		d.push("pending", 20)
		d.push("neighbour", 40)
	}
	d.must(d.wire.close(t.Context(), d.key("archived"), ""))
	_, err := d.wire.archive(t.Context(), d.key("archived"))
	d.must(err)
	d.breakStore()
	d.must(d.wire.close(t.Context(), d.key("pending"), ""))
	a, err := d.wire.call(t.Context(), http.MethodGet, "/stream/info", "x", "", nil)
	if d.must(want(a, err, http.StatusOK)); !strings.Contains(string(a.body), `"archiving":{"waiting":1,`) {
		t.Fatalf("one log should wait to be archived: %s", a.body)
	}
	d.push("neighbour", 10) // what nothing follows looks like a write torn by a power cut
	return d
}

func (d *damaged) must(err error) {
	d.t.Helper()
	if err != nil {
		d.t.Fatal(err)
	}
}

func (d *damaged) key(name string) string { return "damage/" + name }

func (d *damaged) data(names ...string) string {
	return filepath.Join(append([]string{d.s.folder, "data"}, names...)...)
}

// breakStore makes archiving impossible until restoreStore.
func (d *damaged) breakStore() {
	d.t.Helper()
	d.must(os.Rename(d.data("blobs"), d.data("away")))
	d.must(os.WriteFile(d.data("blobs"), nil, 0o600))
}

func (d *damaged) restoreStore() {
	d.t.Helper()
	d.must(os.Remove(d.data("blobs")))
	d.must(os.Rename(d.data("away"), d.data("blobs")))
}

// segment is the only file of the write-ahead log.
func (d *damaged) segment() string {
	d.t.Helper()
	names, err := filepath.Glob(d.data("streams", "*.wal"))
	if d.must(err); len(names) != 1 {
		d.t.Fatalf("segments: %v", names)
	}
	return names[0]
}

// push appends n lines, which must get the sequences that come next.
func (d *damaged) push(name string, n int) {
	d.t.Helper()
	l := d.logs[name]
	batch := make([]string, n)
	for i := range batch {
		pos := len(l.lines) + i + 1
		var noise [90]byte // an archive of it is a file, not in the catalog
		_, _ = d.rand.Read(noise[:])
		batch[i] = fmt.Sprintf(`{"pos":%d,"out":"%s line %d %s\n"}`, pos-1, name, pos, base64.StdEncoding.EncodeToString(noise[:]))
	}
	next, err := d.wire.push(d.t.Context(), d.key(name), "", batch)
	d.must(err)
	l.batches = append(l.batches, damagedBatch{first: len(l.lines), count: n})
	l.lines = append(l.lines, batch...)
	if want := int64(len(l.lines)) + 1; next != want {
		d.t.Fatalf("%s: the next sequence is %d, want %d", name, next, want)
	}
}

// alarms looks for what operators should watch.
func (d *damaged) alarms(message, metric string) {
	d.t.Helper()
	if out := d.s.output.String(); !strings.Contains(out, message) {
		d.t.Errorf("the server's log has no %q:\n%s", message, out)
	}
	a, err := d.wire.call(d.t.Context(), http.MethodGet, "/metrics", "x", "", nil)
	d.must(want(a, err, http.StatusOK))
	if !strings.Contains(string(a.body), "\n"+metric+" 1\n") {
		d.t.Errorf("the metric %s is not 1", metric)
	}
}

// readsLive follows a live log up to its last line, and prints it.
func (d *damaged) readsLive(name string) {
	d.t.Helper()
	d.follows(name, "live")
	d.prints(name)
}

// readsArchived is readsLive for the archive, which can also be downloaded.
func (d *damaged) readsArchived(name string) {
	d.t.Helper()
	data, err := d.wire.archive(d.t.Context(), d.key(name))
	d.must(err)
	l := d.logs[name]
	d.same(name+" from the store", ndjsonRows(data), l.rows())
	d.follows(name, "")
	d.prints(name)
	downloaded := d.command("cistore", "download", d.key(name))
	d.same(name+" downloaded", ndjsonRows(downloaded), l.rows())
	text := d.command("cistore", "download", "--format", "text", d.key(name))
	d.same(name+" downloaded as text", textRows(text), l.text())
}

// follows reads a tail, whose events are numbered.
func (d *damaged) follows(name, state string) {
	d.t.Helper()
	resp, err := http.Get(d.s.url + "/stream?accountID=acc&key=" + d.key(name))
	d.must(err)
	defer resp.Body.Close()
	if got := resp.Header.Get("X-Log-State"); state != "" && got != state {
		d.t.Errorf("%s: its state is %q, want %q", name, got, state)
	}
	l := d.logs[name]
	var got []string
	id, end := "", strconv.Itoa(len(l.lines))
	in := bufio.NewReader(resp.Body)
	for done := false; !done; {
		row, err := in.ReadString('\n')
		if err != nil {
			d.t.Fatalf("%s: after line %s of %s: %v", name, id, end, err)
		}
		if seq, ok := strings.CutPrefix(row, "id: "); ok {
			id = strings.TrimSpace(seq)
		} else if data, ok := strings.CutPrefix(row, "data: "); ok {
			got = append(got, id+": "+rowOf(data[:len(data)-1]))
			done = id == end
		}
	}
	seen := l.rows()
	for i, last := range l.sequences() {
		seen[i] = fmt.Sprintf("%d: %s", last, seen[i])
	}
	d.same(name+" followed", got, seen)
}

func (d *damaged) prints(name string) {
	d.t.Helper()
	d.same(name+" printed", textRows(d.command("logs", d.key(name))), d.logs[name].text())
}

func (d *damaged) command(args ...string) []byte {
	d.t.Helper()
	return d.s.command(nil, append([]string{"--account", "acc"}, args...)...)
}

func (d *damaged) same(what string, got, want []string) {
	d.t.Helper()
	if !slices.Equal(got, want) {
		d.t.Fatalf("%s: %d rows, want %d%s", what, len(got), len(want), firstDifference(got, want))
	}
}

// damagedLog is one log.
type damagedLog struct {
	lines   []string
	batches []damagedBatch
}

// damagedBatch is an append: which lines it has, and where they are in the
// segment.
type damagedBatch struct {
	first, count int
	at, size     int
	lost         bool
}

func (l *damagedLog) last() damagedBatch { return l.batches[len(l.batches)-1] }

func (l *damagedLog) lose(batches ...int) {
	for _, i := range batches {
		l.batches[i].lost = true
	}
}

// locate finds the batches in the file.
func (l *damagedLog) locate(t *testing.T, file []byte) {
	t.Helper()
	for i := range l.batches {
		b := &l.batches[i]
		data := []byte(strings.Join(l.lines[b.first:b.first+b.count], "\n") + "\n")
		if b.at, b.size = bytes.Index(file, data), len(data); b.at < 0 {
			t.Fatalf("lines %d to %d are not in the segment", b.first+1, b.first+b.count)
		}
	}
}

// each yields the lines that are left and, as one row each, those that are
// lost: with no text, from the line first to the line last.
func (l *damagedLog) each(yield func(text string, first, last int64)) {
	for i := 0; i < len(l.batches); i++ {
		first := l.batches[i].first
		if !l.batches[i].lost {
			for n, line := range l.lines[first : first+l.batches[i].count] {
				yield(line, int64(first+n+1), int64(first+n+1))
			}
			continue
		}
		for i+1 < len(l.batches) && l.batches[i+1].lost {
			i++
		}
		yield("", int64(first+1), int64(l.batches[i].first+l.batches[i].count))
	}
}

// rows is what readers of JSON must get; a gap is spelled as rowOf does.
func (l *damagedLog) rows() (rows []string) {
	l.each(func(text string, first, last int64) {
		if text == "" {
			text = gapRow(first, last)
		}
		rows = append(rows, text)
	})
	return rows
}

// sequences are those of rows: of a gap, that of its last line.
func (l *damagedLog) sequences() (seqs []int64) {
	l.each(func(_ string, _, last int64) { seqs = append(seqs, last) })
	return seqs
}

// text is what readers of text must get.
func (l *damagedLog) text() (rows []string) {
	l.each(func(text string, first, last int64) {
		var line struct{ Out string }
		if text == "" {
			line.Out = fmt.Sprintf("[%d lines lost]", last-first+1)
		} else if err := json.Unmarshal([]byte(text), &line); err != nil {
			panic(err) // written by this test
		}
		rows = append(rows, strings.TrimSuffix(line.Out, "\n"))
	})
	return rows
}

func gapRow(first, last int64) string { return fmt.Sprintf("gap from %d to %d", first, last) }

// rowOf is a line as rows has it: a gap also has the time at which it was read.
func rowOf(line string) string {
	var gap struct {
		Gap *struct{ First, Last int64 }
		Out string
	}
	if err := json.Unmarshal([]byte(line), &gap); err != nil || gap.Gap == nil {
		return line
	}
	if want := fmt.Sprintf("[%d lines lost]\n", gap.Gap.Last-gap.Gap.First+1); gap.Out != want {
		return line
	}
	return gapRow(gap.Gap.First, gap.Gap.Last)
}

func ndjsonRows(data []byte) []string {
	rows := textRows(data)
	for i := range rows {
		rows[i] = rowOf(rows[i])
	}
	return rows
}

func textRows(data []byte) []string {
	return strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
}
