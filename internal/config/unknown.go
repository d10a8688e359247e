package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/harness/log-service/internal/setting"
)

// unknown describes the variables of env that have the prefix of settings but are
// not settings, in order.
func unknown(env setting.Env) (warnings []string) {
	known := names()
	for name := range env {
		rest, ok := strings.CutPrefix(name, setting.Prefix)
		if !ok || slices.Contains(known, rest) || ofKubernetes(rest) {
			continue
		}
		w := fmt.Sprintf("%s is not a setting and has no effect", name)
		if near := nearest(rest, known); near != "" {
			w += fmt.Sprintf("; did you mean %s%s?", setting.Prefix, near)
		}
		warnings = append(warnings, w)
	}
	slices.Sort(warnings)
	return warnings
}

// names returns every known name, without the prefix.
func names() []string {
	all := clientNames()
	for _, g := range new(Config).Groups() {
		for _, s := range g.Settings {
			all = append(all, s.Names...)
		}
	}
	return all
}

// clientNames are the settings of the client commands, which are often present in
// a server's environment.
func clientNames() []string {
	return []string{"CONTEXT", "SERVER", "ACCOUNT", "TOKEN", "CA_FILE", "CLIENT_CERT", "CLIENT_KEY", "TIMEOUT", "OUTPUT", "QUIET", "VERBOSE"}
}

// ofKubernetes reports whether Kubernetes sets the variable automatically in every
// container next to a Service named log-service: HOST and PORT variables, and those
// of Docker links.
func ofKubernetes(rest string) bool {
	return rest == "PORT" || strings.HasPrefix(rest, "PORT_") ||
		rest == "SERVICE_HOST" || rest == "SERVICE_PORT" || strings.HasPrefix(rest, "SERVICE_PORT_")
}

// nearest returns the known name that name most likely stands for, or "".
func nearest(name string, known []string) (best string) {
	least := max(len(name)/3, 2) + 1
	for _, k := range known {
		if d := distance(strings.ToUpper(name), k); d < least {
			best, least = k, d
		}
	}
	return best
}

// distance returns the Levenshtein distance of a and b.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
