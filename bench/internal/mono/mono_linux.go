// Package mono reads one clock from several processes of one machine.
package mono

import "golang.org/x/sys/unix"

// Now returns nanoseconds of CLOCK_MONOTONIC. It has no zero point worth naming,
// never jumps, and is the same clock in every process of the machine, so that a
// difference between two processes' readings is a duration.
func Now() int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		panic("BUG: CLOCK_MONOTONIC cannot be read: " + err.Error())
	}
	return ts.Nano()
}
