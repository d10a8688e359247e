package conformance_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"sync"

	"google.golang.org/grpc"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/client"
	"github.com/harness/log-service/client/rpc"
	"github.com/harness/log-service/internal/logs"
)

// remote presents a server as a stream engine, through package client, over HTTP or
// gRPC depending on its address. Each account has its own client.
type remote struct {
	url  string
	grpc *grpc.ClientConn // for cursors, if the address is grpc

	mu      sync.Mutex // guards clients
	clients map[string]*client.Client
}

var _ logs.Streams = (*remote)(nil)

func newRemote(url string) *remote { return &remote{url: url, clients: map[string]*client.Client{}} }

func (r *remote) client(account string) (*client.Client, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c := r.clients[account]; c != nil {
		return c, nil
	}
	c, err := client.New(r.url, client.WithAccount(account), rpc.Transport(), client.WithHTTPClient(&http.Client{
		Transport: stateNotifier{&http.Transport{MaxIdleConnsPerHost: 64}},
	}))
	if err == nil {
		r.clients[account] = c
	}
	return c, err
}

// done closes idle connections.
func (r *remote) done() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.clients {
		c.CloseIdleConnections()
	}
	if r.grpc != nil {
		_ = r.grpc.Close()
	}
}

func (r *remote) Open(ctx context.Context, id logservice.ID, o logs.OpenOptions) error {
	c, err := r.client(id.Account)
	if err != nil {
		return err
	}
	var opts []client.OpenOption
	if o.TTL > 0 {
		opts = append(opts, client.TTL(o.TTL))
	}
	if o.Truncate {
		opts = append(opts, client.Truncate())
	}
	return c.Open(ctx, id.Key, opts...)
}

// Append sends an odd number of lines as JSON lines, an even one as an array.
func (r *remote) Append(ctx context.Context, id logservice.ID, l logs.Lines) (int64, error) {
	c, err := r.client(id.Account)
	if err != nil {
		return 0, err
	}
	var opts []client.AppendOption
	if l.Offset > 0 {
		opts = append(opts, client.Offset(l.Offset))
	}
	if l.Count%2 == 1 {
		return c.AppendBody(ctx, id.Key, client.NDJSON, l.Data, opts...)
	}
	rows := bytes.Split(bytes.TrimSuffix(l.Data, []byte("\n")), []byte("\n"))
	array := append(append([]byte("["), bytes.Join(rows, []byte(",\n"))...), ']')
	return c.AppendBody(ctx, id.Key, client.JSON, array, opts...)
}

func (r *remote) Close(ctx context.Context, id logservice.ID, how logs.Closing) error {
	c, err := r.client(id.Account)
	if err != nil {
		return err
	}
	var opts []client.CloseOption
	if how.Archive != logs.ArchiveIfMissing {
		opts = append(opts, client.Snapshot(how.Archive == logs.ArchiveAlways))
	}
	return c.Close(ctx, id.Key, opts...)
}

// Delete is only done by a service on its own behalf.
func (r *remote) Delete(context.Context, logservice.ID) error { return logservice.ErrUnsupported }

// Stat, Due and Claim are between a service and its engine.
func (r *remote) Stat(context.Context, logservice.ID) (logs.Info, error) {
	return logs.Info{}, logservice.ErrUnsupported
}

func (r *remote) Due(context.Context) ([]logs.Info, error) { return nil, logservice.ErrUnsupported }

func (r *remote) Claim(context.Context, logservice.ID) (logs.Claim, error) {
	return nil, logservice.ErrUnsupported
}

func (r *remote) Take(context.Context, logservice.ID) (logs.Claim, error) {
	return nil, logservice.ErrUnsupported
}

func (r *remote) List(ctx context.Context, f logs.Filter) ([]logs.Info, error) {
	c, err := r.client(f.Account)
	if err != nil {
		return nil, err
	}
	var opts []client.InfoOption
	if f.Prefix != "" {
		opts = append(opts, client.Under(f.Prefix))
	}
	all, err := c.Info(ctx, opts...)
	var infos []logs.Info
	for _, s := range all {
		infos = append(infos, logs.Info{
			ID:    logservice.ID{Account: f.Account, Key: s.Key},
			Lines: s.Lines, Bytes: s.Bytes, Subscribers: s.Subscribers, TTL: s.TTL,
		})
	}
	return infos, err
}

