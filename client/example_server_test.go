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

// exampleFolder holds the examples' server program and its data.
var exampleFolder = sync.OnceValue(func() string {
	dir, err := os.MkdirTemp("", "log-service-example-")
	if err != nil {
		log.Fatal(err)
	}
	return dir
})

// exampleProgram is the server that the examples use. They start a program rather
// than import the server, so that importers of the client do not need the server's
// dependencies, and their go.mod does not list what these tests import.
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
// clienttest instead.
func exampleServer() (url string, stop func()) {
	cmd := exec.Command(exampleProgram(), "server")
	dir, err := os.MkdirTemp(exampleFolder(), "server-")
	if err != nil {
		log.Fatal(err)
	}
	cmd.Dir = dir // away from any .env file
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

// ended ignores the error that Wait returns for a killed program.
func ended(err error) error {
	if errors.As(err, new(*exec.ExitError)) {
		return nil
	}
	return err
}
