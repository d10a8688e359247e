// Command log-service is the log service: the server, and the commands that talk to
// it. log-service and log-server are one program under two names.
package main

import (
	"os"

	"github.com/harness/log-service/internal/cli"
)

func main() { os.Exit(cli.Main()) }
