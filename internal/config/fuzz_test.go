package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/harness/log-service/internal/config"
	"github.com/harness/log-service/internal/setting"
)

// FuzzSettings loads settings from a file: nothing panics, errors name the setting,
// no message shows a secret, and accepted settings are safe.
func FuzzSettings(f *testing.F) {
	for _, s := range []string{
		"", "LOG_SERVICE_HTTP_BIND=:1", "LOG_SERVICE_HTTP_BIND=127.0.0.1:99999", "LOG_SERVICE_MEMORY=1GiB\nLOG_SERVICE_MAX_LINE=2GiB",
		"LOG_SERVICE_SECRET=keep-it-secret", "LOG_SERVICE_SECRET=keep-it-secret-keep-it\nLOG_SERVICE_OLD_SECRETS=keep-it-secret,,",
		"LOG_SERVICE_OIDC_ISSUER=https://gitlab.com\nLOG_SERVICE_OIDC_CLAIMS=a=b=c,=\nLOG_SERVICE_OIDC_PREFIX={", "export A='x", "LOG_SERVICE_JWT_KEYS=,,",
		"LOG_SERVICE_DISABLE_AUTH=true\nLOG_SERVICE_HTTP_BIND=[::]:0", "LOG_SERVICE_STREAM=${HOME}", "LOG_SERVICE_XYZ=1", "\x00=\xff",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		file := filepath.Join(t.TempDir(), ".env")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		env, err := config.Environ(nil, file, true)
		if err != nil {
			return
		}
		c, _, err := config.Load(env.Env)
		if err != nil {
			var bad *setting.Error
			if !errors.As(err, &bad) || !strings.HasPrefix(bad.Name, setting.Prefix) {
				t.Errorf("%v names no setting", err)
			}
			for _, name := range []string{"SECRET", "GLOBAL_TOKEN"} {
				if v := env.Env[setting.Prefix+name]; len(v) > 6 && strings.Contains(err.Error(), v) {
					t.Errorf("%v shows %s", err, name)
				}
			}
			return
		}
		if !c.Loopback() && !c.AuthOn() && !c.DisableAuth {
			t.Errorf("%q is an open server that nobody asked for", text)
		}
	})
}
