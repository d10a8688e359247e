package httpapi_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// page is what the steps of docs/adding-endpoints.md make of the tree: files,
// by their path from the root of the repository.
type page map[string]string

const root = "../../.."

// TestTheStepsForAddingAnEndpointWork follows the page to the letter, builds
// what that makes, and runs the other tests of this package on it.
func TestTheStepsForAddingAnEndpointWork(t *testing.T) {
	tree := followPage(t, root+"/docs/adding-endpoints.md")
	dir := t.TempDir()
	overlay := map[string]map[string]string{"Replace": {}}
	packages := map[string]bool{}
	for name, text := range tree {
		file := filepath.Join(dir, filepath.FromSlash(name))
		write(t, file, text)
		if strings.HasSuffix(name, ".go") {
			overlay["Replace"][absolute(t, filepath.Join(root, name))] = file
			packages["./"+filepath.ToSlash(filepath.Dir(name))] = true
		}
	}
	text, err := json.Marshal(overlay)
	if err != nil {
		t.Fatal(err)
	}
	list := filepath.Join(dir, "overlay.json")
	write(t, list, string(text))
	build := []string{"build", "-overlay", list}
	for p := range packages {
		build = append(build, p)
	}
	run(t, root, "go", build...)
	here := "internal/api/http"
	binary := filepath.Join(dir, "http.test")
	run(t, root, "go", "test", "-c", "-vet=off", "-overlay", list, "-o", binary, "./"+here)
	if err := os.CopyFS(filepath.Join(dir, here, "testdata"), os.DirFS("testdata")); err != nil {
		t.Fatal(err)
	}
	out := run(t, filepath.Join(dir, here), binary, "-test.v", "-test.skip", t.Name()+"|TestBodies|TestAReader|TestAnIdle") // those take long, and know no routes
	for _, ran := range []string{"--- PASS: TestTheAPIAnswersAsItsSpecificationSays/deploy", "--- PASS: TestEveryRoute", "--- PASS: TestAWildcard"} {
		if !strings.Contains(out, ran) {
			t.Errorf("no %q in\n%s", ran, out)
		}
	}
}

// followPage creates and changes files as a page says: each of its blocks of
// code is the whole of the file that was named last, or, in the form of a
// diff, what is added to it.
func followPage(t *testing.T, file string) page {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	tree, steps := page{}, 0
	step := regexp.MustCompile("(?s)(?:Create|In) `([a-z][^`]*)`|\n```(go|http|diff)\n(.*?\n)```\n")
	name := ""
	for _, m := range step.FindAllStringSubmatch(string(text), -1) {
		switch {
		case m[1] != "":
			name = m[1]
			continue
		case m[2] == "diff":
			tree.change(t, name, m[3])
		default:
			tree[name] = m[3]
		}
		steps++
	}
	if steps < 6 {
		t.Fatalf("%d steps in %s: %v", steps, file, tree)
	}
	return tree
}

// change adds the lines of a diff that begin with + after, or before, those
// that do not.
func (p page) change(t *testing.T, name, diff string) {
	t.Helper()
	text, ok := p[name]
	if !ok {
		b, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(name)))
		if err != nil {
			t.Fatal(err)
		}
		text = string(b)
	}
	var before, after strings.Builder
	for line := range strings.Lines(diff) {
		if line[0] == ' ' {
			before.WriteString(line[1:])
		}
		after.WriteString(line[1:])
	}
	if strings.Count(text, before.String()) != 1 {
		t.Fatalf("%s does not have these lines, once:\n%s", name, before.String())
	}
	p[name] = strings.Replace(text, before.String(), after.String(), 1)
}

func absolute(t *testing.T, file string) string {
	t.Helper()
	abs, err := filepath.Abs(file)
	if err != nil {
		t.Fatal(err)
	}
	return abs
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func run(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		passed := regexp.MustCompile(`(?m)^ *(=== |--- PASS).*\n`)
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, passed.ReplaceAll(out, nil))
	}
	return string(out)
}
