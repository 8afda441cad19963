package mock

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
)

// Report is what the mock has seen since it started.
type Report struct {
	// Calls that cost money.
	Calls int64 `json:"calls"`
	// Bytes of their request bodies.
	Bytes int64 `json:"bytes"`
	// Gone has, for each stream with an id whose connection has ended, the
	// mono.Now when the mock saw that.
	Gone map[int64]int64 `json:"gone"`
}

// Report returns what the mock has seen.
func (s *Server) Report() Report {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Report{Calls: s.calls.Load(), Bytes: s.bytes.Load(), Gone: maps.Clone(s.gone)}
}

// ServeHTTP is the control endpoint, on a port of its own: it answers the Report.
func (s *Server) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("content-type", "application/json")
	_ = json.NewEncoder(w).Encode(s.Report()) // the reader is gone: nobody to tell
}

// FetchReport asks a mock's control endpoint, as host:port, for its report.
func FetchReport(ctx context.Context, addr string) (Report, error) {
	var report Report
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/", nil)
	if err != nil {
		return report, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return report, fmt.Errorf("ask mock upstream: %w", err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&report); err != nil {
		return report, fmt.Errorf("read mock upstream's report: %w", err)
	}
	return report, nil
}
