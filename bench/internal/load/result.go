package load

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pursestring/pursestring/bench/internal/hist"
)

// Result is what one run of calls gave. It is complete when the run's function
// has returned.
type Result struct {
	// Calls that were answered with 200 and a whole body.
	Calls atomic.Int64
	// Errors are all others: other statuses, broken answers, calls without one.
	Errors atomic.Int64
	// Body bytes of good answers.
	Body atomic.Int64
	// Elapsed is the time in which calls were started, or for Closed the time
	// until the last answer.
	Elapsed time.Duration
	// Total is from when the call was due (Open) or sent (Closed) to the last
	// byte of its answer.
	Total hist.Hist
	// Hop is Total without the time that the upstream itself took.
	Hop hist.Hist
	// Late is how long after it was due Open sent a call because of the
	// generator, not of the server: its own error of measurement.
	Late hist.Hist

	mu    sync.Mutex
	first error
}

// fail counts an error and keeps the first one's words.
func (r *Result) fail(err error) {
	r.Errors.Add(1)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.first == nil {
		r.first = err
	}
}

// FirstError is the first error of the run, nil when there was none.
func (r *Result) FirstError() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.first
}

// take counts an answer that took total.
func (r *Result) take(a Answer, total time.Duration) {
	if a.Status != 200 {
		r.fail(fmt.Errorf("status %d", a.Status))
		return
	}
	r.Calls.Add(1)
	r.Body.Add(a.Body)
	r.Total.Record(total)
	r.Hop.Record(total - a.Service)
}

// Rate is the number of good calls per second.
func (r *Result) Rate() float64 {
	if r.Elapsed <= 0 {
		return 0
	}
	return float64(r.Calls.Load()) / r.Elapsed.Seconds()
}
