package litellm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/pursestring/pursestring/internal/budget"
)

// ManagedMark is the member of a LiteLLM object's metadata that says that
// Pursestring wrote its limits, so that they are never inherited.
const ManagedMark = "pursestring_managed"

// keyRow is a virtual key as /key/info and /key/list tell it.
type keyRow struct {
	Token    string `json:"token"` // only in lists
	KeyAlias string `json:"key_alias"`
	Status   string `json:"status"` // only in /key/info, since 1.106
	UserID   string `json:"user_id"`
	TeamID   string `json:"team_id"`
	Blocked  *bool  `json:"blocked"`
	budgetRow
	Metadata json.RawMessage `json:"metadata"`
	// Table is the budget row that budget_id names. Its limit and duration count
	// where the key has none of its own.
	Table *budgetRow `json:"litellm_budget_table"`
}

// budgetRow is the part that keys, users, teams and budget rows share.
type budgetRow struct {
	MaxBudget  *dollars `json:"max_budget"`
	Duration   string   `json:"budget_duration"`
	ResetAt    string   `json:"budget_reset_at"`
	Spend      *dollars `json:"spend"`
	TotalSpend *dollars `json:"total_spend"`
}

// dollars reads a number, or a string that holds one.
type dollars float64

func (d *dollars) UnmarshalJSON(b []byte) error {
	f, err := strconv.ParseFloat(strings.Trim(string(b), `"`), 64)
	if err != nil {
		return errors.New("amount is no number")
	}
	*d = dollars(f)
	return nil
}

func (d *dollars) money() *budget.Money {
	if d == nil {
		return nil
	}
	m, ok := budget.USD(float64(*d))
	if !ok {
		return nil // LiteLLM takes a limit that is not finite as none
	}
	return &m
}

// KeyInfo asks LiteLLM about a virtual key on the key's own authority: a key may
// read itself, also over its budget. ErrRejected: LiteLLM knows no such key, or
// it is blocked or expired; ErrNotFound: it is accepted but is no key (the master
// key). A deleted key can be answered with Status "deleted".
func (c *Client) KeyInfo(ctx context.Context, credential string) (budget.KeyFacts, error) {
	return c.keyInfo(ctx, credential, nil, budget.HashKey([]byte(credential)))
}

// KeyByHash asks about any key, with the master key.
func (c *Client) KeyByHash(ctx context.Context, hash budget.KeyHash) (budget.KeyFacts, error) {
	if c.master == "" {
		return budget.KeyFacts{}, fmt.Errorf("litellm: GET /key/info: %w", errNoMasterKey)
	}
	return c.keyInfo(ctx, c.master, url.Values{"key": {hash.String()}}, hash)
}

func (c *Client) keyInfo(ctx context.Context, credential string, query url.Values, hash budget.KeyHash) (budget.KeyFacts, error) {
	var a struct {
		Key  string  `json:"key"`
		Info *keyRow `json:"info"`
	}
	if err := c.json(ctx, call{method: http.MethodGet, path: "/key/info", query: query, credential: credential}, &a); err != nil {
		return budget.KeyFacts{}, err
	}
	if a.Info == nil {
		return budget.KeyFacts{}, fmt.Errorf("litellm: GET /key/info: %w: answer has no info", ErrUnavailable)
	}
	// A rotated key in its grace period is charged under its new hash, which is
	// the one that LiteLLM answers.
	if h, err := budget.ParseKeyHash(a.Key); err == nil {
		hash = h
	}
	return c.facts(hash, a.Info), nil
}

func (c *Client) facts(hash budget.KeyHash, r *keyRow) budget.KeyFacts {
	meta := metadataOf(r.Metadata)
	tenant, _ := meta["tenant_id"].(string)
	f := budget.KeyFacts{
		Hash: hash, Alias: r.KeyAlias, Status: r.Status, UserID: r.UserID, TeamID: r.TeamID, TenantID: tenant,
		Limits: c.limits(r.budgetRow, r.Table, meta),
	}
	if f.Status == "" && r.Blocked != nil && *r.Blocked {
		f.Status = "revoked" // LiteLLM's word for blocked, where it says none
	}
	return f
}

