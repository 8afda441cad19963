package main

import (
	"bufio"
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"
	"testing"
	"time"
)

// beMain makes the test binary behave as pursestring, so that exit codes and
// signals are tested on a process of its own.
const beMain = "PURSESTRING_TEST_BE_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(beMain) != "" {
		_ = os.Unsetenv(beMain)
		main()
		return
	}
	os.Exit(m.Run())
}

// command returns pursestring with arguments, in a folder of its own and with no
// environment but what is given.
func command(t *testing.T, dir string, env []string, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, args...)
	cmd.Dir = dir
	cmd.Env = append([]string{beMain + "=1"}, env...)
	return cmd
}

func TestExitCodes(t *testing.T) {
	t.Parallel()
	bad := "enforce:\n  mode: of\n  defaults:\n    grace_threshold: 160\n"
	tests := []struct {
		sentence string
		file     string // pursestring.yaml; "": none
		env      []string
		args     []string
		code     int
		says     []string
	}{
		{"a good configuration", "enforce: {mode: shadow}", nil, []string{"check-config"}, 0, []string{"good", "pursestring.yaml"}},
		{"no configuration at all", "", nil, []string{"check-config"}, 0, []string{"defaults"}},
		{"every problem of the file in the working folder", bad, nil, []string{"check-config"}, 2, []string{
			`enforce.mode: "of" is not one of enforce, shadow (pursestring.yaml:2)`,
			"enforce.defaults.grace_threshold: 160 is outside 100–150 (pursestring.yaml:4)",
		}},
		{"serve with a bad configuration", bad, nil, []string{"serve"}, 2, []string{"enforce.mode"}},
		{"a bad flag's value", "", nil, []string{"check-config", "--set", "log.level=loud"}, 2, []string{"log.level", "--set"}},
		{"a bad plane", "", nil, []string{"check-config", "--plane", "both"}, 2, []string{"plane"}},
		{"a file that is not there", "", nil, []string{"check-config", "--config", "none.yaml"}, 2, []string{"none.yaml"}},
		{"a misspelt variable warns", "", []string{"PURSESTRING_LOG_LEVL=info"}, []string{"check-config"}, 0, []string{"warning", "PURSESTRING_LOG_LEVEL?"}},
		{"an unknown command", "", nil, []string{"sevre"}, 2, []string{"sevre", "--help"}},
		{"an unknown flag", "", nil, []string{"serve", "--prot"}, 2, []string{"--prot", "--help"}},
		{"an argument where none belongs", "", nil, []string{"version", "x"}, 2, []string{`"x"`}},
		{"a store that cannot be opened", "", nil, []string{"migrate", "status", "--set", "store.url=sqlite:none/x.db"}, 1, []string{"none/x.db"}},
		{"the version", "", nil, []string{"version"}, 0, []string{"pursestring "}},
		{"help", "", nil, nil, 0, []string{"check-config", "Exit codes"}},
	}
	for _, tt := range tests {
		t.Run(tt.sentence, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if tt.file != "" {
				if err := os.WriteFile(filepath.Join(dir, "pursestring.yaml"), []byte(tt.file), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			cmd := command(t, dir, tt.env, tt.args...)
			out, _ := cmd.CombinedOutput()
			if code := cmd.ProcessState.ExitCode(); code != tt.code {
				t.Errorf("exit code %d, want %d", code, tt.code)
			}
			for _, text := range tt.says {
				if !bytes.Contains(out, []byte(text)) {
					t.Errorf("does not say %q:\n%s", text, out)
				}
			}
		})
	}
}

func TestMigrateCommands(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, step := range []struct{ args, says string }{
		{"migrate status", "not applied"},
		{"migrate up", "applied 1"},
		{"migrate up", "nothing to do"},
		{"migrate status", "applied 2"},
		{"migrate down", "undone"},
	} {
		out, err := command(t, dir, nil, strings.Fields(step.args)...).CombinedOutput()
		if err != nil || !strings.Contains(string(out), step.says) {
			t.Errorf("%s: %v, want %q in\n%s", step.args, err, step.says, out)
		}
	}
}

// TestStopsOnSIGTERM starts a process and ends it as Kubernetes does.
func TestStopsOnSIGTERM(t *testing.T) {
	t.Parallel()
	cmd := command(t, t.TempDir(), nil, "serve",
		"--set", "proxy.listen=127.0.0.1:0", "--set", "admin.listen=127.0.0.1:0", "--set", "ops.listen=127.0.0.1:0",
		"--set", "proxy.upstream=http://127.0.0.1:1", "--set", "log.format=json")
	logged, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill := time.AfterFunc(30*time.Second, func() { _ = cmd.Process.Kill() })
	defer kill.Stop()
	var stopped []string
	var all strings.Builder
	for lines := bufio.NewScanner(logged); lines.Scan(); {
		line := lines.Text()
		all.WriteString(line + "\n")
		if strings.Contains(line, `"msg":"ready"`) {
			if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
		}
		if _, rest, ok := strings.Cut(line, `"msg":"part stopped","part":"`); ok {
			name, _, _ := strings.Cut(rest, `"`)
			stopped = append(stopped, name)
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("ends with %v, want exit code 0", err)
	}
	want := "readiness, configuration watcher, proxy, admin port, webhook, enforcer, ops port, health checks, price refresher, store"
	if got := strings.Join(stopped, ", "); got != want {
		t.Errorf("parts stopped in the order\n  %s, want\n  %s\n%s", got, want, all.String())
	}
}

func TestVersionOf(t *testing.T) {
	t.Parallel()
	commit := debug.BuildSetting{Key: "vcs.revision", Value: "0123456789abcdef"}
	for _, tt := range []struct {
		sentence string
		info     debug.BuildInfo
		want     string
	}{
		{"a release", debug.BuildInfo{Main: debug.Module{Version: "v1.2.3"}}, "v1.2.3"},
		{"a checkout", debug.BuildInfo{Main: debug.Module{Version: "(devel)"}, Settings: []debug.BuildSetting{commit}}, "devel-0123456789ab"},
		{"a changed checkout", debug.BuildInfo{Settings: []debug.BuildSetting{commit, {Key: "vcs.modified", Value: "true"}}}, "devel-0123456789ab-dirty"},
		{"no checkout", debug.BuildInfo{}, "devel"},
	} {
		if got := versionOf(&tt.info); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.sentence, got, tt.want)
		}
	}
}

