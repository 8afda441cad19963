package config

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

func TestDefaultIsValid(t *testing.T) {
	t.Parallel()
	if problems := Default().Validate(); len(problems) > 0 {
		t.Errorf("the defaults have problems:\n%v", problems)
	}
}

func TestExampleEqualsDefault(t *testing.T) {
	t.Parallel()
	loaded, err := Load(Source{Path: "example.yaml"})
	if err != nil {
		t.Fatal(err)
	}
	if changes := Diff(Default(), loaded.Config); len(changes) > 0 {
		t.Errorf("example.yaml differs from the defaults in %v", changes)
	}
	if !reflect.DeepEqual(Default(), loaded.Config) {
		t.Errorf("example.yaml gives\n%+v, want\n%+v", loaded.Config, Default())
	}
}

// TestExampleShowsEverySetting reads the example with its commented settings
// switched on: they must be settings too, and none may be missing.
func TestExampleShowsEverySetting(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	commented := regexp.MustCompile(`(?m)^(\s*)# (( +|  - | *)[a-z0-9_-]+:( .*)?|  - name: .*)$`)
	full := commented.ReplaceAll(data, []byte("$1$2"))
	path := filepath.Join(t.TempDir(), "full.yaml")
	if err := os.WriteFile(path, full, 0o600); err != nil {
		t.Fatal(err)
	}
	l := loader{config: Default(), sources: map[string]string{}}
	l.readFile(path)
	l.validate()
	if len(l.problems) > 0 {
		t.Fatalf("the example with all its settings has problems:\n%v\n%s", l.problems, full)
	}
	for _, f := range fields {
		if _, ok := l.sources[f.key]; !ok {
			t.Errorf("example.yaml does not show %s", f.key)
		}
	}
}

// TestBadFiles loads every file in testdata/bad, whose first comments say which
// problems it has; it must have those and no other.
func TestBadFiles(t *testing.T) {
	t.Parallel()
	paths, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no bad files: %v", err)
	}
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			t.Parallel()
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			var want []string
			for line := range strings.Lines(string(data)) {
				if text, ok := strings.CutPrefix(line, "# want: "); ok {
					want = append(want, strings.ReplaceAll(strings.TrimSpace(text), "$FILE", path))
				}
			}
			_, err = Load(Source{Path: path})
			if err == nil {
				t.Fatal("loads without a problem")
			}
			got := strings.Split(err.Error(), "\n")
			for _, w := range want {
				if !containsLine(got, w) {
					t.Errorf("misses the problem\n  %s\namong\n%v", w, err)
				}
			}
			if len(got) != len(want) {
				t.Errorf("has %d problems, want %d:\n%s", len(got), len(want), err)
			}
			if strings.Contains(err.Error(), "pasted-by-mistake") {
				t.Errorf("prints a secret:\n%s", err)
			}
		})
	}
}

func containsLine(lines []string, want string) bool {
	for _, line := range lines {
		if strings.Contains(line, want) {
			return true
		}
	}
	return false
}

func TestMissingFileIsNamed(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "none.yaml")
	_, err := Load(Source{Path: path})
	if err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v, want an error that names %s", err, path)
	}
	if !os.IsNotExist(err.(Problems)[0].Err) { //nolint:errorlint // the type is the contract
		t.Errorf("the cause is lost: %v", err)
	}
}

func TestFindFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if got := FindFile("", dir); got != "" {
		t.Errorf("an empty folder gives %q, want no file", got)
	}
	path := filepath.Join(dir, DefaultFile)
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := FindFile("", dir); got != path {
		t.Errorf("got %q, want the file of the folder", got)
	}
	if got := FindFile("named.yaml", dir); got != "named.yaml" {
		t.Errorf("got %q, want the file that was named", got)
	}
}

// FuzzLoad checks that no file crashes the loader, that a file without problems
// gives a valid configuration, and that problems name something.
func FuzzLoad(f *testing.F) {
	seeds, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range append(seeds, "example.yaml") {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte("a: &a [*a]\nproxy: *a"))
	f.Add([]byte("proxy: &p {listen: x}\nadmin: *p\n<<: *p"))
	f.Add([]byte("? {a: b}\n: c"))
	f.Fuzz(func(t *testing.T, data []byte) {
		l := loader{config: Default(), sources: map[string]string{}}
		l.readYAML("fuzz.yaml", data)
		l.validate()
		if len(l.problems) == 0 {
			if again := l.config.Validate(); len(again) > 0 {
				t.Errorf("loaded without a problem, but: %v", again)
			}
		}
		for _, p := range l.problems {
			if p.Message == "" || p.Key == "" && p.Source == "" {
				t.Errorf("a problem says nothing: %+v", p)
			}
		}
	})
}
