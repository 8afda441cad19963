package suite

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var testColumns = []column{{key: "cpu", title: "CPU", digits: 1, ratio: true}, {key: "p99", title: "p99", added: Direct}}

// Between rounds the machine becomes three times slower; ratios are those within
// a round and do not see it.
func TestRatiosAreWithinARound(t *testing.T) {
	t.Parallel()
	rounds := []map[string]sample{
		{Direct: {"p99": 5}, Bare: {"cpu": 10, "p99": 15}, Pursestring: {"cpu": 12, "p99": 18}},
		{Direct: {"p99": 15}, Bare: {"cpu": 30, "p99": 45}, Pursestring: {"cpu": 36, "p99": 54}},
		{Direct: {"p99": 6}, Bare: {"cpu": 20, "p99": 16}, Pursestring: {"cpu": 24, "p99": 19}},
	}
	rows := summarize([]string{Direct, Bare, Std, Pursestring}, rounds, testColumns)
	if len(rows) != 3 {
		t.Fatalf("%d rows, want three: net/http was not measured", len(rows))
	}
	result := &ScenarioResult{Rows: rows, columns: testColumns}
	own := result.own()
	if got := own.Ratios["cpu"]; got != 1.2 {
		t.Errorf("CPU ratio %v, want 1.2", got)
	}
	if got := own.Values["cpu"]; got != 24 {
		t.Errorf("CPU %v, want the median 24", got)
	}
	if got := own.Added["p99"]; got != 13 {
		t.Errorf("added p99 %v, want the median of 13, 39 and 13", got)
	}
	if _, ok := rows[0].Ratios["cpu"]; ok {
		t.Error("direct has a CPU ratio, and no CPU of its own")
	}
	if len(own.Rounds) != 3 {
		t.Errorf("%d rounds kept, want 3", len(own.Rounds))
	}
}

// What was not measured is neither reached nor a number.
func TestMissingIsNotReached(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		values  sample
		got     string
		reached bool
	}{
		{"below the limit", sample{"cpu": 1.2}, "1.20 ×", true},
		{"at the limit", sample{"cpu": 1.5}, "1.50 ×", true},
		{"above the limit", sample{"cpu": 1.51}, "1.51 ×", false},
		{"not measured", sample{"p99": 1}, "not measured", false},
		{"no row", (&ScenarioResult{}).own().Values, "not measured", false},
	} {
		target := atMost("CPU", c.values, "cpu", 1.5, "%.2f ×")
		if target.Got != c.got || target.Reached != c.reached || target.Limit != "≤ 1.50 ×" {
			t.Errorf("%s: %+v", c.name, target)
		}
	}
	for _, targets := range [][]Target{{{Reached: true}, {Reached: false}}, {{Reached: true, Doubtful: true}}} {
		if r := (&Report{Targets: targets}); r.Reached() {
			t.Errorf("%+v counts as reached", targets)
		}
	}
	if r := (&Report{Targets: []Target{{Reached: true}}}); !r.Reached() {
		t.Error("a target that was reached counts as not")
	}
}

// A generator that is late by much of what it measures measures itself.
func TestLatencyIsDoubtedWhenTheGeneratorIsLate(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		rows []Row
		want bool
	}{
		{"in time", []Row{{Contender: Bare, Values: sample{"late_p99_us": 60, "p99_us": 400}}}, false},
		{"late on the bare hop", []Row{{Contender: Bare, Values: sample{"late_p99_us": 200, "p99_us": 400}}}, true},
		{"late on Pursestring", []Row{{Contender: Pursestring, Values: sample{"late_p99_us": 200, "p99_us": 400}}}, true},
		{"late on a hop that nobody compares with", []Row{{Contender: Std, Values: sample{"late_p99_us": 200, "p99_us": 400}}}, false},
	} {
		if got := doubtful(&ScenarioResult{Rows: c.rows}); got != c.want {
			t.Errorf("%s: doubtful %v, want %v", c.name, got, c.want)
		}
	}
}

func TestReportPrintsAndSaves(t *testing.T) {
	t.Parallel()
	r := newReport(Short, time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC))
	r.Notes = []string{"nginx: not installed: left out"}
	r.Scenarios = []*ScenarioResult{{Name: "saturation", Title: "CPU per call", columns: testColumns,
		Rows: summarize([]string{Bare}, []map[string]sample{{Bare: {"cpu": 10}}}, testColumns)}}
	r.Targets = []Target{{What: "CPU", Limit: "≤ 1.5", Got: "1.2", Reached: true}, {What: "p99", Limit: "≤ 1.2", Got: "1.3"}}
	var out bytes.Buffer
	r.Print(&out)
	for _, want := range []string{"short tier", "CPU per call", "fasthttp-hop", "10.0", "1.00", "–", "reached", "NOT REACHED", "nginx: not installed"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the report does not say %q:\n%s", want, out.String())
		}
	}
	path := filepath.Join(t.TempDir(), "results", "r.json")
	if err := r.Save(path); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var back Report
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	if !back.Date.Equal(r.Date) || back.Machine != r.Machine || back.Scenarios[0].Rows[0].Values["cpu"] != 10 {
		t.Errorf("read back %+v", back)
	}
}

func TestOptionsNameWhatIsUnknown(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		options Options
		want    string // in the error; empty: none
	}{
		{Options{Contenders: []string{Std, Nginx}, Only: []string{"gone"}}, ""},
		{Options{Contenders: []string{"apache"}}, `contender "apache" is none of`},
		{Options{Only: []string{"speed"}}, `scenario "speed" is none of`},
	} {
		err := c.options.Validate()
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %q", c.options, err, c.want)
		}
	}
}