// Follow returns once the server has responded, so that the cursor is in place.
func (r *remote) Follow(ctx context.Context, id logservice.ID, after int64) (logs.Cursor, error) {
	if r.grpc != nil {
		return r.followGRPC(ctx, id, after)
	}
	c, err := r.client(id.Account)
	if err != nil {
		return nil, err
	}
	states := make(chan string, 1)
	ctx, cancel := context.WithCancel(context.WithValue(context.WithoutCancel(ctx), stateKey{}, states))
	cur := &remoteCursor{cancel: cancel, done: make(chan struct{}), ready: make(chan struct{}), space: make(chan struct{})}
	go cur.read(ctx, c, id.Key, after)
	select {
	case state := <-states:
		if state != logservice.StateUnknown {
			return cur, nil
		}
		<-cur.done
	case <-cur.done:
	}
	cur.Close()
	return nil, cur.err
}

// remoteCursor is a tail whose lines are queued in memory for Next.
type remoteCursor struct {
	cancel context.CancelFunc
	done   chan struct{} // read has returned

	mu    sync.Mutex // guards the fields below
	queue []*logs.Batch
	size  int           // bytes in queue
	err   error         // after the queue; io.EOF at the end of the log
	ready chan struct{} // closed while there is something for Next
	space chan struct{} // closed when Next has freed some
}

// maxQueue limits the bytes queued for Next, as one Next of an engine is limited.
const maxQueue = 256 << 10

func (c *remoteCursor) read(ctx context.Context, from *client.Client, key logservice.Key, after int64) {
	defer close(c.done)
	for raw, err := range from.TailRaw(ctx, key, client.After(after)) {
		b := &logs.Batch{First: raw.Seq, Count: 1, Data: append(bytes.Clone(raw.JSON), '\n')}
		if gap, ok := errors.AsType[*logservice.GapError](err); ok {
			b = logs.NewGap(gap.First, gap.Last-gap.First+1)
		} else if err != nil {
			c.end(err)
			return
		}
		if !c.put(ctx, b) {
			return
		}
	}
	c.end(io.EOF)
}

// put blocks while the queue is full.
func (c *remoteCursor) put(ctx context.Context, b *logs.Batch) bool {
	c.mu.Lock()
	for c.size >= maxQueue {
		space := c.space
		c.mu.Unlock()
		select {
		case <-space:
		case <-ctx.Done():
			return false
		}
		c.mu.Lock()
	}
	defer c.mu.Unlock()
	c.queue = append(c.queue, b)
	c.size += len(b.Data)
	c.wake()
	return true
}

func (c *remoteCursor) end(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err = err
	c.wake()
}

// The caller of wake holds mu.
func (c *remoteCursor) wake() {
	select {
	case <-c.ready:
	default:
		close(c.ready)
	}
}

func (c *remoteCursor) Next(context.Context) ([]*logs.Batch, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.queue) == 0 {
		return nil, c.err
	}
	bs := c.queue
	c.queue, c.size = nil, 0
	if c.err == nil {
		c.ready = make(chan struct{})
	}
	close(c.space)
	c.space = make(chan struct{})
	return bs, nil
}

func (c *remoteCursor) Ready() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ready
}

func (c *remoteCursor) Close() {
	c.cancel()
	<-c.done
}

// stateKey is the context key of the channel that receives the state of a tailed
// log.
type stateKey struct{}

// stateNotifier reports when the server has answered a tail.
type stateNotifier struct{ *http.Transport }

func (t stateNotifier) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := t.Transport.RoundTrip(r)
	if states, ok := r.Context().Value(stateKey{}).(chan string); ok && err == nil && resp.StatusCode == http.StatusOK {
		select {
		case states <- resp.Header.Get(logservice.HeaderState):
		default: // a reconnection
		}
	}
	return resp, err
}
