package load

import (
	"context"
	"sync"
	"time"
)

// Closed keeps clients calls in flight, each client on one keep-alive
// connection, for the given time or until ctx ends.
func Closed(ctx context.Context, addr string, request []byte, clients int, length time.Duration) *Result {
	result := &Result{}
	ctx, cancel := context.WithTimeout(ctx, length)
	defer cancel()
	start := time.Now()
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() { closedClient(ctx, addr, request, result) })
	}
	wg.Wait()
	result.Elapsed = time.Since(start)
	return result
}

// answerGrace is how long an answer may still take when no more calls are begun.
const answerGrace = 5 * time.Second

// closedClient makes calls one after the other. A call that has been sent when
// the time is up is still read and counted, since the server still pays for it.
func closedClient(ctx context.Context, addr string, request []byte, result *Result) {
	var c *conn
	defer func() {
		if c != nil {
			c.vanish()
		}
	}()
	deadline, _ := ctx.Deadline()
	for ctx.Err() == nil {
		if c == nil {
			var err error
			if c, err = dial(ctx, addr, "", 8<<10); err != nil {
				if time.Now().Before(deadline) { // else it was the run's end that cut the dialling short
					result.fail(err)
					pause(ctx, 10*time.Millisecond) // a server that is gone must not be dialled in a spin
				}
				continue
			}
			_ = c.SetDeadline(deadline.Add(answerGrace)) // a connection just made takes a deadline
		}
		start := time.Now()
		answer, reusable, err := c.exchange(request)
		if err != nil {
			result.fail(err)
		} else {
			result.take(answer, time.Since(start))
		}
		if !reusable {
			c.vanish()
			c = nil
		}
	}
}

// exchange sends one call and reads its answer.
func (c *conn) exchange(request []byte) (Answer, bool, error) {
	if _, err := c.Write(request); err != nil {
		return Answer{}, false, err
	}
	return c.receive()
}

// pause waits for d or for ctx's end.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
