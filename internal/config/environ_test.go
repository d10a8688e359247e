package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/harness/log-service/internal/config"
	"github.com/harness/log-service/internal/setting"
)

// environ merges an environment with the lines of a file.
func environ(t *testing.T, env, lines []string, named bool) (config.Environment, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), ".env")
	if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	e, err := config.Environ(env, file, named)
	if err == nil && e.File != file {
		t.Errorf("the file is %q, want %q", e.File, file)
	}
	return e, err
}

const (
	secret       = "LOG_SERVICE_SECRET=the-secret-of-the-environment"
	evilEndpoint = "LOG_SERVICE_S3_ENDPOINT=https://evil.example"
)

func TestAFileInTheWorkingDirectoryChangesNoAuthenticationAndGetsNoCredentials(t *testing.T) {
	for name, tc := range map[string]struct {
		env, file []string
		taken     []string
		want      setting.Env // "" means absent
		warnings  int
	}{
		"all of the file": {
			file:  []string{"LOG_SERVICE_SECRET=x", "LOG_SERVICE_REVOKED_TOKENS=r", "GOGC=50", "DATABASE_URL=x", "PATH=/evil"},
			taken: []string{"GOGC", "LOG_SERVICE_REVOKED_TOKENS", "LOG_SERVICE_SECRET"},
			want:  setting.Env{"LOG_SERVICE_SECRET": "x", "LOG_SERVICE_REVOKED_TOKENS": "r", "DATABASE_URL": "", "PATH": ""},
		},
		"authentication off": {
			env: []string{secret}, file: []string{"LOG_SERVICE_DISABLE_AUTH=true", "LOG_SERVICE_DATA=d"},
			taken:    []string{"LOG_SERVICE_DATA"},
			want:     setting.Env{"LOG_SERVICE_DISABLE_AUTH": "", "LOG_SERVICE_SECRET": "the-secret-of-the-environment"},
			warnings: 1,
		},
		"another secret": {
			env:      []string{"LOG_SERVICE_JWT_KEYS=a.pem"},
			file:     []string{"LOG_SERVICE_SECRET=evil", "LOG_SERVICE_OLD_SECRETS=evil", "LOG_SERVICE_OIDC_ISSUER=https://evil.example", "LOG_SERVICE_JWT_KEYS=evil.pem"},
			want:     setting.Env{"LOG_SERVICE_SECRET": "", "LOG_SERVICE_OLD_SECRETS": "", "LOG_SERVICE_OIDC_ISSUER": "", "LOG_SERVICE_JWT_KEYS": "a.pem"},
			warnings: 3,
		},
		"the user's keys to another store": {
			env: []string{"AWS_ACCESS_KEY_ID=mine", "AWS_SECRET_ACCESS_KEY=mine", "AWS_SESSION_TOKEN=mine"},
			file: []string{"LOG_SERVICE_MINIO_BUCKET=logs", "LOG_SERVICE_MINIO_ENDPOINT=https://evil.example",
				"AWS_ACCESS_KEY_ID=theirs", "AWS_SECRET_ACCESS_KEY=theirs"},
			taken:    []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "LOG_SERVICE_MINIO_BUCKET", "LOG_SERVICE_MINIO_ENDPOINT"},
			want:     setting.Env{"AWS_ACCESS_KEY_ID": "theirs", "AWS_SECRET_ACCESS_KEY": "theirs", "AWS_SESSION_TOKEN": ""},
			warnings: 3,
		},
		"the store of the environment": {
			env:   []string{"AWS_ACCESS_KEY_ID=mine", "AWS_SECRET_ACCESS_KEY=mine", "LOG_SERVICE_S3_ENDPOINT=https://mine.example"},
			file:  []string{"LOG_SERVICE_S3_BUCKET=logs", evilEndpoint},
			taken: []string{"LOG_SERVICE_S3_BUCKET"},
			want:  setting.Env{"AWS_ACCESS_KEY_ID": "mine", "LOG_SERVICE_S3_ENDPOINT": "https://mine.example"},
		},
		"the user's password to another Redis": {
			env:      []string{"LOG_SERVICE_REDIS_PASSWORD=mine"},
			file:     []string{"LOG_SERVICE_REDIS_ENDPOINT=evil.example:6379"},
			taken:    []string{"LOG_SERVICE_REDIS_ENDPOINT"},
			want:     setting.Env{"LOG_SERVICE_REDIS_PASSWORD": "", "LOG_SERVICE_REDIS_ENDPOINT": "evil.example:6379"},
			warnings: 1,
		},
		"an empty variable": {
			env:  []string{"LOG_SERVICE_DATA=", "LOG_SERVICE_SECRET="},
			file: []string{"LOG_SERVICE_DATA=d", "LOG_SERVICE_GLOBAL_TOKEN=g"},
			want: setting.Env{"LOG_SERVICE_DATA": "", "LOG_SERVICE_GLOBAL_TOKEN": "g"}, taken: []string{"LOG_SERVICE_GLOBAL_TOKEN"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			e, err := environ(t, tc.env, tc.file, false)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.taken, e.Taken); diff != "" {
				t.Error("taken:", diff)
			}
			for k, v := range tc.want {
				if e.Env[k] != v {
					t.Errorf("%s is %q, want %q", k, e.Env[k], v)
				}
			}
			if len(e.Warnings) != tc.warnings || slices.ContainsFunc(e.Warnings, func(w string) bool { return !strings.Contains(w, e.File) }) {
				t.Errorf("warnings %q, want %d that name the file", e.Warnings, tc.warnings)
			}
		})
	}
}

