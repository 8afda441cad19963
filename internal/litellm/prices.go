package litellm

import (
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/pursestring/pursestring/internal/budget"
)

// Deployment is one row of /model/info. Several may share a Name, at different
// prices.
type Deployment struct {
	ID     string         // model_info.id, which answers name in x-litellm-model-id
	Name   string         // what clients send as model
	Model  string         // litellm_params.model, such as openai/gpt-4o
	Key    string         // model_info.key: the cost map's name for it
	Fields map[string]any // model_info: prices and limits under LiteLLM's names
}

// CostMap is LiteLLM's price list: fields by model name.
type CostMap map[string]map[string]any

// Prices is the price table. It is safe for concurrent use: readers see one
// whole snapshot, and Load puts the next in its place.
type Prices struct {
	overrides map[string]map[string]any
	snapshot  atomic.Pointer[snapshot]
}

type snapshot struct {
	names    table // deployments' public names, and overrides
	models   table // deployments' LiteLLM names
	costMap  table
	byID     map[string]Price
	dearest  Price
	any      bool
	loadedAt time.Time // zero: overrides only
}

// entry is what a name costs: the dearest of its deployments, and all of them.
type entry struct {
	price Price
	all   []Price
}

// NewPrices returns a table that knows only the operator's overrides, fields by
// model name, until the first Load. It keeps overrides.
func NewPrices(overrides map[string]map[string]any) *Prices {
	p := &Prices{overrides: overrides}
	p.load(nil, nil, time.Time{})
	return p
}

// Load replaces what was loaded before. at is when it was fetched.
func (p *Prices) Load(deployments []Deployment, costMap CostMap, at time.Time) {
	p.load(deployments, costMap, at)
}

// Lookup returns the price of a model as a client names it: of the deployments
// under that public name the dearest, else those whose LiteLLM name it is, else
// the cost map's entry, else the cost map's entry without the provider's prefix.
// It reports false when none of them has a price. It does not allocate.
func (p *Prices) Lookup(model string) (Price, bool) {
	e, ok := p.snapshot.Load().find(model)
	return e.price, ok
}

// Dearest returns the price of the dearest model that can be called, by input
// and output together: of the deployments while some are known, else of the
// cost map. It reports false when there is no per-token price at all.
func (p *Prices) Dearest() (Price, bool) {
	s := p.snapshot.Load()
	return s.dearest, s.any
}

// Cost returns what usage costs on a model: the most that one of its deployments
// would charge. It reports false when the model has no price per token. u.Cost
// plays no part.
func (p *Prices) Cost(model string, u Usage) (budget.Money, bool) {
	e, ok := p.snapshot.Load().find(model)
	if !ok {
		return 0, false
	}
	cost, priced := budget.Money(0), false
	for _, one := range e.all {
		if one.PerToken {
			cost, priced = max(cost, one.Cost(u)), true
		}
	}
	return cost, priced
}

// CostAt is Cost on one deployment, named by x-litellm-model-id; if that is not
// known, on the model.
func (p *Prices) CostAt(deploymentID, model string, u Usage) (budget.Money, bool) {
	if one, ok := p.snapshot.Load().byID[deploymentID]; ok && one.PerToken {
		return one.Cost(u), true
	}
	return p.Cost(model, u)
}

// Count returns how many names have a price.
func (p *Prices) Count() int {
	s := p.snapshot.Load()
	return len(s.names) + len(s.costMap)
}

// Age returns how old the loaded prices are. It reports false when nothing was
// loaded yet.
func (p *Prices) Age(now time.Time) (time.Duration, bool) {
	at := p.snapshot.Load().loadedAt
	if at.IsZero() {
		return 0, false
	}
	return now.Sub(at), true
}

func (s *snapshot) find(model string) (entry, bool) {
	e, named := s.names[model]
	if len(e.all) > 0 {
		return e, true
	}
	e, ok := s.models[model]
	if !ok {
		e, ok = s.costMap.find(model)
	}
	// A deployment whose own row names no price is estimated by what its name
	// would cost elsewhere, but nothing makes it free.
	e.price.Free = e.price.Free && !named
	return e, ok
}

// table is prices by name. A name that is there without prices belongs to a
// deployment that has none.
type table map[string]entry

// find looks for the name, then for the name without its prefixes.
func (t table) find(model string) (entry, bool) {
	for {
		if e, ok := t[model]; ok && len(e.all) > 0 {
			return e, true
		}
		_, rest, ok := strings.Cut(model, "/")
		if !ok {
			return entry{}, false
		}
		model = rest
	}
}

// put adds one price under a name, or notes that the name has a deployment
// without one.
func (t table) put(name string, p Price, priced bool) {
	e, ok := t[name]
	free := priced && p.Free && (!ok || e.price.Free)
	if priced {
		limit := max(p.MaxOutputTokens, e.price.MaxOutputTokens)
		window := max(p.MaxInputTokens, e.price.MaxInputTokens)
		other := p.OtherCharges || e.price.OtherCharges
		if len(e.all) == 0 || p.dearness() > e.price.dearness() {
			e.price = p
		}
		e.price.MaxOutputTokens, e.price.MaxInputTokens, e.price.OtherCharges = limit, window, other
		e.all = append(e.all, p)
	}
	e.price.Free = free
	t[name] = e
}

func (p *Prices) load(deployments []Deployment, costMap CostMap, at time.Time) {
	s := &snapshot{names: table{}, models: table{}, costMap: table{}, byID: map[string]Price{}, loadedAt: at}
	for name, fields := range costMap {
		if name == "sample_spec" {
			continue // documentation in the shape of an entry
		}
		if price, priced := priceOf(fields); priced {
			s.costMap.put(name, price, true)
		}
	}
	wild := false
	for _, d := range deployments {
		if strings.Contains(d.Name, "*") {
			wild = true
			continue
		}
		price, priced := priceOf(overlaid(d.Fields, p.overrides[d.Name]))
		s.names.put(d.Name, price, priced)
		if !priced {
			continue
		}
		for _, name := range slices.Compact([]string{d.Model, d.Key}) {
			if name != "" {
				s.models.put(name, price, true)
			}
		}
		if d.ID != "" {
			s.byID[d.ID] = price
		}
	}
	for name, fields := range p.overrides {
		if _, ok := s.names[name]; ok {
			continue
		}
		price, priced := priceOf(overlaid(costMap.fields(name), fields))
		s.names.put(name, price, priced)
	}
	s.findDearest(wild || len(deployments) == 0)
	p.snapshot.Store(s)
}

func (s *snapshot) findDearest(anyModel bool) {
	consider := func(t table) {
		for _, e := range t {
			for _, price := range e.all {
				if price.PerToken && (!s.any || price.dearness() > s.dearest.dearness()) {
					s.dearest, s.any = price, true
				}
			}
		}
	}
	consider(s.names)
	if anyModel || !s.any {
		consider(s.costMap)
	}
}

// fields returns the entry of a model, or of its name without prefixes.
func (c CostMap) fields(model string) map[string]any {
	for {
		if f, ok := c[model]; ok {
			return f
		}
		_, rest, ok := strings.Cut(model, "/")
		if !ok {
			return nil
		}
		model = rest
	}
}

func overlaid(fields, over map[string]any) map[string]any {
	if len(over) == 0 {
		return fields
	}
	merged := maps.Clone(fields)
	if merged == nil {
		merged = map[string]any{}
	}
	maps.Copy(merged, over)
	return merged
}
