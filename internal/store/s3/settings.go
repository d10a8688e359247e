package s3

import (
	"log/slog"

	"github.com/harness/log-service/internal/setting"
)

// Config of a Store. Bucket is required; the method Settings says what each field
// means.
type Config struct {
	Bucket, Prefix, Endpoint, LinkEndpoint, Region string

	Addressing      Addressing
	AccessKeyID     string
	SecretAccessKey setting.Secret
	SessionToken    setting.Secret // of temporary credentials
	CACert          string
	Checksum        bool

	Logger *slog.Logger // nil: slog.Default
}

// Addressing is where a request names its bucket.
type Addressing int

// The ways to address a bucket.
const (
	Auto  Addressing = iota // by host at providers known to support it, otherwise by path
	Paths                   // https://host/bucket/name
	Hosts                   // https://bucket.host/name
)

// Settings returns the settings of c. Some may be spelled as in the original
// Harness log service, MINIO_ instead of S3_.
func (c *Config) Settings() []*setting.Setting {
	return []*setting.Setting{
		setting.Text(&c.Bucket, "S3_BUCKET", "Bucket for finished logs; it must exist").Or("MINIO_BUCKET"),
		setting.Text(&c.Prefix, "S3_PREFIX", "Prefix of every object name, so that the bucket can be shared").Or("MINIO_PREFIX"),
		setting.Text(&c.Endpoint, "S3_ENDPOINT",
			"URL of the store, such as `http://localhost:9000`; or `host:port`, which uses https, except on this machine").
			Or("MINIO_ENDPOINT").Unset("AWS"),
		setting.Text(&c.LinkEndpoint, "S3_LINK_ENDPOINT",
			"Endpoint used in links, if clients reach the store by another address than the server").Unset("the endpoint"),
		setting.Func("S3_PATH_STYLE",
			"`true`: requests go to `https://host/bucket/…`; `false`: to `https://bucket.host/…`, the default for AWS and similar providers",
			c.parsePathStyle).Or("MINIO_PATH_STYLE").Unset("by provider"),
		setting.Text(&c.Region, "S3_REGION", "Region of the bucket").
			OrForeign("AWS_REGION", "AWS_DEFAULT_REGION").Unset("asked for at AWS, else `us-east-1`"),
		setting.Text(&c.AccessKeyID, "S3_ACCESS_KEY_ID",
			"Access key. If it and its secret are unset, these are tried in order: `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY` (with `AWS_SESSION_TOKEN`), "+
				"the AWS credentials file (`AWS_SHARED_CREDENTIALS_FILE`, `AWS_PROFILE`), a web identity (`AWS_WEB_IDENTITY_TOKEN_FILE`, `AWS_ROLE_ARN`), "+
				"the role of the container or the machine").OrForeign("AWS_ACCESS_KEY_ID"),
		setting.Text(&c.SecretAccessKey, "S3_SECRET_ACCESS_KEY", "The secret of that access key").OrForeign("AWS_SECRET_ACCESS_KEY"),
		setting.Text(&c.CACert, "S3_CA_CERT_PATH", "PEM file of certificates to trust in addition to the system's"),
		setting.Bool(&c.Checksum, "S3_CHECKSUM",
			"`true`: the store keeps a CRC-32C of each upload, in addition to the SHA-256 that signs it. Not every store supports this"),
	}
}

func (c *Config) parsePathStyle(v string) error {
	paths, err := setting.ParseBool(v)
	if c.Addressing = Hosts; paths {
		c.Addressing = Paths
	}
	return err
}

// Complete derives from env what depends on several settings that were loaded from
// it, and returns an error, a *setting.Error, for each that contradicts another.
// Without a bucket, c is empty afterwards.
func (c *Config) Complete(env setting.Env) (errs []error) {
	if c.Bucket == "" {
		for _, s := range c.Settings() {
			for _, name := range s.Names {
				name = setting.Prefix + name
				if v := env[name]; v != "" && v != "false" { // false requests nothing
					errs = append(errs, &setting.Error{Name: name, Rule: "it has no effect without a bucket", Hint: "also set LOG_SERVICE_S3_BUCKET"})
				}
			}
		}
		*c = Config{} // AWS_ variables are meant for other programs
		return errs
	}
	// A session token belongs to its access key.
	if c.AccessKeyID != "" && c.AccessKeyID == env["AWS_ACCESS_KEY_ID"] {
		c.SessionToken = setting.Secret(env["AWS_SESSION_TOKEN"])
	}
	if (c.AccessKeyID == "") != (c.SecretAccessKey == "") {
		errs = append(errs, &setting.Error{
			Name: setting.Prefix + "S3_ACCESS_KEY_ID", Rule: "a key and its secret go together, and one of them is missing",
			Hint: "set LOG_SERVICE_S3_ACCESS_KEY_ID and LOG_SERVICE_S3_SECRET_ACCESS_KEY, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or none to use a file or a role",
		})
	}
	return errs
}