func TestAnEndpointThatOnlyAFileNamesNeedsCredentialsOfThatFile(t *testing.T) {
	mine := []string{"AWS_ACCESS_KEY_ID=mine", "AWS_SECRET_ACCESS_KEY=mine", "LOG_SERVICE_S3_BUCKET=logs"}
	for _, file := range [][]string{
		{evilEndpoint},
		{"LOG_SERVICE_MINIO_ENDPOINT=evil.example"},
		{"LOG_SERVICE_S3_LINK_ENDPOINT=https://evil.example"},
		{evilEndpoint, "AWS_ACCESS_KEY_ID=theirs"},
		{evilEndpoint, "AWS_SECRET_ACCESS_KEY=theirs"},
	} {
		// Without keys in the environment, those of a file or a role would be used.
		for _, env := range [][]string{mine, nil} {
			_, err := environ(t, env, file, false)
			bad, ok := errors.AsType[*setting.Error](err)
			if !ok || !strings.Contains(bad.Error(), "ENDPOINT: only ") || !strings.Contains(bad.Hint, "--env-file") {
				t.Errorf("%q with %q: %v", file, env, err)
			}
		}
		if e, err := environ(t, mine, file, true); err != nil || e.Env["AWS_SECRET_ACCESS_KEY"] != "mine" {
			t.Errorf("%q, named by the user: %v", file, err)
		}
	}
}

func TestANamedFileAndTheEnvironmentDoNotMixAuthentication(t *testing.T) {
	_, err := environ(t, []string{secret}, []string{"LOG_SERVICE_REVOKED_TOKENS=r"}, true)
	if bad, ok := errors.AsType[*setting.Error](err); !ok || bad.Name != "LOG_SERVICE_REVOKED_TOKENS" || !strings.Contains(bad.Rule, "LOG_SERVICE_SECRET is in the environment") {
		t.Error(err)
	}
	if e, err := environ(t, []string{secret}, []string{"LOG_SERVICE_SECRET=x", "LOG_SERVICE_DATA=d"}, true); err != nil || e.Env["LOG_SERVICE_SECRET"] == "x" {
		t.Error(err, e.Env)
	}
}

func TestOnlyAFileIsReadUnlessItIsNamed(t *testing.T) {
	for _, path := range []string{t.TempDir(), os.DevNull, filepath.Join(t.TempDir(), "missing")} {
		if e, err := config.Environ([]string{"A=b"}, path, false); err != nil || e.File != "" || e.Env["A"] != "b" {
			t.Errorf("%s: %v, %v", path, e, err)
		}
	}
	if _, err := config.Environ(nil, t.TempDir(), true); err == nil {
		t.Error("a folder was named, and no error")
	}
}
