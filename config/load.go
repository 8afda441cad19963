package config

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Source is where settings come from. It can be read again for a reload.
type Source struct {
	Path  string   // the YAML file; "": none
	Env   []string // as os.Environ gives it
	Flags []string // key=value, as after --set
	Plane Plane    // "": PlaneAll
}

// Loaded is what Load found.
type Loaded struct {
	Config   *Config
	Warnings []string // for the log; nothing in them stops a start
	Files    []string // what was read, for a watcher
}

// FindFile returns the file to read: the one that was named, else DefaultFile
// where it lies in dir, else "".
func FindFile(named, dir string) string {
	if named != "" {
		return named
	}
	path := filepath.Join(dir, DefaultFile)
	if _, err := os.Stat(path); err != nil {
		return ""
	}
	return path
}

// Load reads and validates settings: flags over environment over file over
// defaults. Its error is Problems: all of them.
func Load(s Source) (Loaded, error) {
	l := loader{config: Default(), sources: make(map[string]string)}
	if s.Plane != "" {
		l.config.Plane = s.Plane
	}
	if s.Path != "" {
		l.readFile(s.Path)
	}
	l.readEnv(s.Env)
	l.readFlags(s.Flags)
	l.validate()
	loaded := Loaded{Config: l.config, Warnings: append(l.warnings, l.config.warnings()...), Files: l.files}
	if len(l.problems) > 0 {
		return loaded, l.problems
	}
	return loaded, nil
}

// loader gathers settings, and what is wrong with them.
type loader struct {
	config   *Config
	sources  map[string]string // key → where it was set last
	problems Problems
	warnings []string
	files    []string
}

func (l *loader) note(key, source string) { l.sources[key] = source }

func (l *loader) add(p Problem) { l.problems = append(l.problems, p) }

// readFlags lays key=value pairs over the settings.
func (l *loader) readFlags(flags []string) {
	for _, flag := range flags {
		key, value, ok := strings.Cut(flag, "=")
		f := fieldByKey[key]
		switch {
		case !ok:
			l.add(Problem{Source: "--set", Message: fmt.Sprintf("%q is not key=value", clip(key))})
		case f == nil:
			l.add(Problem{Key: clip(key), Source: "--set", Message: "is not a setting" + didYouMean(clip(key))})
		case f.typ == fieldByKey["admin.webhook_token"].typ:
			l.add(Problem{Key: key, Source: "--set", Message: fmt.Sprintf("is a secret, and other users can see a command line: use %s or %s_FILE", f.env(), f.env())})
		default:
			l.setFromText(f, value, "--set")
		}
	}
}

// validate adds what is wrong with the values, but says nothing more of a key
// that could not be read.
func (l *loader) validate() {
	for _, p := range l.config.Validate() {
		if slices.ContainsFunc(l.problems, func(q Problem) bool { return q.Key == p.Key }) {
			continue
		}
		p.Source = l.sourceOf(p.Key)
		l.add(p)
	}
}

// sourceOf returns where a key, or the setting that holds it, was set.
func (l *loader) sourceOf(key string) string {
	for key != "" {
		if source, ok := l.sources[key]; ok {
			return source
		}
		key = key[:max(0, strings.LastIndexAny(key, ".["))]
	}
	return ""
}

// Problem is one thing that is wrong with the settings.
type Problem struct {
	Key     string // "enforce.mode"; "" when it is about a whole file
	Source  string // file:line, a variable or a flag; "": the default
	Message string // reads on after the key; names the remedy, never a secret
	Err     error  // the cause; may be nil
}

// String returns the problem on one line: key, message and where.
func (p Problem) String() string {
	switch {
	case p.Key == "":
		return p.Source + ": " + p.Message
	case p.Source == "":
		return p.Key + ": " + p.Message
	}
	return p.Key + ": " + p.Message + " (" + p.Source + ")"
}

// Problems is everything that is wrong with the settings.
type Problems []Problem

// Error returns one problem per line.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns the causes.
func (ps Problems) Unwrap() []error {
	var causes []error
	for _, p := range ps {
		if p.Err != nil {
			causes = append(causes, p.Err)
		}
	}
	return causes
}

var _ error = Problems(nil)
