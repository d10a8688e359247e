package s3_test

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/minio/minio-go/v7/pkg/lifecycle"

	"github.com/harness/log-service/internal/logs"
	"github.com/harness/log-service/internal/setting"
	"github.com/harness/log-service/internal/store/s3/s3test"
	"github.com/harness/log-service/internal/store/storetest"
)

// documented returns the block of JSON in docs/storage.md that contains a word.
func documented(t *testing.T, word string) string {
	t.Helper()
	text, err := os.ReadFile("../../../docs/storage.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range strings.Split(string(text), "```json\n")[1:] {
		if block, _, _ = strings.Cut(block, "```"); strings.Contains(block, word) {
			return block
		}
	}
	t.Fatalf("docs/storage.md has no JSON with %s", word)
	return ""
}

func TestThePolicyOfTheDocumentationIsEnough(t *testing.T) {
	srv := s3test.Run(t, s3test.MinIO)
	c := settings(srv, srv.Bucket(t))
	policy := strings.ReplaceAll(documented(t, "Statement"), "arn:aws:s3:::logs", "arn:aws:s3:::"+c.Bucket)
	as := func(policy string) {
		role, err := credentials.NewSTSAssumeRole(srv.Endpoint(), credentials.STSAssumeRoleOptions{
			AccessKey: s3test.AccessKey, SecretKey: s3test.SecretKey, Policy: policy, DurationSeconds: 3600,
		})
		if err != nil {
			t.Fatal(err)
		}
		v, err := role.GetWithContext(nil)
		if err != nil {
			t.Fatal(err)
		}
		c.AccessKeyID, c.SecretAccessKey, c.SessionToken = v.AccessKeyID, setting.Secret(v.SecretAccessKey), setting.Secret(v.SessionToken)
	}
	as(policy)
	s := open(t, c)
	for _, size := range []int{10, part + 5} {
		put(t, s, id, storetest.Noise(size))
		wantHeld(t, s, id, storetest.Noise(size))
	}
	if err := s.PutIndexed(t.Context(), id, bytes.NewReader(storetest.Noise(part+5)), logs.BlobInfo{Archive: true, Plain: true}, func() []byte { return []byte("index") }); err != nil {
		t.Error(err)
	}
	if err := s.Put(t.Context(), id, afterReader(storetest.Noise(part+5), func() {}, failing{os.ErrClosed}), logs.BlobInfo{}); err == nil {
		t.Error("no error of a reader that fails")
	}
	wantNothingBegun(t, srv, c.Bucket, "acc/log!.log")
	for _, err := range s.List(t.Context(), "acc", "") {
		if err != nil {
			t.Error(err)
		}
	}
	if _, err := s.SignGet(t.Context(), id, time.Minute); err != nil {
		t.Error(err)
	}
	if err := s.Delete(t.Context(), id); err != nil {
		t.Error(err)
	}
	// And only the policy allows all this.
	as(strings.Replace(policy, `"s3:PutObject", `, "", 1))
	if err := open(t, c).Put(t.Context(), id, strings.NewReader("x"), logs.BlobInfo{}); err == nil {
		t.Error("an upload was allowed by a policy without uploads")
	}
}

func TestTheStoreTakesTheLifecycleRuleOfTheDocumentation(t *testing.T) {
	srv := s3test.Run(t, s3test.MinIO)
	bucket := srv.Bucket(t)
	raw, err := srv.Client()
	if err != nil {
		t.Fatal(err)
	}
	var rules lifecycle.Configuration
	if err := json.Unmarshal([]byte(documented(t, "Rules")), &rules); err != nil {
		t.Fatal(err)
	}
	if err := raw.SetBucketLifecycle(t.Context(), bucket, &rules); err != nil {
		t.Fatal(err)
	}
	got, err := raw.GetBucketLifecycle(t.Context(), bucket)
	if err != nil || len(got.Rules) != 1 || got.Rules[0].Expiration.Days != 30 || got.Rules[0].Status != "Enabled" {
		t.Errorf("%+v, %v", got, err)
	}
}