func TestDemoShowsEveryState(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	// The page ends with the last command; then it is Ctrl-C's turn.
	page := &stopAt{text: `"reason":"demo"`, stop: cancel}
	var stderr bytes.Buffer
	before := demoFolders(t)
	if err := runDemo(ctx, environment{stderr: &stderr}, page); err != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	if stderr.Len() > 0 {
		t.Errorf("logs beside the page:\n%s", stderr.String())
	}
	got := page.seen.String()
	for _, text := range []string{
		"support   ok", "research  warning", "coding    grace", "batch     blocked",
		"402  Budget exceeded for tenant batch. Current: $1.11, Limit: $1.00.", "http://127.0.0.1:", "curl",
	} {
		if !strings.Contains(got, text) {
			t.Errorf("the page does not say %q:\n%s", text, got)
		}
	}
	if lines := strings.Count(got, "\n"); lines > 40 {
		t.Errorf("the page has %d lines, want one screen:\n%s", lines, got)
	}
	if after := demoFolders(t); after > before {
		t.Errorf("leaves %d folders behind", after-before)
	}
}

func demoFolders(t *testing.T) int {
	t.Helper()
	dirs, err := filepath.Glob(filepath.Join(os.TempDir(), "pursestring-demo-*"))
	if err != nil {
		t.Fatal(err)
	}
	return len(dirs)
}

// stopAt collects what is written and calls stop once a text has come.
type stopAt struct {
	text string
	stop func()
	seen strings.Builder
}

func (s *stopAt) Write(p []byte) (int, error) {
	n, err := s.seen.Write(p)
	if strings.Contains(s.seen.String(), s.text) {
		s.stop()
	}
	return n, err
}
