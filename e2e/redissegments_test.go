package e2e_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"golang.org/x/sync/errgroup"

	"github.com/harness/log-service/internal/stream/redis/redistest"
	"github.com/harness/log-service/internal/stream/streamtest"
)

// TestHalfOffloadedSegmentsSurviveTheDeathOfTheirServer kills the server that is offloading
// a segment of a log to the bucket: before the segment is stored, or after it is
// stored but before the server knows. The log must remain complete, and once it is
// archived no segment may be left.
func TestHalfOffloadedSegmentsSurviveTheDeathOfTheirServer(t *testing.T) {
	t.Parallel()
	logs := streamtest.Scale(1, 2, 6)
	kills := streamtest.Scale(1, 1, 4) // of each kind; from the second on, each waits for the dead server's lease
	limit := hangLimit + time.Duration(logs*kills)*time.Minute
	ctx, cancel := context.WithTimeoutCause(t.Context(), limit, fmt.Errorf("not done within %v", limit))
	defer cancel()
	redis := redistest.Start(t)
	var doors [2]*bucketDoor
	f := newFleetEach(t, program(t), func(f *fleet, i int) []string {
		doors[i] = newBucketDoor(t, f.s3.Endpoint())
		return []string{"LOG_SERVICE_S3_ENDPOINT=" + doors[i].url}
	}, "LOG_SERVICE_REDIS_ENDPOINT="+redis.Addr)
	for i := range logs {
		f.killOffloaders(ctx, fmt.Sprint("segments/", i), kills, doors, i%2 == 0)
	}
	f.awaitNoSegments(ctx)
}

// killOffloaders writes and follows a log, and repeatedly kills the server that is
// offloading its lines. Kills alternate between after a segment is stored and
// before; stored says whether the first one is after.
func (f *fleet) killOffloaders(ctx context.Context, key string, kills int, doors [2]*bucketDoor, stored bool) {
	t := f.t
	t.Helper()
	if err := newWire(f.door.url()).open(ctx, key); err != nil {
		t.Fatal(err)
	}
	work, ctx := errgroup.WithContext(ctx)
	read := newHashing()
	tail := tailer{wire: newWire(f.door.url()), key: key, line: read.line}
	work.Go(func() error { return tail.run(ctx) })
	enough := make(chan struct{})
	var sent *hashing
	work.Go(func() (err error) {
		if sent, err = writeUntil(ctx, newWire(f.door.url()), key, enough); err != nil {
			return err
		}
		return newWire(f.door.url()).close(ctx, key, "snapshot=true")
	})
	for k := range kills {
		caught := make(chan int, len(doors))
		for i, d := range doors {
			d.keep(stored == (k%2 == 0), func() { caught <- i })
		}
		select {
		case i := <-caught:
			f.servers[i].kill()
			for _, d := range doors {
				d.let()
			}
			f.servers[i].start()
		case <-ctx.Done():
			t.Fatalf("%s: no segment is offloaded before kill %d: %v %v", key, k, context.Cause(ctx), work.Wait())
		}
	}
	close(enough)
	if err := work.Wait(); err != nil {
		t.Fatal(err)
	}
	archived, _, err := readArchive(t.Context(), newWire(f.door.url()), key)
	if err != nil {
		t.Fatal(err)
	}
	for name, h := range map[string]*hashing{"the reader": read, "the archive": archived} {
		if h.lines != sent.lines || h.String() != sent.String() {
			t.Errorf("%s: %s has %d lines of SHA-256 %v, sent were %d of %v", key, name, h.lines, h, sent.lines, sent)
		}
	}
	t.Logf("%s: %d lines, %d kills", key, sent.lines, kills)
}

// writeUntil pushes batches until enough is closed.
func writeUntil(ctx context.Context, w *wire, key string, enough <-chan struct{}) (*hashing, error) {
	writer, sent := streamtest.Writer{Name: key, Pad: 60}, newHashing()
	for {
		select {
		case <-enough:
			return sent, nil
		default:
		}
		lines := writer.Lines(200)
		if _, err := w.push(ctx, key, fmt.Sprint("offset=", sent.lines+1), lines); err != nil {
			return nil, err
		}
		for _, l := range lines {
			_ = sent.line(0, []byte(l)) // never fails
		}
	}
}

// segmentsFolder is the prefix of the segments of live logs in a bucket.
const segmentsFolder = ".internal/"

// awaitNoSegments waits until the bucket holds no segment of any log.
func (f *fleet) awaitNoSegments(ctx context.Context) {
	f.t.Helper()
	c, err := f.s3.Client()
	if err != nil {
		f.t.Fatal(err)
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(60 * time.Second)
	for {
		var left []string
		for o := range c.ListObjectsIter(ctx, f.bucket, minio.ListObjectsOptions{Prefix: segmentsFolder, Recursive: true}) {
			if o.Err != nil {
				f.t.Fatal(o.Err)
			}
			left = append(left, o.Key)
		}
		if len(left) == 0 {
			return
		}
		select {
		case <-tick.C:
		case <-limit:
			f.t.Fatalf("no log is live any more, and these segments are left: %v", left)
		}
	}
}

// bucketDoor is a proxy between a server and the bucket. It can catch the next
// segment that is stored: its server then waits for a response that never comes.
type bucketDoor struct {
	url string

	mu     sync.Mutex // guards the fields below
	caught func()     // if nil, everything passes
	stored bool       // whether a caught segment reaches the bucket
}

func newBucketDoor(t *testing.T, endpoint string) *bucketDoor {
	t.Helper()
	to, err := url.Parse(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	d := &bucketDoor{}
	server := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(to)
			r.Out.Host = r.In.Host // covered by the signature
		},
		Transport: d, ErrorLog: log.New(io.Discard, "", 0),
	})
	t.Cleanup(server.Close)
	d.url = server.URL
	return d
}

func (d *bucketDoor) keep(stored bool, caught func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stored, d.caught = stored, caught
}

func (d *bucketDoor) let() { d.keep(false, nil) }

// RoundTrip implements http.RoundTripper.
func (d *bucketDoor) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Method != http.MethodPut || !strings.Contains(req.URL.Path, "/"+segmentsFolder) {
		return http.DefaultTransport.RoundTrip(req)
	}
	d.mu.Lock()
	stored, caught := d.stored, d.caught
	d.caught = nil
	d.mu.Unlock()
	if caught == nil {
		return http.DefaultTransport.RoundTrip(req)
	}
	if stored {
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil || resp.StatusCode != http.StatusOK {
			return resp, err
		}
		_ = resp.Body.Close()
	} else if _, err := io.Copy(io.Discard, req.Body); err != nil { // otherwise a server that dies would go unnoticed
		return nil, err
	}
	caught()
	<-req.Context().Done()
	return nil, req.Context().Err()
}
