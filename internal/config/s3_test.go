package config_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/harness/log-service/internal/config"
	"github.com/harness/log-service/internal/setting"
	"github.com/harness/log-service/internal/store/s3"
)

func TestBothSpellingsOfTheObjectStoreAreEquivalent(t *testing.T) {
	want := s3.Config{
		Bucket: "logs", Prefix: "ci", Endpoint: "http://localhost:9000", Addressing: s3.Paths,
		Region: "eu-1", AccessKeyID: "id", SecretAccessKey: "secret",
	}
	for name, set := range map[string][]string{
		"S3": {
			"LOG_SERVICE_S3_BUCKET=logs", "LOG_SERVICE_S3_PREFIX=ci", "LOG_SERVICE_S3_ENDPOINT=http://localhost:9000", "LOG_SERVICE_S3_PATH_STYLE=true",
			"LOG_SERVICE_S3_REGION=eu-1", "LOG_SERVICE_S3_ACCESS_KEY_ID=id", "LOG_SERVICE_S3_SECRET_ACCESS_KEY=secret",
		},
		"MinIO and AWS": {
			"LOG_SERVICE_MINIO_BUCKET=logs", "LOG_SERVICE_MINIO_PREFIX=ci", "LOG_SERVICE_MINIO_ENDPOINT=http://localhost:9000", "LOG_SERVICE_MINIO_PATH_STYLE=true",
			"AWS_REGION=eu-1", "AWS_ACCESS_KEY_ID=id", "AWS_SECRET_ACCESS_KEY=secret",
		},
		"one over the other": {
			"LOG_SERVICE_MINIO_BUCKET=logs", "LOG_SERVICE_S3_BUCKET=logs", "LOG_SERVICE_S3_PREFIX=ci", "LOG_SERVICE_MINIO_ENDPOINT=http://localhost:9000", "LOG_SERVICE_S3_PATH_STYLE=1",
			"LOG_SERVICE_S3_REGION=eu-1", "AWS_REGION=us-2", "LOG_SERVICE_S3_ACCESS_KEY_ID=id", "AWS_ACCESS_KEY_ID=other", "AWS_SESSION_TOKEN=of-other",
			"AWS_SECRET_ACCESS_KEY=secret",
		},
	} {
		c, warnings, err := load(t, set...)
		if err != nil || len(warnings) != 0 {
			t.Errorf("%s: %v, %q", name, err, warnings)
		}
		if diff := cmp.Diff(want, c.S3); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
	}
	c, _, err := load(t, "LOG_SERVICE_S3_BUCKET=logs", "LOG_SERVICE_S3_PATH_STYLE=false", "LOG_SERVICE_S3_CHECKSUM=true", "LOG_SERVICE_S3_CA_CERT_PATH=/ca.pem",
		"LOG_SERVICE_S3_LINK_ENDPOINT=https://s3.example.com", "AWS_DEFAULT_REGION=r", "AWS_ACCESS_KEY_ID=id", "AWS_SECRET_ACCESS_KEY=secret", "AWS_SESSION_TOKEN=session",
		"LOG_SERVICE_ARCHIVE_COMPRESSION=zstd")
	if err != nil {
		t.Fatal(err)
	}
	want = s3.Config{
		Bucket: "logs", LinkEndpoint: "https://s3.example.com", Addressing: s3.Hosts, Region: "r",
		AccessKeyID: "id", SecretAccessKey: "secret", SessionToken: "session", CACert: "/ca.pem", Checksum: true,
	}
	if diff := cmp.Diff(want, c.S3); diff != "" || c.ArchiveCompression != config.CompressZstd {
		t.Error(diff, c.ArchiveCompression)
	}
}

