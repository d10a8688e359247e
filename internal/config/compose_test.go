package config_test

import (
	"os"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/harness/log-service/internal/config"
)

// TestTheComposeFileConfiguresServers checks that the settings of the servers in
// compose.yaml exist and fit together, and name services that the file defines.
func TestTheComposeFileConfiguresServers(t *testing.T) {
	text, err := os.ReadFile("../../compose.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Services map[string]struct {
			Environment map[string]string
			Image       string
			Build       any
			DependsOn   any `yaml:"depends_on"`
		}
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	servers := 0
	nodes := map[string]bool{}
	for name, s := range file.Services {
		if s.Build == nil {
			if s.Image == "" {
				t.Errorf("service %s has neither an image nor a build", name)
			}
			continue
		}
		servers++
		var env []string
		for k, v := range s.Environment {
			env = append(env, k+"="+v)
		}
		c, warnings, err := load(t, env...)
		if err != nil || len(warnings) > 0 {
			t.Errorf("service %s: %v, warnings %q", name, err, warnings)
		}
		if c.Stream != config.StreamRedis || c.S3.Bucket == "" || nodes[c.Redis.Node] {
			t.Errorf("service %s does not share streams and a bucket under a name of its own: %+v", name, c.Redis)
		}
		nodes[c.Redis.Node] = true
		host, _, _ := strings.Cut(c.Redis.Addresses[0], ":")
		if _, ok := file.Services[host]; !ok {
			t.Errorf("service %s wants a Redis at %s, which is no service", name, host)
		}
	}
	if servers != 2 || file.Services["redis"].Image == "" || file.Services["minio"].Image == "" || file.Services["balancer"].Image == "" {
		t.Errorf("%d servers, and services %v", servers, file.Services)
	}
}
