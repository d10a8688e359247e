package redistest

import (
	"os"
	"path/filepath"
)

// appendDir is where a Redis keeps its append-only files.
const appendDir = "appendonlydir"

// Snapshot copies what the server has on disk, with all that it has answered by
// now. Where it is written to meanwhile, the copy may end anywhere in that.
func (s *Server) Snapshot() (dir string) {
	s.t.Helper()
	s.await("aof_buffer_length:0", "INFO", "persistence") // it holds writes back while the disk is slow
	dir = s.t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(s.Dir, appendDir))); err != nil {
		s.t.Fatal(err)
	}
	return dir
}

// RestartFrom kills the server and starts it with what Snapshot copied, or with
// nothing where dir is empty.
func (s *Server) RestartFrom(dir string) {
	s.t.Helper()
	s.Kill()
	files := filepath.Join(s.Dir, appendDir)
	if err := os.RemoveAll(files); err != nil {
		s.t.Fatal(err)
	}
	if dir != "" {
		if err := os.CopyFS(files, os.DirFS(dir)); err != nil {
			s.t.Fatal(err)
		}
	}
	s.Restart()
}
