package load

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// lateBind lets the kernel choose a source port at connect instead of at bind,
// so that a port serves once for each destination and not once at all.
func lateBind(_, _ string, raw syscall.RawConn) error {
	var set error
	err := raw.Control(func(fd uintptr) {
		set = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
	})
	if err != nil {
		return err
	}
	return set
}
