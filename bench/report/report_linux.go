package report

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// The report is written between these lines of a Markdown page.
const (
	beginMark = "<!-- bench:begin -->"
	endMark   = "<!-- bench:end -->"
)

// emptyPage is what a report is written to where there is no page yet.
const emptyPage = "# Measured\n\n" + beginMark + "\n" + endMark + "\n"

// Machine describes where a run took place.
type Machine struct {
	Date   string `json:"date"`
	Cores  int    `json:"cores"`
	Commit string `json:"commit"`
	Go     string `json:"go"`
	Disk   string `json:"disk"`
	Load   string `json:"load"` // before the run
}

// Describe describes this machine; data is in dir.
func Describe(ctx context.Context, dir string) Machine {
	return Machine{
		Date:   time.Now().UTC().Format("2006-01-02"),
		Cores:  runtime.NumCPU(),
		Commit: commit(ctx),
		Go:     runtime.Version(),
		Disk:   filesystem(dir),
		Load:   loadAverage(),
	}
}

// commit names what was built; "+" marks changes that are not committed.
func commit(ctx context.Context) string {
	out, err := exec.CommandContext(ctx, "git", "rev-parse", "--short=10", "HEAD").Output()
	if err != nil {
		return "unknown"
	}
	name := strings.TrimSpace(string(out))
	if out, err := exec.CommandContext(ctx, "git", "status", "--porcelain").Output(); err != nil || len(out) > 0 {
		name += "+"
	}
	return name
}

// Markdown is the report of a run.
func Markdown(at Machine, results []*Measured) string {
	var b strings.Builder
	rounds, kind := 1, "full"
	for _, m := range results {
		if rounds = m.Rounds; m.Quick {
			kind = "quick"
		}
	}
	fmt.Fprintf(&b, "Measured %s on %d cores, commit %s, %s, data on %s, load average before the run %s; %s run, %d round(s), medians.\n\n",
		at.Date, at.Cores, at.Commit, at.Go, at.Disk, at.Load, kind, rounds)
	b.WriteString("| work | figure | log-service | reference | ratio | target: first | then | met |\n")
	b.WriteString("|---|---|---:|---:|---:|---|---|---|\n")
	for _, m := range results {
		work := m.About
		for _, r := range m.Rows {
			got, ok := m.Figures["service"][r.Metric]
			if !ok {
				continue
			}
			beside, ratio := "", ""
			if v, ok := m.Figures[r.Against][r.refMetric()]; ok {
				beside = fmt.Sprintf("%s (%s)", figure(v), r.Against)
			}
			if v, ok := m.ratio(r); ok {
				ratio = fmt.Sprintf("%.2f", v)
			}
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | %s | %s |\n",
				work, r.Label, figure(got), beside, ratio, r.First, r.Then, m.verdict(r))
			work = ""
		}
	}
	return b.String()
}

// WriteReport puts text between the markers of page, which is made where it is
// missing.
func WriteReport(page, text string) error {
	old, err := os.ReadFile(page)
	if errors.Is(err, fs.ErrNotExist) {
		old, err = []byte(emptyPage), nil
	}
	if err != nil {
		return err
	}
	now, err := replaceBetween(string(old), text)
	if err != nil {
		return fmt.Errorf("%s: %w", page, err)
	}
	return os.WriteFile(page, []byte(now), 0o644)
}

func replaceBetween(page, text string) (string, error) {
	head, rest, ok := strings.Cut(page, beginMark+"\n")
	_, tail, ok2 := strings.Cut(rest, endMark)
	if !ok || !ok2 {
		return "", errors.New("the page lacks the lines " + beginMark + " and " + endMark)
	}
	return head + beginMark + "\n" + text + endMark + tail, nil
}

// loadAverage is the load average of the last minute: far above zero before a run, it
// says that others shared the machine.
func loadAverage() string {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	one, _, _ := strings.Cut(string(b), " ")
	return one
}

// filesystem names where dir lies: figures of durability mean nothing on one
// that lives in memory.
func filesystem(dir string) string {
	var s unix.Statfs_t
	if unix.Statfs(dir, &s) != nil {
		return "unknown"
	}
	names := map[int64]string{unix.EXT4_SUPER_MAGIC: "ext4", unix.XFS_SUPER_MAGIC: "xfs", unix.BTRFS_SUPER_MAGIC: "btrfs",
		unix.TMPFS_MAGIC: "tmpfs (in memory: durability costs nothing here)", unix.OVERLAYFS_SUPER_MAGIC: "overlayfs"}
	if name := names[int64(s.Type)]; name != "" { //nolint:unconvert // int32 on some processors
		return name
	}
	return fmt.Sprintf("type %#x", s.Type)
}
