package proc

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The test binary is its own child: what it is to be stands in its first
// argument.
func TestMain(m *testing.M) {
	role := ""
	if len(os.Args) > 1 {
		role = os.Args[1]
	}
	switch role {
	case "sleeper":
		fmt.Println("this is not the line")
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			panic(err)
		}
		Ready(ln)
		select {}
	case "parent":
		cmd, err := Self("sleeper")
		if err != nil {
			panic(err)
		}
		c, err := Start("sleeper", cmd, syscall.SIGKILL)
		if err != nil {
			panic(err)
		}
		fmt.Printf("%s%d\n", readyMark, c.cmd.Process.Pid)
		select {}
	case "burner":
		memory := make([]byte, 64<<20)
		for i := range memory {
			memory[i] = 1
		}
		for start := time.Now(); time.Since(start) < 300*time.Millisecond; {
			memory[len(memory)/2]++
		}
		fmt.Println(readyMark + strconv.Itoa(int(memory[0])))
		select {}
	case "quitter":
		fmt.Fprintln(os.Stderr, "I have had enough")
		os.Exit(3)
	default:
		os.Exit(m.Run())
	}
}

func start(t *testing.T, role string) (*Child, []string) {
	t.Helper()
	cmd, err := Self(role)
	if err != nil {
		t.Fatal(err)
	}
	c, err := Start(role, cmd, syscall.SIGKILL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Stop(time.Second) })
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	words, err := c.Addresses(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return c, words
}

func TestChildSaysWhereItListens(t *testing.T) {
	t.Parallel()
	c, addrs := start(t, "sleeper")
	if len(addrs) != 1 {
		t.Fatalf("addresses %v", addrs)
	}
	conn, err := net.Dial("tcp", addrs[0])
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
	if err := c.Alive(); err != nil {
		t.Error(err)
	}
	c.Stop(time.Second)
	if err := c.Alive(); !errors.Is(err, errEnded) {
		t.Errorf("after Stop: %v", err)
	}
}

// kill -9 of the parent, which can no longer clean up, ends the child too.
func TestChildDiesWithItsParent(t *testing.T) {
	t.Parallel()
	parent, words := start(t, "parent")
	stat := "/proc/" + words[0] + "/stat"
	if _, err := os.Stat(stat); err != nil {
		t.Fatalf("the child does not run: %v", err)
	}
	if err := parent.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(10 * time.Second)
	for {
		text, err := os.ReadFile(stat)
		// A zombie, where nobody collects orphans, is dead as well.
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) || strings.Contains(string(text), ") Z ") {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the child has outlived its parent by 10 s")
		}
		time.Sleep(time.Millisecond)
	}
}

func TestUsageSeesProcessorAndMemory(t *testing.T) {
	t.Parallel()
	c, _ := start(t, "burner")
	u, err := c.Usage()
	if err != nil {
		t.Fatal(err)
	}
	if u.CPU < 100*time.Millisecond || u.CPU > 20*time.Second {
		t.Errorf("CPU %v, want at least what 300 ms of spinning took", u.CPU)
	}
	if u.RSS < 64<<20 || u.PeakRSS < u.RSS || u.RSS > 1<<30 {
		t.Errorf("RSS %d, peak %d; want at least the 64 MiB in use", u.RSS, u.PeakRSS)
	}
}

// What a process uses includes its children: nginx works in them.
func TestUsageIncludesGrandchildren(t *testing.T) {
	t.Parallel()
	parent, words := start(t, "parent")
	pid, err := strconv.Atoi(words[0])
	if err != nil {
		t.Fatal(err)
	}
	both, err := parent.Usage()
	if err != nil {
		t.Fatal(err)
	}
	alone, err := usageOf(pid)
	if err != nil {
		t.Fatal(err)
	}
	if both.RSS <= alone.RSS {
		t.Errorf("parent and child have %d bytes, the child alone %d", both.RSS, alone.RSS)
	}
}

func TestChildThatEndsIsQuoted(t *testing.T) {
	t.Parallel()
	cmd, err := Self("quitter")
	if err != nil {
		t.Fatal(err)
	}
	c, err := Start("quitter", cmd, syscall.SIGKILL)
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Addresses(t.Context())
	if err == nil || !strings.Contains(err.Error(), "exit status 3") || !strings.Contains(err.Error(), "I have had enough") {
		t.Errorf("error %v; want status and last words", err)
	}
}

// A child that has spun and ended is in the machine's time and in our own part.
func TestMachinewideKnowsOwnPart(t *testing.T) {
	allBefore, ownBefore, err := Machinewide()
	if err != nil {
		t.Fatal(err)
	}
	c, _ := start(t, "burner")
	c.Stop(time.Second)
	all, own, err := Machinewide()
	if err != nil {
		t.Fatal(err)
	}
	all, own = all-allBefore, own-ownBefore
	// The machine counts per tick, a process by the nanosecond: they agree to a
	// few hundredths of a second.
	if own < 100*time.Millisecond || all < own/2 {
		t.Errorf("all %v, own %v; want own to hold the child's 300 ms of spinning, and all to hold own", all, own)
	}
}
