package e2e

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pursestring/pursestring/internal/budget"
)

// pursestring builds pursestring once for all tests of the package.
var pursestring = sync.OnceValues(func() (string, error) {
	path := filepath.Join(buildDir, "pursestring")
	out, err := exec.Command("go", "build", "-o", path, "github.com/pursestring/pursestring/cmd/pursestring").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build pursestring: %w\n%s", err, out)
	}
	return path, nil
})

var buildDir string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "pursestring-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		os.Exit(1)
	}
	buildDir = dir
	code := m.Run()
	if err := os.RemoveAll(dir); err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
	}
	os.Exit(code)
}

// sidecar is one running `pursestring serve`.
type sidecar struct {
	url   string // data plane
	admin string
	token string // platform_admin
}

// sidecarSettings is what tests vary; the zero value is an enforcing sidecar with
// the defaults.
type sidecarSettings struct {
	mode     string // enforce.mode; empty: enforce
	upstream string // in place of the LiteLLM's own address
}

// startSidecar runs the binary in front of l until the test ends, and fails the
// test when the process does not end cleanly then.
func startSidecar(t *testing.T, l liteLLM, s sidecarSettings) *sidecar {
	t.Helper()
	path, err := pursestring()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	token := rand.Text()
	config := map[string]any{
		"proxy":   map[string]any{"listen": "127.0.0.1:0", "upstream": or(s.upstream, l.url)},
		"admin":   map[string]any{"listen": "127.0.0.1:0", "tokens": []any{map[string]any{"name": "e2e", "role": "platform_admin", "sha256": hashOf(token)}}},
		"litellm": map[string]any{"url": l.url, "master_key": l.master},
		"store":   map[string]any{"url": "sqlite:" + filepath.Join(dir, "pursestring.db")},
		"enforce": map[string]any{"mode": or(s.mode, "enforce")},
		"log":     map[string]any{"format": "json"},
	}
	// JSON is YAML.
	encoded, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "pursestring.yaml")
	if err := os.WriteFile(file, encoded, 0o600); err != nil {
		t.Fatal(err)
	}

	// Not t.Context(): it ends before the cleanup that stops the process in order.
	cmd := exec.CommandContext(context.Background(), path, "serve", "--config", file)
	cmd.Dir = dir
	// Settings come from the file alone, whatever the tests themselves are told.
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "PURSESTRING_") })
	log := &logBuffer{}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatalf("start pursestring: %v", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		stop(t, cmd, ended)
		if t.Failed() {
			t.Logf("pursestring's log:\n%s", tail(log.bytes(), 60))
		}
	})

	sc := &sidecar{token: token}
	eventually(t, 20*time.Second, "pursestring is ready", func() (string, bool) {
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("pursestring ended at start: %v\n%s", err, tail(log.bytes(), 40))
		default:
		}
		proxy, admin, ok := log.addresses()
		sc.url, sc.admin = "http://"+proxy, "http://"+admin
		return string(tail(log.bytes(), 1)), ok
	})
	if _, status := call(t, http.MethodGet, sc.admin+"/readyz", "", nil); status != http.StatusOK {
		t.Fatalf("pursestring says that it is ready, /readyz says %d", status)
	}
	return sc
}

// stop asks the process to end and insists that it does so with status 0.
func stop(t *testing.T, cmd *exec.Cmd, ended <-chan error) {
	t.Helper()
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("stop pursestring: %v", err)
	}
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("pursestring ended with %v", err)
		}
	case <-time.After(30 * time.Second):
		_ = cmd.Process.Kill()
		<-ended
		t.Error("pursestring did not end within 30 s of SIGTERM")
	}
}

// call asks the admin API and decodes the answer, which must have a 2xx status.
func (s *sidecar) call(t *testing.T, method, path string, body, into any) {
	t.Helper()
	answer, status := call(t, method, s.admin+path, s.token, body)
	if status < 200 || status > 299 {
		t.Fatalf("admin API: %s %s: status %d: %s", method, path, status, answer)
	}
	if into == nil {
		return
	}
	if err := json.Unmarshal(answer, into); err != nil {
		t.Fatalf("admin API: %s %s: %v in %s", method, path, err, answer)
	}
}

