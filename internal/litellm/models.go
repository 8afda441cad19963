package litellm

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// Models reads the deployments that a credential may use, with their prices; with
// the master key when credential is empty. It stays open over budget.
func (c *Client) Models(ctx context.Context, credential string) ([]Deployment, error) {
	var a struct {
		Data []struct {
			Name   string `json:"model_name"`
			Params struct {
				Model string `json:"model"`
			} `json:"litellm_params"`
			Info map[string]any `json:"model_info"`
		} `json:"data"`
	}
	k := call{method: http.MethodGet, path: "/model/info", credential: credential, most: mostPriceList}
	var err error
	if credential == "" {
		err = c.withMaster(ctx, k, &a)
	} else {
		err = c.json(ctx, k, &a)
	}
	if err != nil {
		return nil, err
	}
	list := make([]Deployment, 0, len(a.Data))
	for _, row := range a.Data {
		id, _ := row.Info["id"].(string)
		key, _ := row.Info["key"].(string)
		list = append(list, Deployment{ID: id, Name: row.Name, Model: row.Params.Model, Key: key, Fields: pricing(row.Info)})
	}
	return list, nil
}

// CostMap reads LiteLLM's price list. It needs no key.
func (c *Client) CostMap(ctx context.Context) (CostMap, error) {
	k := call{method: http.MethodGet, path: "/public/litellm_model_cost_map", most: mostPriceList}
	a, err := c.send(ctx, k)
	if err != nil {
		return nil, err
	}
	m, err := ParseCostMap(a.body)
	if err != nil {
		return nil, fmt.Errorf("litellm: %s %s: %w: %w", k.method, k.path, ErrUnavailable, err)
	}
	return m, nil
}

// ParseCostMap reads model_prices_and_context_window.json. Of each model only
// what Price is made of is kept: the file has thousands.
func ParseCostMap(list []byte) (CostMap, error) {
	d := json.NewDecoder(bytes.NewReader(list))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, fmt.Errorf("price list is no JSON object")
	}
	m := CostMap{}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, fmt.Errorf("price list: %w", err)
		}
		var entry json.RawMessage
		if err := d.Decode(&entry); err != nil {
			return nil, fmt.Errorf("price list: %w", err)
		}
		var fields map[string]any
		if json.Unmarshal(entry, &fields) != nil {
			continue // one bad entry must not cost us the others
		}
		m[fmt.Sprint(name)] = pricing(fields)
	}
	return m, nil
}

// pricing keeps the fields that priceOf reads, and no nulls.
func pricing(fields map[string]any) map[string]any {
	kept := make(map[string]any, 8)
	for name, v := range fields {
		wanted := strings.Contains(name, "cost") || strings.HasPrefix(name, "max_") ||
			name == "mode" || name == "litellm_provider" || name == "tiered_pricing"
		if wanted && v != nil {
			kept[name] = v
		}
	}
	return kept
}
