package service

import (
	"context"
	"log/slog"
	"time"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
)

// Backlog is what waits to be archived.
type Backlog struct {
	Waiting int // closed streams that are not archived yet
	Failing int // of these, those whose archiving failed and is tried again
}

// Backlog counts the closed ones of infos, which List made. They stay
// readable meanwhile.
func (s *Service) Backlog(infos []logs.Info) (b Backlog) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range infos {
		if !infos[i].Closed {
			continue
		}
		b.Waiting++
		if j := s.jobs[infos[i].ID]; j != nil && j.failing {
			b.Failing++
		}
	}
	return b
}

// failed notes that an attempt of a job failed. The first of an outage is
// told as loud as it is; of those that follow, thousands perhaps, only who
// looks for them hears.
func (s *Service) failed(id logservice.ID, j *job, err error, next time.Duration) {
	s.mu.Lock()
	level := slog.LevelDebug
	if s.failingJobs == 0 {
		level = slog.LevelWarn
	}
	s.failing(j, true)
	if !j.isLate {
		j.isLate = true
		close(j.late)
	}
	s.mu.Unlock()
	s.log.Log(context.Background(), level, "archiving a log failed: its stream is kept, and it is tried again",
		"account", id.Account, "key", id.Key, "error", err, "retry_in", next)
}

// failing notes how the last attempt of a job went. The caller holds mu.
func (s *Service) failing(j *job, failing bool) {
	switch {
	case failing && !j.failing:
		s.failingJobs++
	case !failing && j.failing:
		if s.failingJobs--; s.failingJobs == 0 && !s.stopping {
			s.log.Info("archiving works again")
		}
	}
	j.failing = failing
}
