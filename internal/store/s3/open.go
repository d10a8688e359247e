package s3

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/minio/minio-go/v7/pkg/s3utils"
	"golang.org/x/sync/semaphore"

	"github.com/harness/log-service/internal/roots"
)

// Open returns a Store over the bucket of c. If the store rejects the request
// (no such bucket, wrong credentials), Open fails; a store that does not
// respond is only logged, since it may become available.
func Open(ctx context.Context, c Config) (*Store, error) {
	prefix := strings.Trim(c.Prefix, "/")
	if err := checkNames(c.Bucket, prefix); err != nil {
		return nil, err
	}
	if prefix != "" {
		prefix += "/"
	}
	transport, err := newTransport(c.CACert)
	if err != nil {
		return nil, err
	}
	client, err := newClient(c, c.Endpoint, transport)
	if err != nil {
		return nil, err
	}
	s := &Store{
		log:       cmp.Or(c.Logger, slog.Default()),
		client:    minio.Core{Client: client},
		links:     client,
		transport: transport,
		bucket:    c.Bucket,
		names:     names{prefix: prefix},
		checksum:  c.Checksum,
		memory:    semaphore.NewWeighted(partMemory),
	}
	if c.LinkEndpoint != "" {
		if s.links, err = newClient(c, c.LinkEndpoint, transport); err != nil {
			return nil, err
		}
	}
	if !s.hasCredentials() {
		return nil, errors.Join(fmt.Errorf("bucket %q at %s: no credentials were found in the settings, the credentials file or a role", c.Bucket, client.EndpointURL()), s.Close())
	}
	if err := s.check(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func checkNames(bucket, prefix string) error {
	if err := s3utils.CheckValidBucketName(bucket); err != nil {
		return fmt.Errorf("bucket %q: %w", bucket, err)
	}
	if len(prefix) > maxPrefix {
		return fmt.Errorf("prefix of %d bytes is too long: at most %d", len(prefix), maxPrefix)
	}
	if prefix == "" {
		return nil
	}
	for segment := range strings.SplitSeq(prefix, "/") {
		if segment == "" || segment == "." || segment == ".." || strings.ContainsAny(segment, "\\\x00!") {
			return fmt.Errorf("prefix %q: a segment is empty, a dot or two, or has a backslash or an exclamation mark in it", prefix)
		}
	}
	return nil
}

func newClient(c Config, endpoint string, transport *http.Transport) (*minio.Client, error) {
	host, secure, err := parseEndpoint(endpoint)
	if err != nil {
		return nil, err
	}
	region := c.Region
	if region == "" && endpoint != "" {
		region = "us-east-1" // accepted by stores without regions
	}
	lookup := map[Addressing]minio.BucketLookupType{Auto: minio.BucketLookupAuto, Paths: minio.BucketLookupPath, Hosts: minio.BucketLookupDNS}
	return minio.New(host, &minio.Options{
		Creds: creds(c), Secure: secure, Transport: transport, Region: region,
		BucketLookup: lookup[c.Addressing], MaxRetries: attempts,
	})
}

func creds(c Config) *credentials.Credentials {
	if c.AccessKeyID != "" {
		return credentials.NewStaticV4(c.AccessKeyID, string(c.SecretAccessKey), string(c.SessionToken))
	}
	return credentials.NewChainCredentials([]credentials.Provider{
		&credentials.FileAWSCredentials{},
		&credentials.IAM{Client: &http.Client{Timeout: answerTime / 2}},
	})
}

// parseEndpoint returns the parts of an endpoint that the client needs.
func parseEndpoint(endpoint string) (host string, secure bool, err error) {
	if endpoint == "" {
		return "s3.amazonaws.com", true, nil
	}
	if !strings.Contains(endpoint, "://") {
		scheme := "https://"
		if loopback(endpoint) {
			scheme = "http://"
		}
		endpoint = scheme + endpoint
	}
	u, err := url.Parse(endpoint)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.User != nil || u.RawQuery != "" {
		return "", false, errors.New("endpoint: want http://host:port or https://host, without a path, a user or a query")
	}
	return u.Host, u.Scheme == "https", nil
}

func loopback(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = hostport
	}
	ip, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return host == "localhost" || err == nil && ip.IsLoopback()
}

func newTransport(caCert string) (*http.Transport, error) {
	trust := &tls.Config{MinVersion: tls.VersionTLS12}
	if caCert != "" {
		var err error
		if trust.RootCAs, err = roots.With(caCert); err != nil {
			return nil, fmt.Errorf("certificates: %w", err)
		}
	}
	dialer := net.Dialer{Timeout: answerTime / 2}
	return &http.Transport{
		Proxy: http.ProxyFromEnvironment,
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := dialer.DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			return &patient{Conn: c}, nil
		},
		TLSClientConfig:     trust,
		TLSHandshakeTimeout: answerTime / 2,
		// Enough for all concurrent archivings and some readers: a new
		// connection costs round trips.
		MaxIdleConnsPerHost: 64,
		IdleConnTimeout:     stallTime / 2,
		ReadBufferSize:      64 << 10,
		WriteBufferSize:     64 << 10,
		// Bytes are returned as stored.
		DisableCompression: true,
	}, nil
}

