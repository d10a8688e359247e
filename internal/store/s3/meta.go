package s3

import (
	"encoding/base64"
	"strconv"

	"github.com/minio/minio-go/v7"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
)

// Metadata of a blob, stored as user metadata (x-amz-meta-…) of its object.
// Objects uploaded by others have none.
const (
	metaArchive    = "Log-Archive"    // zstd or ndjson: this service archived it
	metaRawSize    = "Log-Raw-Size"   // BlobInfo.RawSize
	metaLines      = "Log-Lines"      // BlobInfo.Lines
	metaIncomplete = "Log-Incomplete" // true
	metaStreamed   = "Log-Streamed"   // true
	metaIndex      = "Log-Index"      // the index, in base64
	metaIndexID    = "Log-Index-Id"   // of an index in an object of its own
	metaKey        = "Log-Key"        // the key, in base64, if the name is shortened
	contentType    = "text/plain; charset=utf-8"
	archiveZstd    = "zstd"
	archiveLines   = "ndjson"
	maxMeta        = 1900 // of the 2 KB of user metadata that S3 allows, names included
)

// metadata returns the metadata of a blob. Its key is set if its name is
// shortened.
func metadata(info logs.BlobInfo, cut logservice.Key) map[string]string {
	m := map[string]string{}
	if cut != "" {
		m[metaKey] = base64.StdEncoding.EncodeToString([]byte(cut))
	}
	if info.Archive {
		m[metaArchive] = archiveZstd
		if info.Plain {
			m[metaArchive] = archiveLines
		}
	}
	if info.RawSize > 0 {
		m[metaRawSize] = strconv.FormatInt(info.RawSize, 10)
	}
	if info.Lines > 0 {
		m[metaLines] = strconv.FormatInt(info.Lines, 10)
	}
	if info.Incomplete {
		m[metaIncomplete] = "true"
	}
	if info.Streamed {
		m[metaStreamed] = "true"
	}
	return m
}

// addIndex adds the index to the metadata, if it fits.
func addIndex(m map[string]string, index []byte) bool {
	size := len(metaIndex) + base64.StdEncoding.EncodedLen(len(index))
	for k, v := range m {
		size += len(k) + len(v)
	}
	if size > maxMeta {
		return false
	}
	m[metaIndex] = base64.StdEncoding.EncodeToString(index)
	return true
}

// infoOf reads the metadata of an object. Invalid numbers are treated as
// unknown.
func infoOf(o minio.ObjectInfo) logs.BlobInfo {
	m := o.UserMetadata
	number := func(name string) int64 {
		n, err := strconv.ParseInt(m[name], 10, 64)
		if err != nil || n < 0 {
			return 0
		}
		return n
	}
	return logs.BlobInfo{
		Size:       o.Size,
		Modified:   o.LastModified,
		Archive:    m[metaArchive] == archiveZstd || m[metaArchive] == archiveLines,
		Plain:      m[metaArchive] == archiveLines,
		RawSize:    number(metaRawSize),
		Lines:      number(metaLines),
		Incomplete: m[metaIncomplete] == "true",
		Streamed:   m[metaStreamed] == "true",
	}
}

// keyOf reads the key of an object whose name is shortened.
func keyOf(o minio.ObjectInfo) (logservice.Key, error) {
	key, err := base64.StdEncoding.DecodeString(o.UserMetadata[metaKey])
	if err != nil {
		return "", err
	}
	return logservice.ParseKey(string(key))
}
