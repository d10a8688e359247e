package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"time"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/client"
)

func Example() {
	url, stop := exampleServer()
	defer stop()
	ctx := context.Background()
	key := logservice.Key("project/build/stage/step")

	c, err := client.New(url) // "" is http://localhost:8079
	if err != nil {
		log.Fatal(err)
	}
	defer c.CloseIdleConnections()
	if err := c.Open(ctx, key); err != nil {
		log.Fatal(err)
	}
	w := c.Writer(ctx, key)
	fmt.Fprintln(w, "compiling")
	fmt.Fprintln(w, "done")
	if err := w.Close(); err != nil { // every line has been acknowledged
		log.Fatal(err)
	}
	if err := c.Close(ctx, key); err != nil { // ends the log; the server archives it
		log.Fatal(err)
	}
	for line, err := range c.Tail(ctx, key) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Print(line.Seq, " ", line.Out)
	}
	// Output:
	// 1 compiling
	// 2 done
}

func ExampleClient_Tail() {
	url, stop := exampleServer()
	defer stop()
	ctx := context.Background()
	c, err := client.New(url)
	if err != nil {
		log.Fatal(err)
	}
	defer c.CloseIdleConnections()

	for line, err := range c.Tail(ctx, "project/build/stage/none") {
		gap, lost := errors.AsType[*logservice.GapError](err)
		switch {
		case lost: // reading continues
			fmt.Printf("[lines %d to %d are lost]\n", gap.First, gap.Last)
		case errors.Is(err, logservice.ErrStreamNotFound):
			fmt.Println("no such log")
		case err != nil:
			log.Fatal(err)
		default:
			fmt.Print(line.Out)
		}
	}
	// Output: no such log
}

func ExampleClient_Append() {
	url, stop := exampleServer()
	defer stop()
	ctx := context.Background()
	c, err := client.New(url)
	if err != nil {
		log.Fatal(err)
	}
	defer c.CloseIdleConnections()
	if err := c.Open(ctx, "a/b/c/d"); err != nil {
		log.Fatal(err)
	}
	next, err := c.Append(ctx, "a/b/c/d", []logservice.Line{{Level: "info", Out: "hello\n"}})
	fmt.Println(next, err)
	_, err = c.Append(ctx, "a/b/c/d", []logservice.Line{{Level: "info", Out: "too early\n"}}, client.Offset(9))
	if gap, ok := errors.AsType[*logservice.SequenceError](err); ok {
		fmt.Println("go on with line", gap.Expected)
	}
	// Output:
	// 2 <nil>
	// go on with line 2
}

func ExampleClient_Upload() {
	url, stop := exampleServer()
	defer stop()
	ctx := context.Background()
	c, err := client.New(url)
	if err != nil {
		log.Fatal(err)
	}
	defer c.CloseIdleConnections()
	if err := c.Upload(ctx, "a/b/c/d", strings.NewReader("{\"out\":\"hello\\n\"}\n")); err != nil {
		log.Fatal(err)
	}
	body, err := c.Download(ctx, "a/b/c/d")
	if err != nil {
		log.Fatal(err)
	}
	defer body.Close()
	if _, err := io.Copy(os.Stdout, body); err != nil {
		log.Fatal(err)
	}
	// Output: {"out":"hello\n"}
}

func ExampleNewSlogHandler() {
	url, stop := exampleServer()
	defer stop()
	ctx := context.Background()
	c, err := client.New(url)
	if err != nil {
		log.Fatal(err)
	}
	defer c.CloseIdleConnections()
	if err := c.Open(ctx, "a/b/c/d"); err != nil {
		log.Fatal(err)
	}
	w := c.Writer(ctx, "a/b/c/d")
	logger := slog.New(client.NewSlogHandler(w, nil))
	logger.Warn("disk almost full", "free", "2 GB")
	if err := w.Close(); err != nil {
		log.Fatal(err)
	}
	for line, err := range c.Lines(ctx, "a/b/c/d") {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Print(line.Level, ": ", line.Out)
	}
	// Output: warn: disk almost full free="2 GB"
}

func ExampleBestEffort() {
	url, stop := exampleServer()
	defer stop()
	ctx := context.Background()
	c, err := client.New(url)
	if err != nil {
		log.Fatal(err)
	}
	defer c.CloseIdleConnections()
	w := c.Writer(ctx, "a/b/c/d", client.AutoOpen(), client.BestEffort(), client.Mask("hunter2"))

	cmd := exec.Command("echo", "the password is hunter2")
	cmd.Stdout, cmd.Stderr = w, w.Stream()
	err = cmd.Run() // fails only if the command does, whatever happens to the log
	fmt.Println("the command:", err)

	closing, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := w.CloseContext(closing); err != nil {
		fmt.Println("the log is incomplete:", err)
	}
	for line, err := range c.Lines(ctx, "a/b/c/d") {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Print("the log: ", line.Out)
	}
	// Output:
	// the command: <nil>
	// the log: the password is ***
}

func ExampleWithTokenSource() {
	// A token that something else keeps fresh, such as a volume of Kubernetes.
	fromFile := func(context.Context) (string, error) {
		token, err := os.ReadFile("/var/run/secrets/log-service/token")
		return strings.TrimSpace(string(token)), err
	}
	c, err := client.New("https://logs.example.com", client.WithTokenSource(fromFile))
	if err != nil {
		log.Fatal(err)
	}
	defer c.CloseIdleConnections()
}
