package proxy

import (
	"github.com/prometheus/client_golang/prometheus"
)

// Metrics are the data plane's own numbers. The budget's are in enforce.
type Metrics struct {
	upstreamSeconds prometheus.Histogram
	overheadSeconds prometheus.Histogram
	connections     prometheus.Gauge
	tunnels         prometheus.Gauge
	upstreamInUse   prometheus.Gauge
	upstreamIdle    prometheus.Gauge
	draining        prometheus.Gauge
	unknownRoutes   prometheus.Counter
	acceptErrors    prometheus.Counter
	panics          prometheus.Counter
	gone            map[string]prometheus.Counter
	troubles        map[*trouble]prometheus.Counter
}

// What happened to the upstream's side of a call whose client left.
const (
	goneBeforeSend = "never_sent"
	goneAborted    = "aborted"
	goneDrained    = "drained" // read to its end
	goneOverBound  = "drain_bound"
)

// NewMetrics makes the metrics and registers them. It panics when they are
// registered twice with one registerer.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{
		upstreamSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "pursestring_upstream_seconds",
			Help:    "Time from sending a request to LiteLLM until its answer begins.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 180, 600},
		}),
		overheadSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "pursestring_overhead_seconds",
			Help:    "Time that Pursestring itself adds before a request is sent: reading, deciding, waiting for an upstream connection.",
			Buckets: []float64{.00001, .000025, .00005, .0001, .00025, .0005, .001, .0025, .005, .01, .05, .25, 1, 5},
		}),
		connections:   gauge("pursestring_connections", "Open client connections."),
		tunnels:       gauge("pursestring_tunnels", "Open WebSocket tunnels."),
		upstreamInUse: gauge("pursestring_upstream_connections_in_use", "Connections to LiteLLM that carry a call."),
		upstreamIdle:  gauge("pursestring_upstream_connections_idle", "Open connections to LiteLLM that carry none."),
		draining:      gauge("pursestring_drains", "Answers being read to their end although the client has gone."),
		unknownRoutes: counter("pursestring_unknown_route_requests_total", "Requests forwarded on routes that are not known."),
		acceptErrors:  counter("pursestring_accept_errors_total", "Times that no client connection could be accepted for want of file descriptors or memory."),
		panics:        counter("pursestring_panics_total", "Bugs that were caught while a request was served."),
		gone:          map[string]prometheus.Counter{},
		troubles:      map[*trouble]prometheus.Counter{},
	}
	gone := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "pursestring_client_gone_total",
		Help: "Calls whose client left before the end of the answer, by what became of the upstream's side.",
	}, []string{"outcome"})
	for _, outcome := range []string{goneBeforeSend, goneAborted, goneDrained, goneOverBound} {
		m.gone[outcome] = gone.WithLabelValues(outcome)
	}
	troubles := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "pursestring_errors_total",
		Help: "Answers of our own that are no budget refusal, by code.",
	}, []string{"code"})
	for _, t := range allTroubles {
		m.troubles[t] = troubles.WithLabelValues(t.code)
	}
	reg.MustRegister(m.upstreamSeconds, m.overheadSeconds, m.connections, m.tunnels, m.upstreamInUse,
		m.upstreamIdle, m.draining, m.unknownRoutes, m.acceptErrors, m.panics, gone, troubles)
	return m
}

func gauge(name, help string) prometheus.Gauge {
	return prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
}

func counter(name, help string) prometheus.Counter {
	return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
}