// limits joins a row with the budget row that stands in where it has nothing.
// Source: LiteLLM_VerificationTokenView.
func (c *Client) limits(r budgetRow, table *budgetRow, meta map[string]any) budget.UpstreamBudget {
	if table != nil {
		if r.MaxBudget == nil {
			r.MaxBudget = table.MaxBudget
		}
		if r.Duration == "" {
			r.Duration, r.ResetAt = table.Duration, table.ResetAt
		}
	}
	b := budget.UpstreamBudget{MaxBudget: r.MaxBudget.money(), TotalSpend: r.TotalSpend.money()}
	if s := r.Spend.money(); s != nil {
		b.Spend = *s
	}
	p, err := budget.ParsePeriod(r.Duration)
	if err != nil {
		c.log.Warn("litellm budget duration is not understood, taken as none", "err", err)
	}
	b.Period = p
	b.ResetAt = instant(r.ResetAt)
	b.Managed = meta[ManagedMark] == true
	return b
}

// instant reads LiteLLM's instants: with Z, with +00:00, and with none, which
// means UTC. The zero time is none.
func instant(s string) time.Time {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999Z07:00"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC()
		}
	}
	return time.Time{}
}

func metadataOf(raw json.RawMessage) map[string]any {
	var m map[string]any
	if json.Unmarshal(raw, &m) != nil { // null, or no object
		return nil
	}
	return m
}

// keysPerPage is the most that LiteLLM gives at once.
const keysPerPage = 100

// mostPages bounds a walk over keys that never ends: ten million keys.
const mostPages = 100_000

// Keys walks over all virtual keys, with the master key, in the order of their
// hashes, each at most once. LiteLLM pages by position: a key made meanwhile
// shows others twice, which is dropped here; after keys were deleted the walk
// steps back as far as they can have moved others out of sight. Deletions that
// as many new keys hide can still cost a key, until the next walk. After an error
// the walk ends.
func (c *Client) Keys(ctx context.Context) iter.Seq2[budget.KeyFacts, error] {
	return func(yield func(budget.KeyFacts, error) bool) {
		last, total := "", 0
		page := 1
		for range mostPages {
			p, err := c.keyPage(ctx, page)
			if err != nil {
				yield(budget.KeyFacts{}, err)
				return
			}
			if gone := total - p.Total; gone > 0 && page > 1 {
				page, total = max(1, page-1-gone/keysPerPage), p.Total
				continue
			}
			total = p.Total
			for i := range p.Keys {
				hash := strings.ToLower(p.Keys[i].Token)
				if hash <= last {
					continue
				}
				last = hash
				h, err := budget.ParseKeyHash(hash)
				if err != nil {
					c.log.Warn("litellm lists a key without a hash, skipped", "err", err)
					continue
				}
				if !yield(c.facts(h, &p.Keys[i]), nil) {
					return
				}
			}
			if page >= p.Pages {
				return
			}
			page++
		}
	}
}

type keyPage struct {
	Keys  []keyRow `json:"keys"`
	Total int      `json:"total_count"`
	Pages int      `json:"total_pages"`
}

func (c *Client) keyPage(ctx context.Context, page int) (p keyPage, err error) {
	query := url.Values{
		"page": {strconv.Itoa(page)}, "size": {strconv.Itoa(keysPerPage)},
		"return_full_object": {"true"}, "sort_by": {"token"}, "sort_order": {"asc"},
	}
	err = c.withMaster(ctx, call{method: http.MethodGet, path: "/key/list", query: query, most: 4 * mostAnswer}, &p)
	return p, err
}

// Team reads a team's budget with a caller's own credential, or with the master
// key when credential is empty. A key may read its own team.
func (c *Client) Team(ctx context.Context, credential, id string) (budget.UpstreamBudget, error) {
	var a struct {
		Info *struct {
			budgetRow
			Metadata json.RawMessage `json:"metadata"`
		} `json:"team_info"`
	}
	if err := c.owned(ctx, credential, "/team/info", url.Values{"team_id": {id}}, &a); err != nil {
		return budget.UpstreamBudget{}, err
	}
	if a.Info == nil {
		return budget.UpstreamBudget{}, fmt.Errorf("litellm: GET /team/info: %w: answer has no team_info", ErrUnavailable)
	}
	return c.limits(a.Info.budgetRow, nil, metadataOf(a.Info.Metadata)), nil
}

// UserFacts is what LiteLLM says about a user.
type UserFacts struct {
	Budget     budget.UpstreamBudget
	ProxyAdmin bool // an admin of the whole proxy, whose id names no tenant
}

