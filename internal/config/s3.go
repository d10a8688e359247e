package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// How requests to an object store name the bucket; see S3.Addressing.
const (
	AddressPath = "path"
	AddressHost = "host"
)

// S3 says which bucket keeps finished logs. Without a Bucket they are kept in
// the embedded store. Each LOG_SERVICE_S3_ name that has a LOG_SERVICE_MINIO_
// one, from the first release, may be written either way.
type S3 struct {
	Bucket string // LOG_SERVICE_S3_BUCKET
	// Prefix begins the name of every object, so that a bucket can be shared.
	Prefix string // LOG_SERVICE_S3_PREFIX
	// Endpoint is a URL, or host[:port]: https then, http on this machine.
	// Empty is AWS.
	Endpoint string // LOG_SERVICE_S3_ENDPOINT
	// LinkEndpoint is what links begin with, where their users reach the store
	// by another address than the server.
	LinkEndpoint string // LOG_SERVICE_S3_LINK_ENDPOINT
	// Addressing is AddressPath, AddressHost, or empty: what the provider is
	// known for, else by path.
	Addressing string // LOG_SERVICE_S3_PATH_STYLE
	Region     string // LOG_SERVICE_S3_REGION, AWS_REGION or AWS_DEFAULT_REGION
	// AccessKeyID and its secret; without them the credentials file, a web
	// identity or the machine's role are used.
	AccessKeyID     string // LOG_SERVICE_S3_ACCESS_KEY_ID or AWS_ACCESS_KEY_ID
	SecretAccessKey Secret // LOG_SERVICE_S3_SECRET_ACCESS_KEY or AWS_SECRET_ACCESS_KEY
	SessionToken    Secret // AWS_SESSION_TOKEN
	// CACert is a file of certificates to trust beside the system's.
	CACert string // LOG_SERVICE_S3_CA_CERT_PATH
	// Checksum asks the store to check and keep a CRC-32C of each upload.
	Checksum bool // LOG_SERVICE_S3_CHECKSUM
}

// s3Setting is a setting of the object store.
type s3Setting struct {
	name    string   // without Prefix and S3_
	minio   bool     // has a MINIO_ spelling
	aws     []string // variables that stand in for it, the first that is set
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

// spellings are the names of a setting, without Prefix.
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
	var own []string // names that are set and ours
	for _, s := range s3Settings() {
		name, value, err := s.read(env)
		switch {
		case err != nil:
			errs = append(errs, err)
			continue
		case value == "":
			continue
		case strings.HasPrefix(name, Prefix) && value != "false": // which asks for nothing
			own = append(own, name)
		}
		if s.field != nil {
			*s.field(&c.S3) = value
		} else if err := s.convert(&c.S3, value); err != nil {
			errs = append(errs, &Error{Name: name, Value: value, Rule: err.Error()})
		}
	}
	// A session belongs to the key that it came with.
	if c.S3.AccessKeyID != "" && c.S3.AccessKeyID == env["AWS_ACCESS_KEY_ID"] {
		c.S3.SessionToken = Secret(env["AWS_SESSION_TOKEN"])
	}
	if c.S3.Bucket == "" && len(errs) > 0 {
		return errs // one of them may be about the bucket
	}
	if c.S3.Bucket == "" {
		c.S3 = S3{} // what AWS_ variables say is of other programs
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

// read finds the value of a setting and the variable that has it. Two
// spellings that say different things are an error.
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
