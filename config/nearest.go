package config

import (
	"slices"
	"strings"
)

// didYouMean returns ": did you mean …?" with the setting that was probably
// meant: one of the same section with nearly the name, one with nearly the whole
// key, one of another section with the same name; or "".
func didYouMean(key string) string {
	parent, last := splitKey(key)
	if best := nearest(last, namesIn(parent)); best != "" {
		return ": did you mean " + joinKey(parent, best) + "?"
	}
	whole := make([]string, len(fields))
	for i := range fields {
		whole[i] = fields[i].key
	}
	best := nearest(key, whole)
	if best == "" {
		best = sameLastName(last)
	}
	if best == "" {
		return ""
	}
	return ": did you mean " + best + "?"
}

func splitKey(key string) (parent, last string) {
	i := strings.LastIndexByte(key, '.')
	return key[:max(0, i)], key[i+1:]
}

func joinKey(parent, last string) string {
	if parent == "" {
		return last
	}
	return parent + "." + last
}

// namesIn lists what a section may hold: settings and sections.
func namesIn(section string) []string {
	if strings.HasPrefix(section, "admin.tokens[") {
		return []string{"name", "role", "sha256"}
	}
	var names []string
	for _, f := range fields {
		rest := f.key
		if section != "" {
			var inside bool
			if rest, inside = strings.CutPrefix(f.key, section+"."); !inside {
				continue
			}
		}
		name, _, _ := strings.Cut(rest, ".")
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// sameLastName finds the setting that was put into the wrong section.
func sameLastName(last string) string {
	for _, f := range fields {
		if strings.HasSuffix(f.key, "."+last) {
			return f.key
		}
	}
	return ""
}

// nearest returns the candidate with the least edit distance to word, or "" when
// none is within a third of the word's length, at least two edits.
func nearest(word string, candidates []string) string {
	best, bestDistance := "", max(2, (len(word)+2)/3)+1
	for _, c := range candidates {
		if d := editDistance(word, c, bestDistance); d < bestDistance {
			best, bestDistance = c, d
		}
	}
	return best
}

// editDistance is Levenshtein's, by bytes; at least enough when it is more.
func editDistance(a, b string, enough int) int {
	if len(a)-len(b) >= enough || len(b)-len(a) >= enough {
		return enough
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
