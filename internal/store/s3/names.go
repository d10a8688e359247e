package s3

import (
	"crypto/sha256"
	"encoding/hex"
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
// So names are injective; they sort like the keys; and none is a folder of
// another, which MinIO and file systems could not store: "a!.log" is beside
// "a/b!.log". An account contains no slash, and neither account nor key has a
// segment ".." (see package logservice), so no key escapes its account.
//
// Object names are limited to 1024 bytes, and MinIO's segments to 255. A key
// that does not fit is shortened, and identified by a hash:
//
//	<prefix>/<account>/<start of the key>!~<hash>.log
//
// The whole key is then in the object's metadata.
const (
	keyEnd   = "!.log"
	indexEnd = "!.index" // the index of keyEnd's object, if its metadata has no space
	cutMark  = "!~"
	cutEnd   = ".log"

	maxSegment = 200 // bytes of a segment: 255 minus the longest suffix
	maxName    = 970 // bytes of a name: 1024 minus the longest suffix
	maxPrefix  = 200 // of a store's prefix, so that most of a name is left for the key
	hashBytes  = 16  // of SHA-256: collisions cannot be found
)

var escaper = strings.NewReplacer(" ", "!0", "!", "!1", `\`, "]!-")
var unescaper = strings.NewReplacer("!0", " ", "!1", "!", "]!-", `\`)

// names are the object names below a prefix, which is empty or ends in /.
type names struct{ prefix string }

// of returns the name of id's object, and whether its key had to be shortened.
func (n names) of(id logservice.ID) (name string, cut bool) {
	folder, key := n.account(id.Account), escaper.Replace(string(id.Key))
	short := fitting(key, maxName-len(folder))
	if len(short) == len(key) {
		return folder + key + keyEnd, false
	}
	return folder + short + cutMark + hash(string(id.Key)) + cutEnd, true
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

// under returns a prefix of the names of all keys below prefix, and perhaps of
// others.
func (n names) under(account string, prefix logservice.Key) string {
	folder := n.account(account)
	if prefix == "" {
		return folder
	}
	return folder + fitting(escaper.Replace(string(prefix))+"/", maxName-len(folder))
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

// key parses the key from a name below folder. ok is false if it is not the
// name of a log's object; a shortened key cannot be parsed from its name.
func key(folder, name string) (k logservice.Key, cut, ok bool) {
	rest, ok := strings.CutPrefix(name, folder)
	if !ok {
		return "", false, false
	}
	if escaped, ok := strings.CutSuffix(rest, keyEnd); ok {
		k, err := logservice.ParseKey(unescaper.Replace(escaped))
		// Others may store objects here whose names only look like ours.
		return k, false, err == nil && escaper.Replace(string(k)) == escaped
	}
	i := strings.LastIndex(rest, cutMark)
	return "", true, i >= 0 && strings.HasSuffix(rest, cutEnd) && len(rest)-i == len(cutMark)+2*hashBytes+len(cutEnd)
}

// indexOf returns the name of the index that belongs to a log's object.
func indexOf(name string) string {
	return strings.TrimSuffix(strings.TrimSuffix(name, keyEnd), cutEnd) + indexEnd
}
