package load

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
)

// Target is a server to measure.
type Target struct {
	Addr    netip.AddrPort
	Grpc    netip.AddrPort // its address for gRPC; zero: unknown
	Pid     int            // 0: unknown, its CPU and memory are not measured
	Dir     string         // its data folder, "" unknown
	Service bool           // the real server, not a reference
}

// Host is the Host header of requests to t.
func (t *Target) Host() string { return t.Addr.String() }

// Call is one request on a connection of its own.
func (t *Target) Call(ctx context.Context, method, path string) ([]byte, error) {
	c, err := Dial(ctx, t)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return c.call(method, path)
}

// Open opens a live log.
func (t *Target) Open(ctx context.Context, key string) error {
	_, err := t.Call(ctx, "POST", StreamPath(key))
	return err
}

// Drop ends a stream and discards its lines.
func (t *Target) Drop(ctx context.Context, key string) error {
	_, err := t.Call(ctx, "DELETE", StreamPath(key)+"&snapshot=false")
	return err
}

// Archived reports whether a blob exists.
func (t *Target) Archived(ctx context.Context, key string) (bool, error) {
	b, err := t.Call(ctx, "GET", "/blob/exists?accountID="+Account+"&key="+url.QueryEscape(key))
	return strings.TrimSpace(string(b)) == "true", err
}

// Sizes are the lines of each open stream.
func (t *Target) Sizes(ctx context.Context) (map[string]int64, error) {
	b, err := t.Call(ctx, "GET", "/stream/info?accountID="+Account)
	if err != nil {
		return nil, err
	}
	var info struct {
		Streams map[string]struct{ Size int64 }
	}
	if err := json.Unmarshal(b, &info); err != nil {
		return nil, fmt.Errorf("info: %w", err)
	}
	sizes := map[string]int64{}
	for key, s := range info.Streams {
		sizes[key] = s.Size
	}
	return sizes, nil
}
