package suite

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/pursestring/pursestring/bench/internal/load"
	"github.com/pursestring/pursestring/bench/internal/mock"
	"github.com/pursestring/pursestring/bench/internal/proc"
)

// pursestringConf is a sidecar as it is deployed: SQLite, the memory ledger, the
// defaults. The tenant is made by the first call, from what the mock's /key/info
// says of the key: a budget that is checked on each call and never reached.
const pursestringConf = `proxy:
  listen: %[1]s
  upstream: http://%[2]s
admin:
  listen: %[3]s
store:
  url: sqlite:%[4]s
log:
  level: warn
prices:
  models:
    ` + mock.Model + `: {input_cost_per_token: 0.00001, output_cost_per_token: 0.0001, max_output_tokens: 4096}
`

// build compiles ./cmd/pursestring once.
func (a *arena) build(ctx context.Context) error {
	if a.binary != "" {
		return nil
	}
	binary := filepath.Join(a.dir, "pursestring")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", binary, "./cmd/pursestring")
	cmd.Dir = a.root
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build ./cmd/pursestring: %w\n%s", err, out)
	}
	a.binary = binary
	return nil
}

// startPursestring starts Pursestring and waits until it decides about calls:
// until the key's tenant is known, it lets them pass.
func (a *arena) startPursestring(ctx context.Context) (*contender, error) {
	if err := a.build(ctx); err != nil {
		return nil, err
	}
	dir, addr, err := a.place()
	if err != nil {
		return nil, err
	}
	admin, err := proc.FreeAddr()
	if err != nil {
		return nil, err
	}
	conf := fmt.Sprintf(pursestringConf, addr, a.addr, admin, filepath.Join(dir, "pursestring.db"))
	file := filepath.Join(dir, "pursestring.yaml")
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		return nil, err
	}
	cmd := exec.Command(a.binary, "serve", "--config", file)
	cmd.Dir = dir
	// Only what a program needs: PURSESTRING_* of this shell would change what is
	// measured.
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir}
	child, err := proc.Start(Pursestring, cmd, syscall.SIGKILL)
	if err != nil {
		return nil, err
	}
	c, err := a.await(ctx, &contender{name: Pursestring, addr: addr, child: child})
	if err != nil {
		return nil, err
	}
	if err := c.awaitEnforcement(ctx); err != nil {
		c.stop()
		return nil, err
	}
	return c, nil
}

var errNotEnforcing = errors.New("the answer has no x-budget-state")

func (c *contender) awaitEnforcement(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	request := load.Chat(mock.Wish{})
	return c.child.Until(ctx, func() error {
		answer, err := load.Do(ctx, c.addr, request)
		if err != nil {
			return err
		}
		if answer.Status != http.StatusOK {
			return fmt.Errorf("status %d", answer.Status)
		}
		c.json.Add(1)
		if !answer.Budget {
			return errNotEnforcing
		}
		if _, err := c.status(ctx); err != nil {
			return err
		}
		return nil
	})
}

// budgetStatus is what GET /v1/budget says, as far as it matters here.
type budgetStatus struct {
	TenantID string  `json:"tenant_id"`
	SpendUSD float64 `json:"spend_usd"`
	LimitUSD float64 `json:"limit_usd"`
}

// status asks Pursestring for the key's own budget.
func (c *contender) status(ctx context.Context) (budgetStatus, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+c.addr+"/v1/budget", nil)
	if err != nil {
		return budgetStatus{}, err
	}
	req.Header.Set("Authorization", "Bearer "+load.Key)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return budgetStatus{}, err
	}
	defer resp.Body.Close()
	var envelope struct {
		budgetStatus
		Budget *budgetStatus `json:"budget"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&envelope); err != nil {
		return budgetStatus{}, fmt.Errorf("read /v1/budget, status %d: %w", resp.StatusCode, err)
	}
	status := envelope.budgetStatus
	if envelope.Budget != nil {
		status = *envelope.Budget
	}
	if status.LimitUSD != mock.BudgetUSD {
		return status, fmt.Errorf("/v1/budget says the limit is $%.2f, the key's is $%d", status.LimitUSD, mock.BudgetUSD)
	}
	return status, nil
}

// checkBooks compares what Pursestring says was spent with what the calls cost:
// a fast proxy that does not count is worth nothing.
func (c *contender) checkBooks(ctx context.Context) Target {
	t := Target{What: "books after the JSON scenarios", Limit: "each call settled at its cost, to the cent"}
	price, err := strconv.ParseFloat(mock.CallCost, 64)
	if err != nil {
		panic("BUG: mock.CallCost: " + err.Error())
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	want := float64(c.json.Load()) * price
	var got budgetStatus
	err = c.child.Until(ctx, func() error { // the last settlements may be under way
		var err error
		if got, err = c.status(ctx); err != nil {
			return err
		}
		if math.Abs(got.SpendUSD-want) >= 0.005 {
			return fmt.Errorf("$%.2f instead of $%.2f", got.SpendUSD, want)
		}
		return nil
	})
	t.Got = fmt.Sprintf("$%.2f for %d calls of $%s", got.SpendUSD, c.json.Load(), mock.CallCost)
	t.Reached = err == nil
	if broken := c.broken.Load(); broken > 0 {
		t.Got += fmt.Sprintf(", and %d that failed", broken)
	}
	return t
}
