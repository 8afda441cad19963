package store

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pursestring/pursestring/internal/budget"
)

// child is what the test binary does when it plays another process.
func child(task, path string) int {
	ctx := context.Background()
	db, err := Open(ctx, "sqlite:"+path, Options{})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	switch task {
	case "migrate":
		steps, err := db.MigrateUp(ctx)
		if err == nil {
			err = db.CheckSchema(ctx)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		fmt.Println(len(steps))
	case "hold": // the migration lock, until killed
		if _, err := db.lockMigrations(ctx); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		fmt.Println("held")
		select {}
	}
	return 0
}

func childCommand(t *testing.T, task, path string) *exec.Cmd {
	t.Helper()
	c := exec.CommandContext(t.Context(), os.Args[0])
	c.Env = append(os.Environ(), childTask+"="+task+":"+path)
	c.Stderr = os.Stderr
	return c
}

func TestProcessesMigrateAtOnce(t *testing.T) {
	t.Parallel()
	path := t.TempDir() + "/store.db"
	const processes = 4
	steps := make([]int, processes)
	var running sync.WaitGroup
	for i := range processes {
		running.Go(func() {
			out, err := childCommand(t, "migrate", path).Output()
			if err != nil {
				t.Errorf("process %d: %v", i, err)
				return
			}
			steps[i], err = strconv.Atoi(strings.TrimSpace(string(out)))
			if err != nil {
				t.Error(err)
			}
		})
	}
	running.Wait()
	total := 0
	for _, n := range steps {
		total += n
	}
	if total != 2 {
		t.Errorf("together they took %d steps (%v), want each of the 2 once", total, steps)
	}
}

func TestHandlesMigrateAtOnce(t *testing.T) {
	t.Parallel()
	for range 5 {
		url := "sqlite:" + t.TempDir() + "/store.db"
		var running sync.WaitGroup
		var total atomic.Int64
		start := make(chan struct{})
		for range 6 {
			db := openRaw(t, url)
			running.Go(func() {
				<-start
				steps, err := db.MigrateUp(t.Context())
				if err != nil {
					t.Error(err)
				}
				total.Add(int64(len(steps)))
			})
		}
		close(start)
		running.Wait()
		if total.Load() != 2 {
			t.Errorf("together they took %d steps, want each of the 2 once", total.Load())
		}
	}
}

// Two processes on one file: writes wait for each other instead of failing.
func TestHandlesWriteAtOnce(t *testing.T) {
	t.Parallel()
	url := "sqlite:" + t.TempDir() + "/store.db"
	handles := []*DB{openMigrated(t, url), openRaw(t, url)}
	n := newTenant(t, "acme", "a")
	n.Rule.Period, n.Window = mustPeriod(t, "1h"), budget.Window{}
	if _, err := handles[0].CreateTenant(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	const windows = 50
	var rolled atomic.Int64
	var running sync.WaitGroup
	for _, db := range handles {
		for range 2 {
			running.Go(func() {
				for i := 1; i <= windows; i++ {
					_, won, err := db.RollWindow(t.Context(), "acme", t0.Add(time.Duration(i)*time.Hour))
					if err != nil {
						t.Error(err)
						return
					}
					if won {
						rolled.Add(1)
					}
				}
			})
		}
	}
	running.Wait()
	if resets := len(audits(t, handles[0], "acme")) - 1; int64(resets) != rolled.Load() {
		t.Errorf("%d rolled a window, %d audit rows say so", rolled.Load(), resets)
	}
	if r := mustRecord(t, handles[1], "acme", t0); r.Window.Number != windows+1 {
		t.Errorf("window %d, want %d", r.Window.Number, windows+1)
	}
}

func TestMigrationLockDiesWithItsProcess(t *testing.T) {
	t.Parallel()
	path := t.TempDir() + "/store.db"
	holder := childCommand(t, "hold", path)
	out, err := holder.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "held\n" {
		t.Fatalf("%q, %v", line, err)
	}
	db := openRaw(t, "sqlite:"+path)

	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	began := time.Now()
	if _, err := db.MigrateUp(short); err == nil {
		t.Error("migrated while another process held the lock")
	}
	if waited := time.Since(began); waited > 5*time.Second {
		t.Errorf("waited %s for the lock, long after the context had ended", waited)
	}

	if err := holder.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = holder.Wait() // killed
	if steps, err := db.MigrateUp(t.Context()); err != nil || len(steps) != 2 {
		t.Errorf("after its death: %d steps, %v", len(steps), err)
	}
}
