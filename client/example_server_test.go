package client_test

import (
	"bufio"
	"errors"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

// exampleFolder is where the examples have their program and its data.
var exampleFolder = sync.OnceValue(func() string {
	dir, err := os.MkdirTemp("", "log-service-example-")
	if err != nil {
		log.Fatal(err)
	}
	return dir
})

// exampleProgram is the server that the examples use. They start the program
// rather than import it: programs that use the client must not need what the
// server needs, and their go.mod would also list what these tests import.
var exampleProgram = sync.OnceValue(func() string {
	path := filepath.Join(exampleFolder(), "log-service.exe")
	cmd := exec.Command("go", "build", "-o", path, "../cmd/log-service")
	if out, err := cmd.CombinedOutput(); err != nil {
		log.Fatalf("%v: %v\n%s", cmd.Args, err, out)
	}
	return path
})

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(status int) {
		if err := os.RemoveAll(exampleFolder()); err != nil {
			log.Print(err)
		}
		os.Exit(status)
	}))
}

// exampleServer starts a server for an example. Tests of programs use package
// clienttest.
func exampleServer() (url string, stop func()) {
	cmd := exec.Command(exampleProgram(), "server")
	dir, err := os.MkdirTemp(exampleFolder(), "server-")
	if err != nil {
		log.Fatal(err)
	}
	cmd.Dir = dir // no .env of anybody
	cmd.Env = append(os.Environ(), "LOG_SERVICE_DATA="+dir, "LOG_SERVICE_HTTP_BIND=127.0.0.1:0", "LOG_SERVICE_GRPC_BIND=127.0.0.1:0")
	out, err := cmd.StderrPipe()
	if err != nil {
		log.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		log.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if _, url, ok := strings.Cut(lines.Text(), " listens on "); ok {
			return url, func() {
				if err := errors.Join(cmd.Process.Kill(), ended(cmd.Wait())); err != nil {
					log.Fatal(err)
				}
			}
		}
	}
	log.Fatalf("the server does not listen: %v", cmd.Wait())
	return "", nil
}

// ended drops what Wait says of a process that was killed.
func ended(err error) error {
	if errors.As(err, new(*exec.ExitError)) {
		return nil
	}
	return err
}