// patient is a connection that fails when nothing is transferred for stallTime.
// Progress in one direction also extends the wait in the other: an upload, and
// the response after it, may take as long as they need.
type patient struct {
	net.Conn
	moved atomic.Int64 // when the deadline was set, in Unix nanoseconds
}

func (c *patient) Read(b []byte) (int, error) {
	c.wait()
	return c.Conn.Read(b)
}

func (c *patient) Write(b []byte) (int, error) {
	c.wait()
	return c.Conn.Write(b)
}

// wait sets the deadline, unless the current one is less than a tenth old:
// setting it costs about as much as a small write.
func (c *patient) wait() {
	now := time.Now()
	if now.UnixNano()-c.moved.Load() > int64(stallTime/10) {
		c.moved.Store(now.UnixNano())
		_ = c.SetDeadline(now.Add(stallTime + stallTime/10)) // a closed connection fails anyway
	}
}

// check requests the bucket in the same way as a listing.
func (s *Store) check(ctx context.Context) error {
	limited, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	var err error
	for o := range s.client.ListObjectsIter(limited, s.bucket, minio.ListObjectsOptions{Prefix: s.names.prefix, MaxKeys: 1, Recursive: true}) {
		err = o.Err
		break
	}
	if err == nil {
		return nil
	}
	where := fmt.Sprintf("bucket %q at %s", s.bucket, s.client.EndpointURL())
	r := minio.ToErrorResponse(err)
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case r.Code == minio.NoSuchBucket:
		return fmt.Errorf("%s does not exist: make it first", where)
	case r.StatusCode >= 400 && r.StatusCode < 500:
		return fmt.Errorf("%s: the store refuses: %s (%s)", where, r.Message, r.Code)
	case misconfigured(err):
		return fmt.Errorf("%s: %w", where, err)
	}
	s.log.Error("the object store does not respond: until it does, finished logs wait on this machine and stored logs cannot be read",
		"bucket", s.bucket, "endpoint", s.client.EndpointURL().String(), "error", err)
	return nil
}

func (s *Store) hasCredentials() bool {
	v, err := s.client.GetCreds()
	return err == nil && v.AccessKeyID != ""
}

// misconfigured reports whether an error cannot be fixed by waiting.
func misconfigured(err error) bool {
	var untrusted *tls.CertificateVerificationError
	var noTLS tls.RecordHeaderError
	return errors.As(err, &untrusted) || errors.As(err, &noTLS) || strings.Contains(err.Error(), "server gave HTTP response to HTTPS client")
}