// User reads a user with a caller's own credential, or with the master key when
// credential is empty. A key may read its own user; of another it gets
// ErrNotFound, because the newer route does not tell which. Older LiteLLMs
// without /v2/user/info are asked at /user/info.
func (c *Client) User(ctx context.Context, credential, id string) (UserFacts, error) {
	type userRow struct {
		budgetRow
		UserID   string          `json:"user_id"`
		Role     string          `json:"user_role"`
		Metadata json.RawMessage `json:"metadata"`
	}
	facts := func(r userRow) UserFacts {
		return UserFacts{Budget: c.limits(r.budgetRow, nil, metadataOf(r.Metadata)), ProxyAdmin: r.Role == "proxy_admin"}
	}
	var flat userRow
	err := c.owned(ctx, credential, "/v2/user/info", url.Values{"user_id": {id}}, &flat)
	if err == nil {
		return facts(flat), nil
	}
	if e, ok := errors.AsType[*StatusError](err); !ok || e.Status != http.StatusNotFound || e.Type != "" {
		return UserFacts{}, err // a 404 with a type is about the user, not the route
	}
	var nested struct {
		Info *userRow `json:"user_info"`
	}
	if err := c.owned(ctx, credential, "/user/info", url.Values{"user_id": {id}}, &nested); err != nil {
		return UserFacts{}, err
	}
	if nested.Info == nil {
		return UserFacts{}, fmt.Errorf("litellm: GET /user/info: %w: user %q", ErrNotFound, clip(id, 60))
	}
	return facts(*nested.Info), nil
}

// owned reads with the credential, or with the master key when it is empty.
func (c *Client) owned(ctx context.Context, credential, path string, query url.Values, into any) error {
	k := call{method: http.MethodGet, path: path, query: query, credential: credential}
	if credential == "" {
		return c.withMaster(ctx, k, into)
	}
	return c.json(ctx, k, into)
}

// Limit is a change of one limit: what is not Set stays, nil removes it.
type Limit struct {
	Set bool
	USD *budget.Money // ≥ 0; 0 makes LiteLLM refuse every call
}

// KeyChange is what UpdateKey changes; the zero value of a field changes nothing.
type KeyChange struct {
	MaxBudget  Limit
	SoftBudget Limit         // since 1.106; before, accepted and ignored
	Spend      *budget.Money // writes LiteLLM's own record and counter
	Blocked    *bool
	// Metadata is put over what the key has, member by member; nil removes one.
	// LiteLLM replaces metadata whole, so it is read first: of two writers at the
	// same moment one loses.
	Metadata map[string]any
}

// UpdateKey changes a key, with the master key.
func (c *Client) UpdateKey(ctx context.Context, hash budget.KeyHash, change KeyChange) error {
	body := map[string]any{"key": hash.String()}
	if change.MaxBudget.Set {
		body["max_budget"] = change.MaxBudget.USD
	}
	if change.SoftBudget.Set {
		body["soft_budget"] = change.SoftBudget.USD
	}
	if change.Spend != nil {
		body["spend"] = *change.Spend
	}
	if change.Blocked != nil {
		body["blocked"] = *change.Blocked
	}
	if change.Metadata != nil {
		merged, err := c.mergedMetadata(ctx, hash, change.Metadata)
		if err != nil {
			return err
		}
		body["metadata"] = merged
	}
	return c.withMaster(ctx, call{method: http.MethodPost, path: "/key/update", body: body}, nil)
}

func (c *Client) mergedMetadata(ctx context.Context, hash budget.KeyHash, over map[string]any) (map[string]any, error) {
	var a struct {
		Info struct {
			Metadata json.RawMessage `json:"metadata"`
		} `json:"info"`
	}
	k := call{method: http.MethodGet, path: "/key/info", query: url.Values{"key": {hash.String()}}}
	if err := c.withMaster(ctx, k, &a); err != nil {
		return nil, err
	}
	merged := metadataOf(a.Info.Metadata)
	if merged == nil {
		merged = map[string]any{}
	}
	maps.Copy(merged, over)
	maps.DeleteFunc(merged, func(_ string, v any) bool { return v == nil })
	return merged, nil
}

// ResetSpend sets what LiteLLM has recorded for a key, with the master key. to
// must not be above it. Spend still queued in LiteLLM lands after the reset.
func (c *Client) ResetSpend(ctx context.Context, hash budget.KeyHash, to budget.Money) error {
	k := call{method: http.MethodPost, path: "/key/" + hash.String() + "/reset_spend", body: map[string]any{"reset_to": to}}
	return c.withMaster(ctx, k, nil)
}
