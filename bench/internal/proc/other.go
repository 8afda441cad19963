//go:build !linux

package proc

import (
	"errors"
	"syscall"
	"time"
)

var errLinuxOnly = errors.New("the benchmark reads /proc, which only Linux has: run it there, or in a container")

func dieWithParent(syscall.Signal) *syscall.SysProcAttr { return nil }

func usage(int) (Usage, error) { return Usage{}, errLinuxOnly }

// Machinewide cannot be told here.
func Machinewide() (all, own time.Duration, err error) { return 0, 0, errLinuxOnly }

// RaiseFiles is not needed where the benchmark does not run.
func RaiseFiles(uint64) (uint64, error) { return 0, errLinuxOnly }

// Machine describes where the benchmark ran.
func Machine() (cpu, kernel string) { return "", "" }
