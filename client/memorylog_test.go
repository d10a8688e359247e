package client

import (
	"compress/gzip"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	logservice "github.com/harness/log-service"
)

// memoryLog is one stream with the rules of appending, for tests that need the
// clock of testing/synctest, under which no real server can run.
type memoryLog struct {
	legacy bool // ignores offsets

	mu    sync.Mutex // guards the fields below
	lines []logservice.Line
	at    []time.Time // arrival time of each line
	puts  []request
}

func (m *memoryLog) put(r request) (*http.Response, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.puts = append(m.puts, r)
	body := io.Reader(strings.NewReader(r.Body))
	if r.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(body)
		if err != nil {
			return refused(400, err.Error())
		}
		body = z
	}
	var lines []logservice.Line
	if err := json.NewDecoder(body).Decode(&lines); err != nil {
		return refused(400, err.Error())
	}
	if m.legacy {
		m.lines = append(m.lines, lines...)
		return answered(204, "")
	}
	q, _ := url.ParseQuery(r.Query)
	next := int64(len(m.lines)) + 1
	offset, err := strconv.ParseInt(q.Get("offset"), 10, 64)
	if err != nil {
		offset = next
	}
	if offset > next {
		return refused(409, "gap", logservice.HeaderNextSequence, strconv.FormatInt(next, 10))
	}
	for _, l := range lines[min(int64(len(lines)), next-offset):] {
		m.lines = append(m.lines, l)
		m.at = append(m.at, time.Now())
	}
	return answered(204, "", logservice.HeaderNextSequence, strconv.Itoa(len(m.lines)+1))
}

func (m *memoryLog) texts() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []string
	for _, l := range m.lines {
		all = append(all, l.Out)
	}
	return all
}

func memoryAnswer(m *memoryLog) func(int, request) (*http.Response, error) {
	return func(_ int, r request) (*http.Response, error) { return m.put(r) }
}
