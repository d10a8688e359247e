package endpoint

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	logservice "github.com/harness/log-service"
)

type encoding uint8

const (
	identity encoding = iota
	gzipEncoded
	zstdEncoded
)

// zstdWindow bounds the memory of one zstd decoder: the window that RFC 8878
// recommends every decoder to support, and the largest that encoders use by
// default.
const zstdWindow = 8 << 20

func encodingOf(r *http.Request) (encoding, error) {
	switch e := strings.ToLower(strings.TrimSpace(r.Header.Get("Content-Encoding"))); e {
	case "", "identity":
		return identity, nil
	case "gzip", "x-gzip":
		return gzipEncoded, nil
	case "zstd":
		return zstdEncoded, nil
	default:
		return 0, &statusError{status: http.StatusUnsupportedMediaType, reason: "unsupported_encoding", name: "Accept-Encoding", value: "gzip, zstd",
			msg: fmt.Sprintf("Content-Encoding %q is not supported: use gzip, zstd or none", e)}
	}
}

// decoders are reused: creating one costs more than a usual body.
type decoders struct{ gzip, zstd sync.Pool }

// open returns a reader of the decoded content of r. Close it once.
func (p *decoders) open(e encoding, r io.Reader) (*decoder, error) {
	d := &decoder{source: source{Reader: r}}
	switch e {
	case gzipEncoded:
		z, _ := p.gzip.Get().(*gzip.Reader)
		if z == nil {
			z = new(gzip.Reader)
		}
		d.z, d.put = z, func() { p.gzip.Put(z) }
		return d, d.explain(z.Reset(&d.source))
	case zstdEncoded:
		z, _ := p.zstd.Get().(*zstd.Decoder)
		if z == nil {
			// Concurrency 1 decodes in the caller, so no goroutine can leak.
			// The options are valid: no error.
			z, _ = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(zstdWindow))
		}
		d.z, d.put = z, func() {
			_ = z.Reset(nil) // releases the request
			p.zstd.Put(z)
		}
		return d, d.explain(z.Reset(&d.source))
	}
	d.z, d.put = &d.source, func() {}
	return d, nil
}

// decoder distinguishes errors of the connection from errors of the encoded bytes.
type decoder struct {
	source source
	z      io.Reader
	put    func()
}

func (d *decoder) Read(p []byte) (int, error) {
	n, err := d.z.Read(p)
	return n, d.explain(err)
}

func (d *decoder) explain(err error) error {
	switch {
	case err == nil, errors.Is(err, io.EOF):
		return err
	case d.source.err != nil:
		return d.source.err
	}
	return logservice.Invalidf("the body does not match its Content-Encoding: %v", err)
}

func (d *decoder) Close() { d.put() }

// source records why the encoded bytes ended early.
type source struct {
	io.Reader
	err error
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

// connectionError translates an error of reading a request.
func connectionError(err error) error {
	switch {
	case err == nil, errors.Is(err, io.EOF):
		return err
	case errors.Is(err, logservice.ErrInvalid), errors.Is(err, logservice.ErrForbidden):
		return err // of a decoder, or because the token was revoked
	case errors.Is(err, os.ErrDeadlineExceeded):
		return &statusError{status: http.StatusRequestTimeout, reason: "timeout", msg: "the body came too slowly", cause: err}
	}
	return fmt.Errorf("read body: %w (%v)", io.ErrUnexpectedEOF, err)
}
