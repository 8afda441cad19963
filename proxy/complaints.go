package proxy

import (
	"log/slog"
	"sync"
	"time"
)

// complaints logs what may repeat with every request: each message at most once
// in complaintEvery, with the number of times it was left out.
type complaints struct {
	log *slog.Logger

	mu   sync.Mutex
	last map[string]*complaint // by message, which is constant: bounded
}

type complaint struct {
	at      time.Time
	dropped int
}

const complaintEvery = 10 * time.Second

func newComplaints(log *slog.Logger) *complaints {
	return &complaints{log: log, last: map[string]*complaint{}}
}

func (c *complaints) warn(message string, args ...any) {
	if n, due := c.due(message, time.Now()); due {
		//nolint:sloglint // message and keys are constant at every caller; only the throttle stands between
		c.log.Warn(message, append(args, "dropped", n)...)
	}
}

// due reports whether message may be logged now, and how often it was not since
// it last was.
func (c *complaints) due(message string, now time.Time) (dropped int, due bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	last, ok := c.last[message]
	switch {
	case !ok:
		c.last[message] = &complaint{at: now}
		return 0, true
	case now.Sub(last.at) < complaintEvery:
		last.dropped++
		return 0, false
	}
	dropped = last.dropped
	*last = complaint{at: now}
	return dropped, true
}
