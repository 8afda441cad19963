package config

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write docs/settings.md instead of comparing it")

// TestSettingsReference checks that docs/settings.md says what the struct and
// its comments say; with -update it writes it.
func TestSettingsReference(t *testing.T) {
	t.Parallel()
	path := filepath.Join("..", "docs", "settings.md")
	want := reference(t)
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Error("docs/settings.md is not up to date: run `go generate ./config`")
	}
}

const referenceHead = `# Settings

<!-- Generated from config/config.go by ` + "`go generate ./config`" + `; edit the comments there. -->

One YAML file, all of it optional: ` + "`--config FILE`" + `, else ` + "`pursestring.yaml`" + ` where it lies in the
working folder. Every key has an environment variable, and ` + "`--set key=value`" + ` on the
command line. Flags win over the environment, the environment over the file, the
file over the default. An empty variable counts as not set. Lists and maps in a
variable are YAML or JSON; lists of words may also be written ` + "`a,b`" + `.

A variable with ` + "`_FILE`" + ` at its end names a file that holds the value; secrets are
best given so, and never by ` + "`--set`" + `. They print as ` + "`[redacted]`" + `.

Unknown keys in the file are errors, unknown ` + "`PURSESTRING_*`" + ` variables warn, and the
variables that Kubernetes makes for Services are ignored. ` + "`pursestring check-config`" + `
shows every problem at once.

SIGHUP, or a change of the file, reloads. Settings marked *live* then change without
dropping a connection; the log says which of the others wait for a restart. A bad
reload keeps the last good settings, says so in the log, and sets the metric
` + "`pursestring_config_reload_ok`" + ` to 0.
`

func reference(t *testing.T) string {
	t.Helper()
	comments := fieldComments(t)
	var b strings.Builder
	b.WriteString(referenceHead)
	section := ""
	for i := range fields {
		f := &fields[i]
		name, _, inSection := strings.Cut(f.key, ".")
		if !inSection {
			name = "other"
		}
		if name != section {
			section = name
			fmt.Fprintf(&b, "\n## %s\n", section)
		}
		writeSetting(&b, f, comments)
		if comments[f.key] == "" {
			t.Errorf("%s has no comment in config.go", f.key)
		}
	}
	return b.String()
}

func writeSetting(b *strings.Builder, f *field, comments map[string]string) {
	fmt.Fprintf(b, "\n### `%s`\n\n%s\n\n", f.key, comments[f.key])
	standard := text(f.of(Default()))
	if standard == "" {
		standard = "not set"
	} else {
		standard = "`" + standard + "`"
	}
	fmt.Fprintf(b, "- Default: %s\n- Variable: `%s`", standard, f.env())
	if f.secret {
		fmt.Fprintf(b, ", or `%s_FILE`", f.env())
	}
	if f.live {
		b.WriteString("\n- Reload: live\n")
	} else {
		b.WriteString("\n- Reload: needs a restart\n")
	}
}

// fieldComments reads the comments of config.go by key.
func fieldComments(t *testing.T) map[string]string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "config.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	structs := map[string]*ast.StructType{}
	ast.Inspect(file, func(n ast.Node) bool {
		if spec, ok := n.(*ast.TypeSpec); ok {
			if s, ok := spec.Type.(*ast.StructType); ok {
				structs[spec.Name.Name] = s
			}
		}
		return true
	})
	comments := map[string]string{}
	var walk func(name, prefix string)
	walk = func(name, prefix string) {
		for _, f := range structs[name].Fields.List {
			key := reflect.StructTag(strings.Trim(f.Tag.Value, "`")).Get("yaml")
			comments[prefix+key] = strings.Join(strings.Fields(f.Doc.Text()), " ")
			if ident, ok := f.Type.(*ast.Ident); ok && structs[ident.Name] != nil && ident.Name != "Token" {
				walk(ident.Name, prefix+key+".")
			}
		}
	}
	walk("Config", "")
	return comments
}
