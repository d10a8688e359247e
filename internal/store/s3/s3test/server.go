// Package s3test starts real object stores for tests: MinIO and versitygw, as
// `make test-servers` installs them, on free ports of the loopback interface.
// Both check signatures, presigned links, ranges, conditions and multipart
// uploads.
package s3test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"syscall"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/harness/log-service/internal/proctest"
)

// The one account of every server, of documentation that everybody knows.
const (
	AccessKey = "AKIAIOSFODNN7EXAMPLE"
	SecretKey = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
)

// readyTime is how long a server may take to answer, on a machine that is
// busy with other tests.
const readyTime = 60 * time.Second

// Kind is a program to start.
type Kind string

// The kinds of servers.
const (
	MinIO   Kind = "minio"
	Versity Kind = "versitygw"
)

// Kinds are all of them.
func Kinds() []Kind { return []Kind{MinIO, Versity} }

// ErrMissing says that a server's program is not installed.
var ErrMissing = errors.New("not installed: run make test-servers")

// Server is a running object store. Its data outlives Stop, Kill and Start.
// It is used by one goroutine.
type Server struct {
	Kind Kind
	Addr string // host:port

	path string // of the program
	dir  string
	cmd  *exec.Cmd // nil: it does not run
}

// New starts a server that keeps its data below dir, and waits until it
// answers. It must end with Stop or Kill. ErrMissing: there is no such program.
func New(kind Kind, dir string) (*Server, error) {
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	return newAt(addr, kind, dir)
}

func newAt(addr string, kind Kind, dir string) (*Server, error) {
	path, err := program(kind)
	if err != nil {
		return nil, err
	}
	s := &Server{Kind: kind, Addr: addr, path: path, dir: filepath.Join(dir, string(kind))}
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return nil, err
	}
	return s, s.Start()
}

// Installed reports whether a server of the kind can be started; ErrMissing if
// not.
func Installed(kind Kind) error {
	_, err := program(kind)
	return err
}

// Endpoint is the server's URL.
func (s *Server) Endpoint() string { return "http://" + s.Addr }

// Client returns a plain client of the server.
func (s *Server) Client() (*minio.Core, error) {
	return minio.NewCore(s.Addr, &minio.Options{
		Creds:  credentials.NewStaticV4(AccessKey, SecretKey, ""),
		Region: "us-east-1", BucketLookup: minio.BucketLookupPath,
	})
}

// MakeBucket makes a bucket.
func (s *Server) MakeBucket(ctx context.Context, name string) error {
	c, err := s.Client()
	if err != nil {
		return err
	}
	return c.MakeBucket(ctx, name, minio.MakeBucketOptions{})
}

// Start starts the server again after a Stop or Kill, at its old address.
func (s *Server) Start() error {
	var cmd *exec.Cmd
	if s.Kind == MinIO {
		cmd = exec.Command(s.path, "server", "--address", s.Addr, "--quiet", s.dir)
		cmd.Env = []string{"MINIO_ROOT_USER=" + AccessKey, "MINIO_ROOT_PASSWORD=" + SecretKey, "MINIO_BROWSER=off", "MINIO_UPDATE=off"}
	} else {
		cmd = exec.Command(s.path, "--port", s.Addr, "--quiet", "--keep-alive", "posix", s.dir)
		cmd.Env = []string{"ROOT_ACCESS_KEY=" + AccessKey, "ROOT_SECRET_KEY=" + SecretKey}
	}
	cmd.Env = append(cmd.Env, "PATH="+os.Getenv("PATH"), "HOME="+s.dir, "TMPDIR="+os.TempDir())
	output, err := os.OpenFile(s.dir+".log", os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer output.Close() // the process has its own
	cmd.Stdout, cmd.Stderr = output, output
	if err := cmd.Start(); err != nil {
		return err
	}
	s.cmd = cmd
	if err := s.ready(); err != nil {
		s.Kill()
		said, _ := os.ReadFile(s.dir + ".log")
		return fmt.Errorf("%s does not answer: %w\n%s", s.Kind, err, said)
	}
	return nil
}

// ready waits until the server lists its buckets.
func (s *Server) ready() error {
	c, err := s.Client()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), readyTime)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err = c.ListBuckets(ctx); err == nil {
			return nil
		}
		if s.cmd.Process.Signal(syscall.Signal(0)) != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return err
		}
	}
}

// Stop ends the server in order.
func (s *Server) Stop() { s.end(syscall.SIGTERM) }

// Kill ends the server at once.
func (s *Server) Kill() { s.end(syscall.SIGKILL) }

func (s *Server) end(sig syscall.Signal) {
	if s.cmd == nil {
		return
	}
	s.Resume()
	_ = s.cmd.Process.Signal(sig)
	late := time.AfterFunc(10*time.Second, func() { _ = s.cmd.Process.Kill() })
	_ = s.cmd.Wait() // how it ends does not matter
	late.Stop()
	s.cmd = nil
}

// Hang makes the server take connections and never answer, until Resume.
func (s *Server) Hang() { _ = proctest.Suspend(s.cmd.Process) }

// Resume ends a Hang.
func (s *Server) Resume() { _ = proctest.Resume(s.cmd.Process) }

func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// program finds the program of the version that the Makefile names.
func program(kind Kind) (string, error) {
	root, err := checkout()
	if err != nil {
		return "", err
	}
	text, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		return "", err
	}
	variable := map[Kind]string{MinIO: "MINIO_VERSION", Versity: "VERSITYGW_VERSION"}[kind]
	m := regexp.MustCompile(`(?m)^` + variable + ` := (\S+)$`).FindSubmatch(text)
	if m == nil {
		return "", fmt.Errorf("the Makefile has no %s", variable)
	}
	path := filepath.Join(root, ".cache", "bin", string(kind)+"-"+string(m[1]))
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("%s %w", kind, ErrMissing)
	}
	return path, nil
}

// checkout is the folder of the Makefile, from the one that a test runs in upwards.
func checkout() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "Makefile")); err == nil {
			return dir, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", errors.New("no Makefile above the working directory")
		}
		dir = up
	}
}
