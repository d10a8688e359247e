package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// How requests name the bucket; see S3.Addressing.
const (
	AddressPath = "path"
	AddressHost = "host"
)

// S3 configures the bucket that stores finished logs. Without a Bucket they are
// stored in the embedded store. Some LOG_SERVICE_S3_ variables may also be spelled
// LOG_SERVICE_MINIO_, as in the original Harness log service.
type S3 struct {
	Bucket string // LOG_SERVICE_S3_BUCKET
	// Prefix is prepended to every object name, so that a bucket can be shared.
	Prefix string // LOG_SERVICE_S3_PREFIX
	// Endpoint is a URL or host[:port], which means https, or http on this
	// machine. Empty means AWS.
	Endpoint string // LOG_SERVICE_S3_ENDPOINT
	// LinkEndpoint is the base of links, if clients reach the store at another
	// address than the server does.
	LinkEndpoint string // LOG_SERVICE_S3_LINK_ENDPOINT
	// Addressing is AddressPath, AddressHost or empty, which means what the
	// provider is known to support, and otherwise AddressPath.
	Addressing string // LOG_SERVICE_S3_PATH_STYLE
	Region     string // LOG_SERVICE_S3_REGION, AWS_REGION or AWS_DEFAULT_REGION
	// AccessKeyID and SecretAccessKey are static credentials. Without them the
	// credentials file, a web identity or the machine's role is used.
	AccessKeyID     string // LOG_SERVICE_S3_ACCESS_KEY_ID or AWS_ACCESS_KEY_ID
	SecretAccessKey Secret // LOG_SERVICE_S3_SECRET_ACCESS_KEY or AWS_SECRET_ACCESS_KEY
	SessionToken    Secret // AWS_SESSION_TOKEN
	// CACert is a file of certificates to trust in addition to the system's.
	CACert string // LOG_SERVICE_S3_CA_CERT_PATH
	// Checksum makes the store verify and keep a CRC-32C of each upload.
	Checksum bool // LOG_SERVICE_S3_CHECKSUM
}

// s3Setting is a setting of S3.
type s3Setting struct {
	name    string   // without Prefix and S3_
	minio   bool     // has a MINIO_ spelling
	aws     []string // AWS variables used as fallback; the first one set wins
	field   func(*S3) *string
	convert func(*S3, string) error // instead of field
}

func s3Settings() []s3Setting {
	return []s3Setting{
		{name: "BUCKET", minio: true, field: func(s *S3) *string { return &s.Bucket }},
		{name: "PREFIX", minio: true, field: func(s *S3) *string { return &s.Prefix }},
		{name: "ENDPOINT", minio: true, field: func(s *S3) *string { return &s.Endpoint }},
		{name: "LINK_ENDPOINT", field: func(s *S3) *string { return &s.LinkEndpoint }},
		{name: "PATH_STYLE", minio: true, convert: setPathStyle},
		{name: "REGION", aws: []string{"AWS_REGION", "AWS_DEFAULT_REGION"}, field: func(s *S3) *string { return &s.Region }},
		{name: "ACCESS_KEY_ID", aws: []string{"AWS_ACCESS_KEY_ID"}, field: func(s *S3) *string { return &s.AccessKeyID }},
		{name: "SECRET_ACCESS_KEY", aws: []string{"AWS_SECRET_ACCESS_KEY"}, convert: setSecretKey},
		{name: "CA_CERT_PATH", field: func(s *S3) *string { return &s.CACert }},
		{name: "CHECKSUM", convert: setChecksum},
	}
}

func setPathStyle(s *S3, v string) error {
	yes, err := strconv.ParseBool(v)
	if err != nil {
		return fmt.Errorf("want true or false")
	}
	s.Addressing = AddressHost
	if yes {
		s.Addressing = AddressPath
	}
	return nil
}

func setSecretKey(s *S3, v string) error {
	s.SecretAccessKey = Secret(v)
	return nil
}

func setChecksum(s *S3, v string) (err error) {
	if s.Checksum, err = strconv.ParseBool(v); err != nil {
		return fmt.Errorf("want true or false")
	}
	return nil
}

// spellings returns the names of a setting, without Prefix.
func (s *s3Setting) spellings() []string {
	if s.minio {
		return []string{"S3_" + s.name, "MINIO_" + s.name}
	}
	return []string{"S3_" + s.name}
}

func s3Names() (names []string) {
	for _, s := range s3Settings() {
		names = append(names, s.spellings()...)
	}
	return names
}

// loadS3 reads the settings of the object store.
func loadS3(c *Config, env map[string]string) (errs []error) {
	var own []string // our own variables that are set
	for _, s := range s3Settings() {
		name, value, err := s.read(env)
		switch {
		case err != nil:
			errs = append(errs, err)
			continue
		case value == "":
			continue
		case strings.HasPrefix(name, Prefix) && value != "false": // false requests nothing
			own = append(own, name)
		}
		if s.field != nil {
			*s.field(&c.S3) = value
		} else if err := s.convert(&c.S3, value); err != nil {
			errs = append(errs, &Error{Name: name, Value: value, Rule: err.Error()})
		}
	}
	// A session token belongs to its access key.
	if c.S3.AccessKeyID != "" && c.S3.AccessKeyID == env["AWS_ACCESS_KEY_ID"] {
		c.S3.SessionToken = Secret(env["AWS_SESSION_TOKEN"])
	}
	if c.S3.Bucket == "" && len(errs) > 0 {
		return errs // one of them may be about the bucket
	}
	if c.S3.Bucket == "" {
		c.S3 = S3{} // the AWS_ variables are meant for other programs
		for _, name := range own {
			errs = append(errs, &Error{Name: name, Rule: "it has no effect without a bucket", Hint: "also set LOG_SERVICE_S3_BUCKET"})
		}
		return errs
	}
	if (c.S3.AccessKeyID == "") != (c.S3.SecretAccessKey == "") {
		errs = append(errs, &Error{
			Name: Prefix + "S3_ACCESS_KEY_ID", Rule: "a key and its secret go together, and one of them is missing",
			Hint: "set LOG_SERVICE_S3_ACCESS_KEY_ID and LOG_SERVICE_S3_SECRET_ACCESS_KEY, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or none to use a file or a role",
		})
	}
	return errs
}

// read returns the value of a setting and the variable that it came from. It is an
// error if two spellings have different values.
func (s *s3Setting) read(env map[string]string) (name, value string, err error) {
	for _, spelling := range s.spellings() {
		v := env[Prefix+spelling]
		switch {
		case v == "":
		case value == "":
			name, value = Prefix+spelling, v
		case v != value:
			return "", "", &Error{Name: Prefix + spelling, Rule: "it differs from " + name, Hint: "they are two names of one setting: remove one of them"}
		}
	}
	if i := slices.IndexFunc(s.aws, func(n string) bool { return env[n] != "" }); value == "" && i >= 0 {
		name, value = s.aws[i], env[s.aws[i]]
	}
	return name, value, nil
}
