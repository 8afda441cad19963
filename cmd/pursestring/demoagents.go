package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/pursestring/pursestring/internal/litellm/litellmtest"
)

// demoTenant is a tenant of the demonstration and what its agent will do.
type demoTenant struct {
	id     string
	agent  string // its virtual key
	spends []int  // what each call costs, in cents
}

// spoken is one answer that an agent got.
type spoken struct {
	status int
	cents  int
	state  string // x-budget-state; empty on a refusal
	text   string // of a refusal
}

func (s spoken) String() string {
	if s.status == http.StatusOK {
		return fmt.Sprintf("%d  paid $%.2f, state %s", s.status, float64(s.cents)/100, s.state)
	}
	return fmt.Sprintf("%d  %s", s.status, s.text)
}

// makeTenant gives a virtual key to LiteLLM, and a tenant with a budget and that
// key to Pursestring.
func (d *demo) makeTenant(ctx context.Context, t demoTenant) error {
	if _, err := d.fake.AddKey(litellmtest.Key{Credential: t.agent, Alias: t.id + "-agent"}); err != nil {
		return err
	}
	path := "/admin/tenants/" + t.id
	steps := []struct {
		method, path string
		body         map[string]any
	}{
		{http.MethodPut, path, map[string]any{"alias": t.id}},
		{http.MethodPut, path + "/budget", map[string]any{"max_budget": 1, "budget_duration": "1d"}},
		{http.MethodPost, path + "/keys", map[string]any{"key": t.agent, "alias": t.id + "-agent"}},
	}
	for _, s := range steps {
		if _, err := call(ctx, s.method, d.admin+s.path, d.token, s.body); err != nil {
			return err
		}
	}
	return nil
}

// tokensPerCent is what gpt-4o writes for a cent in the fake LiteLLM: it asks
// $10 for a million tokens.
const tokensPerCent = 1000

// spend lets the tenant's agent make its calls, one after the other.
func (d *demo) spend(ctx context.Context, t demoTenant) ([]spoken, error) {
	var said []spoken
	for _, cents := range t.spends {
		tokens := cents * tokensPerCent
		answer, err := request(ctx, http.MethodPost, d.proxy+"/v1/chat/completions", t.agent, map[string]any{
			"model":      "gpt-4o",
			"max_tokens": tokens,
			"messages": []map[string]any{
				{"role": "user", "content": fmt.Sprintf("Think hard. [[p=0 c=%d words=3]]", tokens)},
			},
		})
		if err != nil {
			return said, err
		}
		said = append(said, spoken{
			status: answer.status, cents: cents,
			state: answer.header.Get("x-budget-state"), text: errorText(answer.body),
		})
	}
	return said, nil
}

func errorText(body []byte) string {
	var refusal struct {
		Error struct {
			Message string `json:"message"`
		} `json:"error"`
	}
	if json.Unmarshal(body, &refusal) != nil {
		return "an answer that is no JSON"
	}
	return refusal.Error.Message
}

// tenantStatus is what the page shows of GET /admin/tenants/{id}/status.
type tenantStatus struct {
	State    string    `json:"state"`
	Spend    float64   `json:"spend_usd"`
	Limit    float64   `json:"limit_usd"`
	Block    float64   `json:"block_usd"`
	ResetsAt time.Time `json:"resets_at"`
}

func (d *demo) status(ctx context.Context, id string) (tenantStatus, error) {
	var s tenantStatus
	body, err := call(ctx, http.MethodGet, d.admin+"/admin/tenants/"+id+"/status", d.token, nil)
	if err != nil {
		return s, err
	}
	return s, json.Unmarshal(body, &s)
}

// answer is a whole HTTP answer.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// request makes one HTTP request with a bearer token and an optional JSON body.
func request(ctx context.Context, method, url, token string, body any) (answer, error) {
	var payload io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return answer{}, err
		}
		payload = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, method, url, payload)
	if err != nil {
		return answer{}, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	return answer{resp.StatusCode, resp.Header, data}, err
}

// call makes a request that must succeed.
func call(ctx context.Context, method, url, token string, body any) ([]byte, error) {
	a, err := request(ctx, method, url, token, body)
	if err != nil {
		return nil, err
	}
	if a.status/100 != 2 {
		return nil, fmt.Errorf("%s %s answered %d: %s", method, url, a.status, bytes.TrimSpace(a.body))
	}
	return a.body, nil
}
