package suite

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// sample is what one measurement gave, by column key.
type sample map[string]float64

// column is one number of a scenario.
type column struct {
	key   string
	title string
	// digits after the point in the table.
	digits int
	// ratio: shown also as a multiple of the bare hop's.
	ratio bool
	// added: shown also as the difference from this contender's.
	added string
}

// Row is one contender's result in one scenario.
type Row struct {
	Contender string `json:"contender"`
	// Values are medians over the rounds.
	Values sample `json:"values"`
	// Ratios to the bare hop: medians of each round's ratio, so that what drifts
	// over the run cancels out.
	Ratios sample `json:"ratios,omitempty"`
	// Added to a reference: medians of each round's difference.
	Added  sample   `json:"added,omitempty"`
	Rounds []sample `json:"rounds"`
}

// ScenarioResult is a scenario's table.
type ScenarioResult struct {
	Name  string `json:"name"`
	Title string `json:"title"`
	Rows  []Row  `json:"rows"`

	columns []column
}

// own is Pursestring's row; an empty one when it was not measured.
func (s *ScenarioResult) own() Row {
	for _, row := range s.Rows {
		if row.Contender == Pursestring {
			return row
		}
	}
	return Row{Contender: Pursestring}
}

// Target is one line of the numbers to reach.
type Target struct {
	What    string `json:"what"`
	Limit   string `json:"limit"`
	Got     string `json:"got"`
	Reached bool   `json:"reached"`
	// Doubtful: the machine was too busy for the number to say anything.
	Doubtful bool `json:"doubtful,omitempty"`
}

func (t Target) verdict() string {
	switch {
	case t.Doubtful:
		return "CANNOT TELL: the machine was too busy"
	case t.Reached:
		return "reached"
	default:
		return "NOT REACHED"
	}
}

// atMost is a target for the number under key, which must be there and not above
// limit. format writes both.
func atMost(what string, values sample, key string, limit float64, format string) Target {
	t := Target{What: what, Limit: "≤ " + fmt.Sprintf(format, limit), Got: "not measured"}
	if got, ok := values[key]; ok {
		t.Got, t.Reached = fmt.Sprintf(format, got), got <= limit
	}
	return t
}

// Machine is where the numbers hold.
type Machine struct {
	CPU    string `json:"cpu"`
	Cores  int    `json:"cores"`
	Kernel string `json:"kernel"`
	Go     string `json:"go"`
	OSArch string `json:"os_arch"`
	Files  uint64 `json:"open_files_limit"`
}

// Report is the outcome of a run.
type Report struct {
	Date    time.Time `json:"date"`
	Tier    string    `json:"tier"`
	Elapsed string    `json:"elapsed"`
	Machine Machine   `json:"machine"`
	// OthersPercent is the share of the machine's processor time that went to
	// processes of nobody here, or to other machines on the same host.
	OthersPercent float64           `json:"others_cpu_percent"`
	Notes         []string          `json:"notes,omitempty"`
	Scenarios     []*ScenarioResult `json:"scenarios"`
	// Targets are Pursestring's; without it there are none.
	Targets []Target `json:"targets,omitempty"`
}

// Reached reports whether every target was, without doubt.
func (r *Report) Reached() bool {
	return !slices.ContainsFunc(r.Targets, func(t Target) bool { return !t.Reached || t.Doubtful })
}

// Save writes the report as JSON.
func (r *Report) Save(path string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}

// Print writes the report for people.
func (r *Report) Print(w io.Writer) {
	m := r.Machine
	fmt.Fprintf(w, "\n%s, %s tier, %s\n%s, %d cores, Linux %s, %s, %d open files; %.0f %% of its processor time went to others\n",
		r.Date.Format("2006-01-02 15:04 MST"), r.Tier, r.Elapsed, m.CPU, m.Cores, m.Kernel, m.Go, m.Files, r.OthersPercent)
	for _, s := range r.Scenarios {
		s.print(w)
	}
	if len(r.Targets) > 0 {
		fmt.Fprintln(w, "\nTargets")
		tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		for _, t := range r.Targets {
			fmt.Fprintf(tw, "  %s\t%s\t%s\t%s\n", t.What, t.Limit, t.Got, t.verdict())
		}
		_ = tw.Flush() // w is a terminal or a buffer
	}
	if len(r.Notes) > 0 {
		fmt.Fprintln(w, "\nNotes")
		for _, note := range r.Notes {
			fmt.Fprintln(w, "  - "+note)
		}
	}
}

func (s *ScenarioResult) print(w io.Writer) {
	fmt.Fprintf(w, "\n%s\n", s.Title)
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	heads := []string{""}
	for _, c := range s.columns {
		heads = append(heads, c.title)
		if c.ratio {
			heads = append(heads, "× bare")
		}
		if c.added != "" {
			heads = append(heads, "added")
		}
	}
	fmt.Fprintln(tw, strings.Join(heads, "\t")+"\t")
	for _, row := range s.Rows {
		fmt.Fprintln(tw, strings.Join(row.cells(s.columns), "\t")+"\t")
	}
	_ = tw.Flush() // w is a terminal or a buffer
}

func (r *Row) cells(columns []column) []string {
	cells := []string{"  " + r.Contender}
	for _, c := range columns {
		cells = append(cells, number(r.Values, c.key, c.digits, ""))
		if c.ratio {
			cells = append(cells, number(r.Ratios, c.key, 2, ""))
		}
		if c.added != "" {
			cells = append(cells, number(r.Added, c.key, c.digits, "+"))
		}
	}
	return cells
}

func number(s sample, key string, digits int, sign string) string {
	v, ok := s[key]
	if !ok {
		return "–"
	}
	text := strconv.FormatFloat(v, 'f', digits, 64)
	if sign != "" && !strings.HasPrefix(text, "-") {
		text = sign + text
	}
	return text
}

// summarize turns rounds into rows. rounds[i] has each contender's sample of
// round i; a contender may be missing.
func summarize(order []string, rounds []map[string]sample, columns []column) []Row {
	var rows []Row
	for _, name := range order {
		row := Row{Contender: name, Values: sample{}, Ratios: sample{}, Added: sample{}}
		for _, round := range rounds {
			if s, ok := round[name]; ok {
				row.Rounds = append(row.Rounds, s)
			}
		}
		if len(row.Rounds) == 0 {
			continue
		}
		for _, c := range columns {
			put(row.Values, c.key, each(rounds, func(r map[string]sample) float64 { return at(r, name, c.key) }))
			if c.ratio && name != Direct {
				put(row.Ratios, c.key, each(rounds, func(r map[string]sample) float64 {
					return at(r, name, c.key) / at(r, Bare, c.key)
				}))
			}
			if c.added != "" && name != c.added {
				put(row.Added, c.key, each(rounds, func(r map[string]sample) float64 {
					return at(r, name, c.key) - at(r, c.added, c.key)
				}))
			}
		}
		rows = append(rows, row)
	}
	return rows
}

// at is NaN for what was not measured.
func at(round map[string]sample, name, key string) float64 {
	if v, ok := round[name][key]; ok {
		return v
	}
	return math.NaN()
}

func each(rounds []map[string]sample, f func(map[string]sample) float64) []float64 {
	var values []float64
	for _, round := range rounds {
		if v := f(round); !math.IsNaN(v) && !math.IsInf(v, 0) {
			values = append(values, v)
		}
	}
	return values
}

// put sets key to the median of values, if there are any.
func put(s sample, key string, values []float64) {
	if len(values) > 0 {
		s[key] = median(values)
	}
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	mid := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[mid]
	}
	return (sorted[mid-1] + sorted[mid]) / 2
}
