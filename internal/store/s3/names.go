package s3

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"
	"unicode/utf8"

	logservice "github.com/harness/log-service"
)

// The name of a log's object is
//
//	<prefix>/<account>/<key>!.log
//
// with three bytes of the key escaped:
//
//	space  !0        so that ! ends a segment nowhere else,
//	!      !1        and sorts before everything that may follow
//	\      ]!-       which MinIO treats as a slash when it checks for ".."
//
// and for a later attempt of the log than the first
//
//	<prefix>/<account>/<key>!.<attempt>.log
//
// So names are injective; they sort like the keys; and none is a folder of
// another, which MinIO and file systems could not store: "a!.log" is beside
// "a/b!.log". An account contains no slash, and neither account nor key has a
// segment ".." (see package logservice), so no key escapes its account.
//
// Object names are limited to 1024 bytes, and MinIO's segments to 255. A key
// that does not fit is shortened, and identified by a hash:
//
//	<prefix>/<account>/<start of the key>!~<hash>.log
//	<prefix>/<account>/<start of the key>!~<hash>.<attempt>.log
//
// The whole key is then in the object's metadata.
const (
	keyMark  = "!"
	cutMark  = "!~"
	nameEnd  = ".log"
	indexEnd = "!.index" // in place of nameEnd: the index of an object, if its metadata has no space

	maxSegment = 200       // bytes of a segment: 255 minus the longest suffix
	maxName    = 970       // bytes of a name: 1024 minus the longest suffix
	maxPrefix  = 200       // of a store's prefix, so that most of a name is left for the key
	hashBytes  = 16        // of SHA-256: collisions cannot be found
	maxAttempt = 1<<32 - 1 // ten digits
)

var escaper = strings.NewReplacer(" ", "!0", "!", "!1", `\`, "]!-")
var unescaper = strings.NewReplacer("!0", " ", "!1", "!", "]!-", `\`)

// names are the object names below a prefix, which is empty or ends in /.
type names struct{ prefix string }

// of returns the name of the object of an attempt of id, and whether its key
// had to be shortened.
func (n names) of(id logservice.ID, attempt int64) (name string, cut bool) {
	stem, cut := n.stem(id)
	if attempt > 1 {
		stem += strconv.FormatInt(attempt, 10)
		return stem + nameEnd, cut
	}
	return stem[:len(stem)-1] + nameEnd, cut
}

// stem is what the names of all attempts of id start with, and no others; it
// ends in a dot.
func (n names) stem(id logservice.ID) (stem string, cut bool) {
	folder, key := n.account(id.Account), escaper.Replace(string(id.Key))
	short := fitting(key, maxName-len(folder))
	if len(short) == len(key) {
		return folder + key + keyMark + ".", false
	}
	return folder + short + cutMark + hash(string(id.Key)) + ".", true
}

// account returns the prefix of all names of an account, and of no others.
func (n names) account(account string) string {
	escaped := escaper.Replace(account)
	if short := fitting(escaped, maxSegment); len(short) < len(escaped) {
		escaped = short + cutMark + hash(account)
	}
	return n.prefix + escaped + "/"
}

func hash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:hashBytes])
}

// starting returns a prefix of the names of all keys that start with start, and
// perhaps of others.
func (n names) starting(account, start string) string {
	folder := n.account(account)
	return folder + fitting(escaper.Replace(start), maxName-len(folder))
}

// fitting returns the longest start of key, escaped, that fits in space bytes
// of a name. A prefix of a key is shortened at the same place as the key.
func fitting(key string, space int) string {
	segment := 0
	for i := range len(key) {
		if segment++; key[i] == '/' {
			segment = 0
		}
		if segment > maxSegment || i >= space {
			for !utf8.RuneStart(key[i]) {
				i--
			}
			return key[:i]
		}
	}
	return key
}

// entryName is what the name of a log's object says.
type entryName struct {
	key     logservice.Key // empty if it is shortened: the metadata has it
	attempt int64
}

// parse parses a name below folder; ok is false if it is not the name of a
// log's object.
func parse(folder, name string) (e entryName, ok bool) {
	rest, ok := strings.CutPrefix(name, folder)
	if !ok {
		return e, false
	}
	if rest, ok = strings.CutSuffix(rest, nameEnd); !ok {
		return e, false
	}
	e.attempt = 1
	if i := strings.LastIndexByte(rest, '.'); i >= 0 {
		digits := rest[i+1:]
		n, err := strconv.ParseInt(digits, 10, 64)
		if err == nil && n > 1 && n <= maxAttempt && strconv.FormatInt(n, 10) == digits {
			rest, e.attempt = rest[:i], n
		}
	}
	if escaped, ok := strings.CutSuffix(rest, keyMark); ok {
		k, err := logservice.ParseKey(unescaper.Replace(escaped))
		e.key = k
		// Others may store objects here whose names only look like ours.
		return e, err == nil && escaper.Replace(string(k)) == escaped
	}
	i := strings.LastIndex(rest, cutMark)
	return e, i >= 0 && len(rest)-i == len(cutMark)+2*hashBytes
}

// indexOf returns the name of the index that belongs to a log's object.
func indexOf(name string) string {
	return strings.TrimSuffix(strings.TrimSuffix(name, nameEnd), keyMark) + indexEnd
}
