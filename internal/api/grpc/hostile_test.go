package grpcapi_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	grpcgzip "google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"

	grpcapi "github.com/harness/log-service/internal/api/grpc"
	"github.com/harness/log-service/internal/auth"
	"github.com/harness/log-service/internal/logs"
	pb "github.com/harness/log-service/proto/logservice/v1"
)

// rawClient speaks HTTP/2 as no library of gRPC would.
type rawClient struct {
	t      testing.TB
	conn   net.Conn
	framer *http2.Framer
	next   uint32

	write sync.Mutex // one frame at a time

	mu     sync.Mutex // guards what follows
	moved  *sync.Cond
	all    int64            // bytes that may be sent on the connection
	window map[uint32]int64 // the same, by stream
	ended  map[uint32]string
	err    error
}

func (s *testServer) raw() *rawClient {
	s.t.Helper()
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = conn.Close() })
	c := &rawClient{t: s.t, conn: conn, framer: http2.NewFramer(conn, conn), next: 1, all: 65535, window: map[uint32]int64{}, ended: map[uint32]string{}}
	c.moved = sync.NewCond(&c.mu)
	c.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	_, _ = io.WriteString(conn, http2.ClientPreface)
	_ = c.framer.WriteSettings()
	go c.read()
	return c
}

func (c *rawClient) read() {
	for {
		f, err := c.framer.ReadFrame()
		c.mu.Lock()
		switch f := f.(type) {
		case *http2.WindowUpdateFrame:
			if f.StreamID == 0 {
				c.all += int64(f.Increment)
			} else {
				c.window[f.StreamID] += int64(f.Increment)
			}
		case *http2.SettingsFrame:
			if !f.IsAck() {
				c.acknowledge(func() { _ = c.framer.WriteSettingsAck() })
			}
		case *http2.PingFrame:
			data := f.Data
			c.acknowledge(func() { _ = c.framer.WritePing(true, data) })
		case *http2.MetaHeadersFrame:
			for _, h := range f.Fields {
				if h.Name == "grpc-status" {
					c.ended[f.StreamID] = h.Value
				}
			}
		case *http2.RSTStreamFrame:
			if c.ended[f.StreamID] == "" {
				c.ended[f.StreamID] = "reset"
			}
		}
		if err != nil {
			c.err = err
		}
		c.moved.Broadcast()
		c.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// acknowledge answers a frame, when no other is being written.
func (c *rawClient) acknowledge(write func()) {
	go func() {
		c.write.Lock()
		defer c.write.Unlock()
		write()
	}()
}

// call begins a call and returns its stream.
func (c *rawClient) call(method, token string, more ...string) uint32 {
	var block bytes.Buffer
	e := hpack.NewEncoder(&block)
	fields := append([]string{
		":method", "POST", ":scheme", "http", ":path", method, ":authority", "test", "content-type", "application/grpc", "te", "trailers",
	}, more...)
	if token != "" {
		fields = append(fields, "x-harness-token", token)
	}
	for i := 0; i < len(fields); i += 2 {
		_ = e.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	c.write.Lock()
	defer c.write.Unlock()
	c.mu.Lock()
	id := c.next
	c.next += 2
	c.window[id] += 1 << 20 // as the server's settings say
	c.mu.Unlock()
	_ = c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block.Bytes(), EndHeaders: true})
	return id
}

// send sends as much of data as the server takes, until the stream or the
// connection ends; it returns how much that was.
func (c *rawClient) send(id uint32, data []byte) (sent int) {
	for sent < len(data) {
		c.mu.Lock()
		for c.err == nil && c.ended[id] == "" && min(c.all, c.window[id]) <= 0 {
			c.moved.Wait()
		}
		n := int(min(c.all, c.window[id], 16<<10, int64(len(data)-sent)))
		if c.err != nil || c.ended[id] != "" {
			c.mu.Unlock()
			return sent
		}
		c.all -= int64(n)
		c.window[id] -= int64(n)
		c.mu.Unlock()
		c.write.Lock()
		err := c.framer.WriteData(id, false, data[sent:sent+n])
		c.write.Unlock()
		if err != nil {
			return sent
		}
		sent += n
	}
	return sent
}

// status waits until a call has ended, and returns its status, as a number; or
// "closed" for one that its connection took with it.
func (c *rawClient) status(id uint32) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.err == nil && c.ended[id] == "" {
		c.moved.Wait()
	}
	if c.ended[id] == "" {
		return "closed: " + c.err.Error()
	}
	return c.ended[id]
}

// message is the beginning of a message of n bytes: all but its last one.
func message(n int, compressed bool) []byte {
	b := make([]byte, 5+n-1)
	if compressed {
		b[0] = 1
	}
	binary.BigEndian.PutUint32(b[1:], uint32(n))
	return b
}

