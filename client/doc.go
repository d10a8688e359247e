// Package client is a client of the log service over HTTP. It depends on the
// standard library only. Package client/rpc adds gRPC for live logs.
//
// A log is named by an account (set once, see WithAccount) and a key such as
// "project/build/stage/step". The life of a log, as seen by a program:
//
//	c, err := client.New("http://localhost:8079")
//	err = c.Open(ctx, key)
//	w := c.Writer(ctx, key)            // an io.Writer; batches, retries, loses nothing silently
//	err = cmd.Run()                    // with cmd.Stdout = w
//	err = w.Close()                    // waits until every line is acknowledged
//	err = c.Close(ctx, key)            // ends the log; the server archives it
//
//	for line, err := range c.Tail(ctx, key) { ... }  // live or archived, resumes exactly
//
// # Errors
//
// Errors wrap those of package logservice: test them with errors.Is. If the
// server rejected the request, an *Error in the chain has the status, message
// and hint. A server that cannot be reached is logservice.ErrUnavailable.
//
// # Retries
//
// Requests are retried with growing pauses after network errors and after
// statuses 500, 502, 503 and 504, for as long as Retry allows. Other statuses are
// final. Bodies are rewound for each attempt; a body that cannot be rewound is
// sent once. Every call is safe to retry; its documentation says how.
package client
