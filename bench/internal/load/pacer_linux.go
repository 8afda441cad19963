package load

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// pacer ticks. It is a timerfd and not a time.Ticker because the latter's
// instants fall, in an idle process, on whole milliseconds: as much as a hop
// takes.
type pacer struct {
	f   *os.File
	buf [8]byte
}

func newPacer(every time.Duration) (*pacer, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("create timerfd: %w", err)
	}
	f := os.NewFile(uintptr(fd), "timerfd") // non-blocking, so reads go through the runtime's poller
	spec := unix.NsecToTimespec(int64(every))
	if err := unix.TimerfdSettime(fd, 0, &unix.ItimerSpec{Interval: spec, Value: spec}, nil); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("set timerfd to %v: %w", every, err)
	}
	return &pacer{f: f}, nil
}

// wait returns at the next tick, at once when some have passed since the last
// call; how many is for the caller to see on the clock.
func (p *pacer) wait() error {
	_, err := p.f.Read(p.buf[:])
	return err
}

func (p *pacer) close() { _ = p.f.Close() }
