package redis

import "github.com/harness/log-service/internal/logs"

// encodeHow is a Closing as text: the way to archive, then an i for an
// incomplete log.
func encodeHow(how logs.Closing) string {
	s := itoa(int64(how.Archive))
	if how.Incomplete {
		s += "i"
	}
	return s
}

func decodeHow(s string) logs.Closing {
	var how logs.Closing
	if len(s) > 0 {
		how.Archive = logs.Archiving(s[0] - '0')
		how.Incomplete = s[1:] == "i"
	}
	return how
}