// peakHeap runs f, and returns by how much the heap was larger meanwhile than
// before, at most.
func peakHeap(f func()) int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	before, peak := int64(m.HeapAlloc), int64(0)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				runtime.ReadMemStats(&m)
				peak = max(peak, int64(m.HeapAlloc)-before)
			case <-stop:
				return
			}
		}
	}()
	f()
	close(stop)
	<-stopped
	return peak
}

func protected(t *testing.T) grpcapi.Config {
	v, err := auth.New(auth.Config{Secret: testSecret})
	if err != nil {
		t.Fatal(err)
	}
	return grpcapi.Config{Auth: v}
}

// A call without a token that works is refused when its headers have come.
func TestNothingOfACallIsKeptBeforeItsTokenIsVerified(t *testing.T) {
	s := startServer(t, protected(t), 1<<20)
	for name, tc := range map[string]struct {
		method, token, want string
	}{
		"no token":                {pb.LogStream_Open_FullMethodName, "", "16"},
		"another server's":        {pb.LogStream_Push_FullMethodName, token(t, "another secret, long enough", auth.Grant{Account: "A", Verbs: auth.Admin}), "7"},
		"a call that is not here": {"/logservice.v1.LogStream/None", "", "12"},
	} {
		var sent atomic.Int64
		large := message(16<<20, false)
		peak := peakHeap(func() {
			var all sync.WaitGroup
			for range 40 {
				all.Go(func() {
					c := s.raw()
					id := c.call(tc.method, tc.token)
					sent.Add(int64(c.send(id, large)))
					if got := c.status(id); got != tc.want {
						t.Errorf("%s: status %s, want %s", name, got, tc.want)
					}
				})
			}
			all.Wait()
		})
		t.Logf("%s: %d MiB sent, the heap grew by %d MiB", name, sent.Load()>>20, peak>>20)
		if peak > 48<<20 {
			t.Errorf("%s: the heap grew by %d MiB", name, peak>>20)
		}
	}
}

// Who has a token makes the server keep its account's share, until the stall,
// and nobody else's.
func TestMessagesThatNeverEndAreBounded(t *testing.T) {
	c := protected(t)
	c.Stall = 3 * time.Second
	s := startServer(t, c, 1<<20)
	flood, other := token(t, testSecret, auth.Grant{Account: "A", Verbs: auth.Admin}), token(t, testSecret, auth.Grant{Account: "B", Verbs: auth.Admin})
	method, large := pb.LogStream_Push_FullMethodName, message(16<<20, false)
	peak := peakHeap(func() {
		var all, full sync.WaitGroup
		for range 40 {
			client := s.raw()
			id := client.call(method, flood)
			full.Add(1)
			all.Go(func() {
				go func() { defer full.Done(); client.send(id, large) }()
				if got := client.status(id); !strings.HasPrefix(got, "closed") {
					t.Errorf("status %s of a call whose message never ends", got)
				}
			})
		}
		for n := range 50 {
			ctx := metadata.AppendToOutgoingContext(s.context(), "x-harness-token", other)
			if _, err := s.Open(ctx, &pb.OpenRequest{Account: "B", Key: fmt.Sprint(n)}); err != nil {
				t.Error("a neighbour:", err)
			}
			stream, err := s.Push(ctx)
			if err == nil {
				err = stream.Send(&pb.PushRequest{Account: "B", Key: fmt.Sprint(n), Lines: bytes.Repeat([]byte(`{"out":"x"}`+"\n"), 20000)})
			}
			if err == nil {
				_, err = stream.Recv()
			}
			if err != nil {
				t.Error("a neighbour's push:", err)
			}
		}
		all.Wait()
		full.Wait()
	})
	t.Logf("the heap grew by %d MiB", peak>>20)
	if peak > 200<<20 {
		t.Errorf("the heap grew by %d MiB", peak>>20)
	}
	eventually(t, func() bool { return s.rpc.Receiving() == 0 })
}

// The only message of a call must come.
func TestACallWhoseMessageNeverComesEnds(t *testing.T) {
	s := startServer(t, protected(t), 1<<20)
	s.rpc.SetTimes(50*time.Millisecond, time.Minute)
	made := token(t, testSecret, auth.Grant{Account: "A", Verbs: auth.Admin})
	c := s.raw()
	for _, method := range []string{pb.LogStream_Open_FullMethodName, pb.LogStream_Tail_FullMethodName, pb.LogStream_Watch_FullMethodName} {
		id := c.call(method, made)
		c.send(id, message(10, false))
		if got := c.status(id); got != "4" && got != "1" && got != "reset" {
			t.Errorf("%s: status %s", method, got)
		}
	}
}

