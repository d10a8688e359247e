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
// with three bytes of the key written in another way:
//
//	space  !0        so that ! ends a segment in no other place,
//	!      !1        and sorts before all that may follow
//	\      ]!-       which MinIO takes for a slash when it looks for ".."
//
// So names are injective; they sort as the keys do; and none is a folder of
// another, which MinIO and file systems could not hold: "a!.log" stands
// beside "a/b!.log". An account holds no slash, and neither account nor key has
// a segment ".." (see package logservice), so no key leads out of its account.
//
// Object names end at 1024 bytes, and MinIO's segments at 255. A key that
// does not fit is cut, and tells itself apart by a hash:
//
//	<prefix>/<account>/<begin of the key>!~<hash>.log
//
// The whole key is then in the object's metadata.
const (
	keyEnd   = "!.log"
	indexEnd = "!.index" // the index of keyEnd's object, where its metadata has no room
	cutMark  = "!~"
	cutEnd   = ".log"

	maxSegment = 200 // bytes of a segment, less than 255 by what is put behind
	maxName    = 970 // bytes of a name, less than 1024 by the same
	maxPrefix  = 200 // of a store's prefix, so that most of a name is the key's
	hashBytes  = 16  // of SHA-256: nobody finds two keys of the same
)

var escaper = strings.NewReplacer(" ", "!0", "!", "!1", `\`, "]!-")
var unescaper = strings.NewReplacer("!0", " ", "!1", "!", "]!-", `\`)

// names are the object names below a prefix, which is empty or ends in /.
type names struct{ prefix string }

// of returns the name of id's object, and whether its key had to be cut.
func (n names) of(id logservice.ID) (name string, cut bool) {
	folder, key := n.account(id.Account), escaper.Replace(string(id.Key))
	short := fitting(key, maxName-len(folder))
	if len(short) == len(key) {
		return folder + key + keyEnd, false
	}
	return folder + short + cutMark + hash(string(id.Key)) + cutEnd, true
}

// account returns what begins every name of an account, and of no other.
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

// under returns what begins the names of all keys below prefix, and perhaps
// of others.
func (n names) under(account string, prefix logservice.Key) string {
	folder := n.account(account)
	if prefix == "" {
		return folder
	}
	return folder + fitting(escaper.Replace(string(prefix))+"/", maxName-len(folder))
}

// fitting returns the longest begin of key, escaped, that fits a name. What
// one key begins with, it is cut like the other.
func fitting(key string, room int) string {
	segment := 0
	for i := range len(key) {
		if segment++; key[i] == '/' {
			segment = 0
		}
		if segment > maxSegment || i >= room {
			for !utf8.RuneStart(key[i]) {
				i--
			}
			return key[:i]
		}
	}
	return key
}

// key reads the key out of a name below folder. What is no log's object is
// not ok; a cut key is not known from its name.
func key(folder, name string) (k logservice.Key, cut, ok bool) {
	rest, ok := strings.CutPrefix(name, folder)
	if !ok {
		return "", false, false
	}
	if escaped, ok := strings.CutSuffix(rest, keyEnd); ok {
		k, err := logservice.ParseKey(unescaper.Replace(escaped))
		// Others may put objects here whose names only look like ours.
		return k, false, err == nil && escaper.Replace(string(k)) == escaped
	}
	i := strings.LastIndex(rest, cutMark)
	return "", true, i >= 0 && strings.HasSuffix(rest, cutEnd) && len(rest)-i == len(cutMark)+2*hashBytes+len(cutEnd)
}

// indexOf returns the name of the index that belongs to a log's object.
func indexOf(name string) string {
	return strings.TrimSuffix(strings.TrimSuffix(name, keyEnd), cutEnd) + indexEnd
}