func TestContradictoryObjectStoreSettingsAreRefused(t *testing.T) {
	for _, tc := range []struct {
		set  []string
		want []string // parts of the message and the hint
	}{
		{[]string{"LOG_SERVICE_S3_BUCKET=a", "LOG_SERVICE_MINIO_BUCKET=b"}, []string{"LOG_SERVICE_MINIO_BUCKET", "LOG_SERVICE_S3_BUCKET", "two names"}},
		{[]string{"LOG_SERVICE_S3_ENDPOINT=http://localhost:9000"}, []string{"LOG_SERVICE_S3_ENDPOINT", "without a bucket"}},
		{[]string{"LOG_SERVICE_MINIO_PATH_STYLE=true"}, []string{"LOG_SERVICE_MINIO_PATH_STYLE", "without a bucket"}},
		{[]string{"LOG_SERVICE_S3_BUCKET=a", "LOG_SERVICE_S3_PATH_STYLE=yes"}, []string{"LOG_SERVICE_S3_PATH_STYLE", `"yes"`, "true or false"}},
		{[]string{"LOG_SERVICE_S3_BUCKET=a", "LOG_SERVICE_S3_CHECKSUM=crc"}, []string{"LOG_SERVICE_S3_CHECKSUM", "true or false"}},
		{[]string{"LOG_SERVICE_S3_BUCKET=a", "AWS_ACCESS_KEY_ID=keep-it"}, []string{"LOG_SERVICE_S3_ACCESS_KEY_ID", "missing", "AWS_SECRET_ACCESS_KEY"}},
		{[]string{"LOG_SERVICE_S3_BUCKET=a", "LOG_SERVICE_S3_SECRET_ACCESS_KEY=keep-it"}, []string{"missing"}},
		{[]string{"LOG_SERVICE_S3_BUCKET=a", "LOG_SERVICE_RETENTION=720h"}, []string{"LOG_SERVICE_RETENTION", "lifecycle rule", "docs/storage.md"}},
		{[]string{"LOG_SERVICE_RETENTION=30"}, []string{"LOG_SERVICE_RETENTION", `"30"`, "720h"}},
		{[]string{"LOG_SERVICE_RETENTION=30m"}, []string{"at least 1h"}},
		{[]string{"LOG_SERVICE_RETENTION=-720h"}, []string{"at least 1h"}},
		{[]string{"LOG_SERVICE_ARCHIVE_COMPRESSION=gzip"}, []string{"none or zstd"}},
		{[]string{"LOG_SERVICE_ARCHIVE_COMPRESSION=none"}, []string{"embedded store always compresses"}},
	} {
		_, _, err := load(t, tc.set...)
		var bad *setting.Error
		if !errors.As(err, &bad) {
			t.Errorf("%q: error %v, want a *setting.Error", tc.set, err)
			continue
		}
		all := err.Error() + bad.Hint
		for _, part := range tc.want {
			if !strings.Contains(all, part) {
				t.Errorf("%q: %q does not say %q", tc.set, all, part)
			}
		}
		if strings.Contains(all, "keep-it") {
			t.Errorf("%q: %q shows a secret", tc.set, all)
		}
	}
	for _, harmless := range [][]string{
		{"LOG_SERVICE_S3_BUCKET=", "LOG_SERVICE_MINIO_BUCKET="}, {"LOG_SERVICE_S3_PATH_STYLE=false"}, {"AWS_ACCESS_KEY_ID=x", "AWS_REGION=y"},
		{"LOG_SERVICE_ARCHIVE_COMPRESSION=zstd"},
	} {
		if c, _, err := load(t, harmless...); err != nil || c.S3 != (s3.Config{}) {
			t.Errorf("%q: %+v, %v", harmless, c.S3, err)
		}
	}
	if c, _, err := load(t, "LOG_SERVICE_RETENTION=30d"); err != nil || c.Retention != 720*time.Hour {
		t.Error(c.Retention, err)
	}
	_, warnings, err := load(t, "LOG_SERVICE_S3_BUCKET=a", "LOG_SERVICE_BOLT_PATH=b")
	if err != nil || len(warnings) != 1 || !strings.Contains(warnings[0], "LOG_SERVICE_BOLT_PATH") {
		t.Error(warnings, err)
	}
}