func TestCallsWithoutATokenEnd(t *testing.T) {
	s := startServer(t, protected(t), 1<<20)
	s.rpc.SetTimes(time.Minute, 300*time.Millisecond)
	watch, err := grpc_health_v1.NewHealthClient(s.conn).Watch(s.context(), &grpc_health_v1.HealthCheckRequest{})
	for err == nil {
		_, err = watch.Recv()
	}
	if status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("a watch of the health: %v", err)
	}
	info, err := grpc_reflection_v1.NewServerReflectionClient(s.conn).ServerReflectionInfo(s.context())
	if err == nil {
		_, err = info.Recv()
	}
	if status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("reflection: %v", err)
	}
	s.rpc.SetTimes(time.Minute, time.Minute)
	var open []grpc_health_v1.Health_WatchClient
	for n := range 17 {
		watch, err := grpc_health_v1.NewHealthClient(s.conn).Watch(s.context(), &grpc_health_v1.HealthCheckRequest{})
		if err == nil {
			_, err = watch.Recv()
		}
		if n < 16 && err != nil || n == 16 && status.Code(err) != codes.Unavailable {
			t.Errorf("call %d without a token of one connection: %v", n+1, err)
		}
		open = append(open, watch)
	}
	_ = open
}

// Compressed messages are decompressed within the budget of their account.
func TestCompressedMessages(t *testing.T) {
	s := startServer(t, protected(t), 1<<20)
	made := token(t, testSecret, auth.Grant{Account: "A", Verbs: auth.Admin})
	ctx := metadata.AppendToOutgoingContext(s.context(), "x-harness-token", made)
	if _, err := s.Open(ctx, &pb.OpenRequest{Account: "A", Key: "k"}, grpc.UseCompressor(grpcgzip.Name)); err != nil {
		t.Fatal(err)
	}
	stream, err := s.Push(ctx, grpc.UseCompressor(grpcgzip.Name))
	if err != nil {
		t.Fatal(err)
	}
	sent := int64(0)
	for _, n := range []int{1, 300, 20000, 1, 200000} {
		if err := stream.Send(&pb.PushRequest{Account: "A", Key: "k", Lines: bytes.Repeat([]byte(`{"out":"the line of a build"}`+"\n"), n)}); err != nil {
			t.Fatal(err)
		}
		sent += int64(n)
		if ack, err := stream.Recv(); err != nil || ack.GetNextSequence() != sent+1 {
			t.Fatalf("%d lines: %v, %v", n, ack, err)
		}
	}
	if infos, err := s.service.List(ctx, logs.Filter{Account: "A"}); err != nil || len(infos) != 1 || infos[0].Lines != sent {
		t.Errorf("%+v, %v; want %d lines", infos, err, sent)
	}
	zipped := zip(make([]byte, 64<<20))
	peak := peakHeap(func() {
		var all sync.WaitGroup
		for i := range 200 {
			all.Go(func() {
				c := s.raw()
				method := []string{pb.LogStream_Open_FullMethodName, pb.LogStream_Push_FullMethodName}[i%2]
				id := c.call(method, made, "grpc-encoding", "gzip")
				head := message(len(zipped)+1, true)[:5]
				binary.BigEndian.PutUint32(head[1:], uint32(len(zipped)))
				c.send(id, append(head, zipped...))
				if got := c.status(id); got == "0" {
					t.Errorf("%s is answered", method)
				}
				_ = c.conn.Close()
			})
		}
		all.Wait()
	})
	t.Logf("200 messages of %d KiB that would be 64 MiB each: the heap grew by %d MiB", len(zipped)>>10, peak>>20)
	if peak > 400<<20 {
		t.Errorf("the heap grew by %d MiB", peak>>20)
	}
}

func zip(b []byte) []byte {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	_, _ = z.Write(b)
	_ = z.Close()
	return out.Bytes()
}

func eventually(t *testing.T, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("never")
		}
	}
}

// A message that is too large for its call is refused.
func TestOnlyPushesHaveLargeMessages(t *testing.T) {
	s := startServer(t, grpcapi.Config{}, 1<<20)
	_, err := s.Open(s.context(), &pb.OpenRequest{Account: "A", Key: strings.Repeat("k", 1<<20)})
	if status.Code(err) != codes.Internal || !strings.Contains(err.Error(), "at most 16384") {
		t.Error(err)
	}
	stream, err := s.Push(s.context())
	if err == nil {
		err = stream.Send(&pb.PushRequest{Account: "A", Key: "k", Lines: bytes.Repeat([]byte(`{"out":"x"}`+"\n"), 1e6)})
	}
	if err == nil {
		_, err = stream.Recv()
	}
	if status.Code(err) != codes.NotFound {
		t.Error("a push of 12 MB to a log that is not open:", err)
	}
}
