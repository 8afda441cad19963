package proxy

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
)

// Every problem is named at once, with its setting, and a wrong setting starts
// nothing.
func TestOptionsNameEveryProblem(t *testing.T) {
	t.Parallel()
	_, err := New(Options{
		Upstream: "ftp://h", RootPaths: []string{"llm/"}, Unpriced: "free", OnClientGone: "shrug", MaxBody: -1, MaxHeader: 1, MaxConnections: -1,
		MaxUpstream: 4, MaxDrains: 3, DialTimeout: -time.Second, UpstreamIdle: -1,
	})
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{"proxy.upstream:", "no enforcer", "prices.unpriced", "proxy.on_client_gone", "proxy.max_body", "proxy.max_header_bytes",
		"proxy.max_connections", "proxy.max_drains: 3 is outside 1–2", "proxy.dial_timeout", "proxy.root_paths", "proxy.upstream_idle"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not named in:\n%v", want, err)
		}
	}
}

func TestMetricsAreWellNamed(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewPedanticRegistry()
	NewMetrics(reg)
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("%v %v", problems, err)
	}
	for _, f := range families {
		if !strings.HasPrefix(f.GetName(), "pursestring_") {
			t.Errorf("%s lacks the prefix", f.GetName())
		}
	}
}

// What repeats is logged once in a while, with what was left out.
func TestComplaintsAreThrottled(t *testing.T) {
	t.Parallel()
	c := newComplaints(nil)
	now := time.Now()
	for i, want := range []struct {
		after   time.Duration
		due     bool
		dropped int
	}{{0, true, 0}, {time.Second, false, 0}, {2 * time.Second, false, 0}, {11 * time.Second, true, 2}, {12 * time.Second, false, 0}} {
		if dropped, due := c.due("m", now.Add(want.after)); due != want.due || dropped != want.dropped {
			t.Errorf("call %d: due %v, dropped %d", i, due, dropped)
		}
	}
}
