package enforce

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/pursestring/pursestring/internal/budget"
)

// Metrics are the numbers of one replica's decisions.
type Metrics struct {
	// decisions by ruling and mode: an index instead of three labels on the path.
	decisions  [rulingCount][2]prometheus.Counter
	settledUSD map[budget.Provenance]prometheus.Counter
	failOpen   prometheus.Counter
	unresolved prometheus.Counter
	master     prometheus.Counter
	leaked     prometheus.Counter
	lookups    map[string]prometheus.Counter
	refusals   map[string]prometheus.Counter
	storeError prometheus.Counter
}

// NewMetrics makes the metrics and registers them.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{
		failOpen:   counter(reg, "failopen_usd_total", "Dollars settled for calls that passed because nobody could tell whether they may."),
		unresolved: counter(reg, "unresolved_usd_total", "Dollars settled for credentials whose tenant is not known."),
		master:     counter(reg, "masterkey_usd_total", "Dollars settled for calls with LiteLLM's master key, which has no budget."),
		leaked:     counter(reg, "holds_leaked_total", "Holds that passed their deadline; each one is a bug."),
		storeError: counter(reg, "store_errors_total", "Reads and writes of the store that failed."),
	}
	decisions := vec(reg, "decisions_total", "Decisions about calls.", "verdict", "reason", "mode")
	for r, words := range rulings {
		for i, mode := range modes {
			m.decisions[r][i] = decisions.WithLabelValues(string(words.verdict), string(words.reason), string(mode))
		}
	}
	m.settledUSD = byLabel(vec(reg, "settled_usd_total", "Dollars settled, by where the cost was found.", "provenance"),
		budget.FromHeader, budget.FromUsageCost, budget.FromUsage, budget.FromCacheHit, budget.FromError, budget.FromEstimate)
	m.lookups = byLabel(vec(reg, "key_lookups_total", "Look-ups of unseen keys at LiteLLM, and those put off or given up.", "result"),
		"found", "rejected", "no_key", "not_created", "failed", "limited", "dropped")
	m.refusals = byLabel(vec(reg, "upstream_budget_refusals_total", "Budget refusals by LiteLLM itself: its limit reached, its reservation, or somebody else's limit.", "kind"),
		"limit", "reserved", "other")
	return m
}

var modes = [2]budget.Mode{budget.Enforce, budget.Shadow}

func counter(reg prometheus.Registerer, name, help string) prometheus.Counter {
	c := prometheus.NewCounter(prometheus.CounterOpts{Namespace: "pursestring", Name: name, Help: help})
	reg.MustRegister(c)
	return c
}

func vec(reg prometheus.Registerer, name, help string, labels ...string) *prometheus.CounterVec {
	v := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "pursestring", Name: name, Help: help}, labels)
	reg.MustRegister(v)
	return v
}

func byLabel[T ~string](v *prometheus.CounterVec, values ...T) map[T]prometheus.Counter {
	m := make(map[T]prometheus.Counter, len(values))
	for _, value := range values {
		m[value] = v.WithLabelValues(string(value))
	}
	return m
}

func (m *Metrics) decided(r ruling, mode budget.Mode) {
	i := 0
	if mode == budget.Shadow {
		i = 1
	}
	m.decisions[r][i].Inc()
}

func (m *Metrics) settled(d *Decision, s Settlement) {
	usd := s.Cost.Float()
	if c := m.settledUSD[s.Provenance]; c != nil {
		c.Add(usd)
	}
	switch {
	case d.exempt:
		m.master.Add(usd)
	case !d.Status.Known:
		m.unresolved.Add(usd)
	}
	if d.Verdict == budget.FailOpen {
		m.failOpen.Add(usd)
	}
}

func (m *Metrics) lookedUp(result string) { m.lookups[result].Inc() }

func (m *Metrics) upstreamRefused(reason budget.Reason) {
	kind := "other"
	if reason == budget.UpstreamLimit {
		kind = "limit"
	} else if reason == budget.UpstreamInUse {
		kind = "reserved"
	}
	m.refusals[kind].Inc()
}

func (m *Metrics) storeFailed() { m.storeError.Inc() }
