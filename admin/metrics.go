package admin

import (
	"slices"

	"github.com/prometheus/client_golang/prometheus"
)

// webhookEvents is the closed list of LiteLLM's events, of version 1.106; any
// other is counted as other, and a body that is none as unparsable.
var webhookEvents = []string{
	"budget_crossed", "max_budget_alert", "soft_budget_crossed", "threshold_crossed",
	"projected_limit_exceeded", "spend_tracked", "key_created", "key_rotated", "internal_user_created",
}

const (
	otherEvent      = "other"
	unparsableEvent = "unparsable"
)

// Metrics are the admin plane's own counters.
type Metrics struct {
	webhookEvents   *prometheus.CounterVec
	webhookLast     prometheus.Gauge
	webhookDropped  prometheus.Counter
	webhookRejected prometheus.Counter
	webhookFailed   prometheus.Counter
	unauthorized    prometheus.Counter
}

// NewMetrics registers the counters with reg.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{
		webhookEvents: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pursestring_webhook_events_total",
			Help: "Authentic webhooks received from LiteLLM, by event.",
		}, []string{"event"}),
		webhookLast: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "pursestring_webhook_last_seconds",
			Help: "Unix time of the last authentic webhook; 0 before the first.",
		}),
		webhookDropped: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pursestring_webhook_dropped_total",
			Help: "Authentic webhooks that were not recorded because the queue was full.",
		}),
		webhookRejected: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pursestring_webhook_rejected_total",
			Help: "Webhooks refused with 401 because no token or signature was right.",
		}),
		webhookFailed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pursestring_webhook_failed_total",
			Help: "Authentic webhooks that were not recorded because the store was out of reach.",
		}),
		unauthorized: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pursestring_admin_unauthorized_total",
			Help: "Admin requests with a token that is not known.",
		}),
	}
	for _, event := range slices.Concat(webhookEvents, []string{otherEvent, unparsableEvent}) {
		m.webhookEvents.WithLabelValues(event)
	}
	reg.MustRegister(m.webhookEvents, m.webhookLast, m.webhookDropped, m.webhookRejected, m.webhookFailed, m.unauthorized)
	return m
}