// tenantStatus is the part of GET /admin/tenants/{id}/status that tests read.
type tenantStatus struct {
	State    string       `json:"state"`
	Spend    budget.Money `json:"spend_usd"`
	Held     budget.Money `json:"held_usd"`
	Limit    budget.Money `json:"limit_usd"`
	Block    budget.Money `json:"block_usd"`
	ResetsAt *time.Time   `json:"resets_at"`
}

// status returns a tenant's account; false when there is no such tenant.
func (s *sidecar) status(t *testing.T, tenant string) (tenantStatus, bool) {
	t.Helper()
	answer, code := call(t, http.MethodGet, s.admin+"/admin/tenants/"+tenant+"/status", s.token, nil)
	var st tenantStatus
	switch code {
	case http.StatusNotFound:
		return st, false
	case http.StatusOK:
	default:
		t.Fatalf("admin API: status of %s: status %d: %s", tenant, code, answer)
	}
	if err := json.Unmarshal(answer, &st); err != nil {
		t.Fatalf("admin API: status of %s: %v in %s", tenant, err, answer)
	}
	return st, true
}

// settled waits until the tenant is known, has spent at least the given amount
// and has nothing in flight, and returns its spend. What a key spends before its
// tenant is known arrives a little later.
func (s *sidecar) settled(t *testing.T, tenant string, least budget.Money) budget.Money {
	t.Helper()
	var spend budget.Money
	eventually(t, 10*time.Second, "the spend of "+tenant+" reaches "+usd(least), func() (string, bool) {
		st, known := s.status(t, tenant)
		spend = st.Spend
		return fmt.Sprintf("known %t, spent %s, held %s", known, usd(st.Spend), usd(st.Held)), (known || least == 0) && st.Spend >= least && st.Held == 0
	})
	return spend
}

// decisions returns how many decisions the sidecar has made, by verdict.
func (s *sidecar) decisions(t *testing.T) map[string]int {
	t.Helper()
	answer, code := call(t, http.MethodGet, s.admin+"/metrics", s.token, nil)
	if code != http.StatusOK {
		t.Fatalf("metrics: status %d: %s", code, answer)
	}
	counts := map[string]int{}
	lines := bufio.NewScanner(bytes.NewReader(answer))
	for lines.Scan() {
		line := lines.Text()
		_, verdict, ok := strings.Cut(line, `verdict="`)
		if !ok || !strings.HasPrefix(line, "pursestring_decisions_total{") {
			continue
		}
		verdict, _, _ = strings.Cut(verdict, `"`)
		n, err := strconv.ParseFloat(line[strings.LastIndexByte(line, ' ')+1:], 64)
		if err != nil {
			t.Fatalf("metrics: %q: %v", line, err)
		}
		counts[verdict] += int(n)
	}
	return counts
}

// logBuffer keeps a process's log and can be read while it grows.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) bytes() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Clone(l.b.Bytes())
}

// addresses are those that the process says it listens on, once it is ready.
func (l *logBuffer) addresses() (proxy, admin string, ok bool) {
	for line := range bytes.Lines(l.bytes()) {
		var entry struct {
			Msg   string `json:"msg"`
			Proxy string `json:"proxy"`
			Admin string `json:"admin"`
		}
		if json.Unmarshal(line, &entry) == nil && entry.Msg == "ready" {
			return entry.Proxy, entry.Admin, true
		}
	}
	return "", "", false
}

func tail(b []byte, lines int) []byte {
	all := slices.Collect(bytes.Lines(b))
	return bytes.Join(all[max(0, len(all)-lines):], nil)
}

func or(s, fallback string) string {
	if s != "" {
		return s
	}
	return fallback
}
