// Package proc runs the processes of a benchmark and reads what they use.
package proc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Child is a process that this one has started. It dies with this one, however
// that ends.
type Child struct {
	name  string
	cmd   *exec.Cmd
	ended chan struct{} // closed when it has ended
	err   error         // how; read after ended
	ready chan string   // lines of its standard output that begin with readyMark
	log   *tail
}

const readyMark = "ready "

// Ready prints the line that Child.Addresses waits for. A child calls it when it
// listens.
func Ready(listeners ...net.Listener) {
	addrs := make([]string, len(listeners))
	for i, ln := range listeners {
		addrs[i] = ln.Addr().String()
	}
	fmt.Println(readyMark + strings.Join(addrs, " "))
}

// Start starts cmd. name is for messages. Orphaned is the signal that the kernel
// sends it when this process dies: SIGKILL, unless it has children of its own to
// end first.
func Start(name string, cmd *exec.Cmd, orphaned syscall.Signal) (*Child, error) {
	c := &Child{name: name, cmd: cmd, ended: make(chan struct{}), ready: make(chan string, 1), log: &tail{}}
	cmd.SysProcAttr = dieWithParent(orphaned)
	cmd.Stdout = io.MultiWriter(c.log, &readyWriter{lines: c.ready})
	cmd.Stderr = c.log
	cmd.WaitDelay = 2 * time.Second // a grandchild that holds the pipes must not hold us
	started := make(chan error)
	go func() { // ends with the child; Stop waits for it
		// On Linux a child's parent is the thread that started it: it is told to
		// die when that thread ends, so the thread has to stay.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		c.err = cmd.Wait()
		close(c.ended)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	return c, nil
}

// Addresses returns what the child printed with Ready.
func (c *Child) Addresses(ctx context.Context) ([]string, error) {
	select {
	case line := <-c.ready:
		return strings.Fields(line), nil
	case <-c.ended:
		return nil, c.failure()
	case <-ctx.Done():
		return nil, fmt.Errorf("%s is not ready: %w%s", c.name, context.Cause(ctx), c.log.quote())
	}
}

// Until calls ok every 20 ms until it returns nil, the child ends, or ctx does.
func (c *Child) Until(ctx context.Context, ok func() error) error {
	for {
		err := ok()
		if err == nil {
			return nil
		}
		select {
		case <-c.ended:
			return c.failure()
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w%s", c.name, err, c.log.quote())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Alive returns an error that says how the child ended, nil while it runs.
func (c *Child) Alive() error {
	select {
	case <-c.ended:
		return c.failure()
	default:
		return nil
	}
}

func (c *Child) failure() error {
	return fmt.Errorf("%s ended: %w%s", c.name, errors.Join(errEnded, c.err), c.log.quote())
}

var errEnded = errors.New("unexpectedly")

// Usage is what the child and its own children have used so far.
func (c *Child) Usage() (Usage, error) {
	u, err := usage(c.cmd.Process.Pid)
	if err != nil {
		return u, fmt.Errorf("read usage of %s: %w", c.name, err)
	}
	return u, nil
}

// Stop asks the child to end by SIGTERM, and kills it after grace. It returns
// when the child has ended.
func (c *Child) Stop(grace time.Duration) {
	_ = c.cmd.Process.Signal(syscall.SIGTERM) // it may have ended already
	select {
	case <-c.ended:
		return
	case <-time.After(grace):
	}
	_ = c.cmd.Process.Kill()
	<-c.ended
}

// Usage is what a process has used.
type Usage struct {
	CPU time.Duration // user and system, since its start; in steps of 10 ms
	// RSS is the resident memory now, PeakRSS its maximum since the start, in
	// bytes. Pages shared by a parent and its children count once for each.
	RSS, PeakRSS int64
}

// readyWriter finds the ready line in a child's standard output.
type readyWriter struct {
	lines chan<- string
	part  []byte
	done  bool
}

func (w *readyWriter) Write(p []byte) (int, error) {
	if w.done {
		return len(p), nil
	}
	w.part = append(w.part, p...)
	for {
		line, rest, ok := bytes.Cut(w.part, []byte("\n"))
		if !ok {
			return len(p), nil
		}
		w.part = rest
		if text, ok := bytes.CutPrefix(line, []byte(readyMark)); ok {
			w.lines <- string(text) // one place, one line: never waits
			w.done, w.part = true, nil
			return len(p), nil
		}
	}
}

// tail keeps the last lines of what a child says, for the error that ends it.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

const tailSize = 4 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p...)
	if over := len(t.buf) - tailSize; over > 0 {
		t.buf = append(t.buf[:0], t.buf[over:]...)
	}
	return len(p), nil
}

func (t *tail) quote() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.buf) == 0 {
		return ""
	}
	return "; it said:\n" + strings.TrimSpace(string(t.buf))
}

// FreeAddr returns a loopback address that was free a moment ago, for programs
// that cannot be told to choose one.
func FreeAddr() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	defer ln.Close()
	return ln.Addr().String(), nil
}

// Self returns a command that runs this executable again, as role.
func Self(role string, args ...string) (*exec.Cmd, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find own executable: %w", err)
	}
	return exec.Command(exe, append([]string{role}, args...)...), nil
}
