package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"
)

// uploadSize is the picture of the upload scenarios, in bytes.
const uploadSize = 20 << 20

// client is one SDK, or curl, as an agent would use it.
type client struct {
	name string
	// scenarios are those that the client can show; see sdk/agent.py.
	scenarios []string
	// realOnly are those of them that the fake LiteLLM has no answer to: it calls
	// no tools and has no pictures.
	realOnly []string
	run      func(t *testing.T, base, key string, scenarios ...string) map[string]outcome
}

// outcome is what a client made of one scenario: what the application sees.
type outcome struct {
	Scenario    string         `json:"scenario"`
	Text        string         `json:"text"`
	Input       int64          `json:"input"`
	Output      int64          `json:"output"`
	UsageChunks int            `json:"usage_chunks"`
	Tool        string         `json:"tool"`
	Arguments   map[string]any `json:"arguments"`
	Images      int            `json:"images"`
	Vectors     int            `json:"vectors"`
	Seen        int            `json:"seen"`
	Done        bool           `json:"done"`
	Error       *failure       `json:"error"`
}

// failure is an SDK's error as the application sees it.
type failure struct {
	Classes []string          `json:"classes"` // most derived first
	Status  int               `json:"status"`
	Code    any               `json:"code"`
	Type    string            `json:"type"`
	Message string            `json:"message"`
	Body    json.RawMessage   `json:"body"` // what the SDK keeps of the body
	Headers map[string]string `json:"headers"`
}

// clients are all that must work.
func clients() []client {
	return []client{
		{"python openai", []string{"chat", "stream", "stream_usage", "tool", "tool_stream", "responses", "responses_stream", "embeddings", "upload", "upload_inline"}, []string{"tool", "tool_stream", "upload"}, python("openai")},
		{"python anthropic", []string{"chat", "stream", "tool_result", "upload"}, nil, python("anthropic")},
		{"python google", []string{"chat", "stream"}, nil, python("google")},
		{"node openai", []string{"chat", "stream", "tool", "upload"}, []string{"tool", "upload"}, node("openai")},
		{"node anthropic", []string{"chat", "stream"}, nil, node("anthropic")},
		{"go openai", []string{"chat", "stream", "tool", "upload"}, []string{"tool", "upload"}, inGo(goOpenAI)},
		{"curl", []string{"chat", "stream", "upload"}, []string{"upload"}, inGo(curl)},
	}
}

// cancelling are the clients that leave in the middle of a stream.
func cancelling() []client {
	return []client{
		{"python openai", []string{"cancel"}, nil, python("openai")},
		{"python anthropic", []string{"cancel"}, nil, python("anthropic")},
		{"node openai", []string{"cancel"}, nil, node("openai")},
		{"go openai", []string{"cancel"}, nil, inGo(goOpenAI)},
		{"curl", []string{"cancel"}, nil, inGo(curl)},
	}
}

// shows returns the scenarios that l can answer.
func (c client) shows(l liteLLM) []string {
	if l.real {
		return c.scenarios
	}
	return slices.DeleteFunc(slices.Clone(c.scenarios), func(s string) bool { return slices.Contains(c.realOnly, s) })
}

// python and node run sdk/agent.* in one process for all scenarios.
func python(sdk string) func(*testing.T, string, string, ...string) map[string]outcome {
	return func(t *testing.T, base, key string, scenarios ...string) map[string]outcome {
		t.Helper()
		interpreter := filepath.Join(clientsDir(t), "venv", "bin", "python")
		return agent(t, base, key, append([]string{interpreter, "sdk/agent.py", sdk}, scenarios...))
	}
}

func node(sdk string) func(*testing.T, string, string, ...string) map[string]outcome {
	return func(t *testing.T, base, key string, scenarios ...string) map[string]outcome {
		t.Helper()
		return agent(t, base, key, append([]string{"node", "sdk/agent.js", sdk}, scenarios...))
	}
}

func agent(t *testing.T, base, key string, argv []string) map[string]outcome {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(),
		"AGENT_BASE_URL="+base,
		"AGENT_API_KEY="+key,
		"AGENT_UPLOAD="+strconv.Itoa(uploadSize),
		"NODE_PATH="+filepath.Join(clientsDir(t), "node_modules"),
		"NO_PROXY=127.0.0.1,localhost",
	)
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		t.Errorf("%v: %v\n%s", argv[1:], err, complaints.Bytes())
	}
	outcomes := map[string]outcome{}
	for line := range bytes.Lines(out) {
		var o outcome
		if err := json.Unmarshal(line, &o); err != nil {
			t.Fatalf("%v: %v in line %s", argv[1:], err, line)
		}
		outcomes[o.Scenario] = o
	}
	return outcomes
}

// inGo runs scenarios one by one through a function of this package.
func inGo(one func(ctx context.Context, base, key, scenario string) (outcome, error)) func(*testing.T, string, string, ...string) map[string]outcome {
	return func(t *testing.T, base, key string, scenarios ...string) map[string]outcome {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		defer cancel()
		outcomes := map[string]outcome{}
		for _, scenario := range scenarios {
			o, err := one(ctx, base, key, scenario)
			if err != nil {
				t.Errorf("%s: %v", scenario, err)
			}
			o.Scenario = scenario
			outcomes[scenario] = o
		}
		return outcomes
	}
}

// clientsDir is where make test-deps has put the SDKs.
func clientsDir(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("PURSESTRING_TEST_CLIENTS")
	if dir == "" {
		_, here, _, _ := runtime.Caller(0)
		dir = filepath.Join(filepath.Dir(here), "..", "..", ".cache", "clients")
	}
	if _, err := os.Stat(filepath.Join(dir, "installed")); err != nil {
		t.Fatalf("the SDKs that this test runs are not in %s: run make test-deps", dir)
	}
	return dir
}

var errScenario = errors.New("the client has no such scenario")

func unknownScenario(name string) error { return fmt.Errorf("%w: %s", errScenario, name) }
