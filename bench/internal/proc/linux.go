//go:build linux

package proc

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// dieWithParent makes the kernel send a signal to the child when this process ends,
// also by kill -9.
func dieWithParent(orphaned syscall.Signal) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: orphaned}
}

// userHZ is the unit of the times in /proc/PID/stat. It is 100 on every Linux
// that Go runs on, whatever the kernel's own clock.
const userHZ = 100

// usage sums a process and all its descendants.
func usage(pid int) (Usage, error) {
	parents, err := processes()
	if err != nil {
		return Usage{}, err
	}
	total, err := usageOf(pid)
	if err != nil {
		return Usage{}, err
	}
	for _, child := range descendants(parents, pid) {
		u, err := usageOf(child)
		if err != nil {
			continue // it ended meanwhile
		}
		total.CPU += u.CPU
		total.RSS += u.RSS
		total.PeakRSS += u.PeakRSS
	}
	return total, nil
}

// processes maps each process to its parent.
func processes() (map[int]int, error) {
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil, err
	}
	parents := make(map[int]int, len(dirs))
	for _, dir := range dirs {
		fields, err := stat(filepath.Base(dir))
		if err != nil {
			continue // it ended meanwhile
		}
		pid, _ := strconv.Atoi(filepath.Base(dir)) // the pattern begins with a digit; a stranger is pid 0
		parents[pid], _ = strconv.Atoi(fields[1])
	}
	return parents, nil
}

func descendants(parents map[int]int, pid int) []int {
	var found []int
	for child, parent := range parents {
		if parent == pid {
			found = append(append(found, child), descendants(parents, child)...)
		}
	}
	return found
}

// stat returns the fields of /proc/PID/stat from the state on; the name before
// may contain anything.
func stat(pid string) ([]string, error) {
	text, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		return nil, err
	}
	end := bytes.LastIndexByte(text, ')')
	fields := strings.Fields(string(text[end+1:]))
	if len(fields) < 15 {
		return nil, fmt.Errorf("/proc/%s/stat has %d fields after the name", pid, len(fields))
	}
	return fields, nil
}

func usageOf(pid int) (Usage, error) {
	fields, err := stat(strconv.Itoa(pid))
	if err != nil {
		return Usage{}, err
	}
	cpu, err := ticks(fields[11], fields[12]) // user, system
	if err != nil {
		return Usage{}, err
	}
	u := Usage{CPU: cpu}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return Usage{}, err
	}
	for line := range strings.Lines(string(status)) {
		name, value, _ := strings.Cut(line, ":")
		switch name {
		case "VmRSS":
			u.RSS, err = kilobytes(value)
		case "VmHWM":
			u.PeakRSS, err = kilobytes(value)
		}
		if err != nil {
			return Usage{}, fmt.Errorf("/proc/%d/status: %w", pid, err)
		}
	}
	return u, nil
}

func kilobytes(value string) (int64, error) {
	n, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
	return n << 10, err
}

// Machinewide is the processor time that the whole machine has spent on
// processes since it started, and the part of it that went to this process and
// to its children that have ended. Time that a hypervisor took away counts as
// spent on others.
func Machinewide() (all, own time.Duration, err error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, 0, err
	}
	first, _, _ := strings.Cut(string(text), "\n")
	// cpu user nice system idle iowait irq softirq steal
	fields := strings.Fields(first)
	if len(fields) < 9 {
		return 0, 0, fmt.Errorf("/proc/stat has %d fields in its first line", len(fields))
	}
	if all, err = ticks(fields[1], fields[2], fields[3], fields[8]); err != nil {
		return 0, 0, fmt.Errorf("/proc/stat: %w", err)
	}
	self, err := stat(strconv.Itoa(os.Getpid()))
	if err != nil {
		return 0, 0, err
	}
	own, err = ticks(self[11:15]...) // user, system, and both of ended children
	return all, own, err
}

// ticks sums times in userHZ.
func ticks(fields ...string) (time.Duration, error) {
	var sum time.Duration
	for _, field := range fields {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, err
		}
		sum += time.Duration(n) * (time.Second / userHZ)
	}
	return sum, nil
}

// RaiseFiles raises the limit of open files as far as it goes, up to want, for
// this process and its children, and returns the limit that holds then.
func RaiseFiles(want uint64) (uint64, error) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0, fmt.Errorf("read RLIMIT_NOFILE: %w", err)
	}
	if limit.Max < want { // only a privileged process may
		_ = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: want, Max: want})
	}
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0, fmt.Errorf("read RLIMIT_NOFILE: %w", err)
	}
	limit.Cur = limit.Max
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0, fmt.Errorf("raise RLIMIT_NOFILE to %d: %w", limit.Max, err)
	}
	return limit.Cur, nil
}

// Machine describes where the benchmark ran.
func Machine() (cpu, kernel string) {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err == nil {
		for line := range strings.Lines(string(text)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				cpu = strings.TrimSpace(value)
				break
			}
		}
	}
	if text, err = os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		kernel = strings.TrimSpace(string(text))
	}
	return cpu, kernel
}
