// Package client talks to a log service over HTTP. It needs the standard
// library only. With the option of package client/rpc it does the same for
// live logs over gRPC.
//
// A log is named by an account (set once, see WithAccount) and a key such as
// "project/build/stage/step". Its life, as a program sees it:
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
// Errors are those of package logservice, wrapped: test with errors.Is. What
// the server answered is an *Error inside them, with its status, its words and
// its hint. A server that cannot be reached is logservice.ErrUnavailable.
//
// # Retries
//
// Requests are repeated after network errors and after 500, 502, 503 and 504,
// with growing pauses, for as long as Retry allows; never after another
// status. Bodies are rewound; one that cannot be rewound is sent once. All
// calls are safe to repeat: see each for how.
package client
