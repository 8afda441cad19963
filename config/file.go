package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// DefaultFile is read from the working folder when no file is named.
const DefaultFile = "pursestring.yaml"

// maxFile bounds what is read of a file: far beyond any sensible one, and small
// enough that a wrong path (a log, a device) does not fill memory.
const maxFile = 4 << 20

// readFile lays a file over the settings. Problems go to the loader.
func (l *loader) readFile(path string) {
	data, err := readBounded(path)
	if err != nil {
		l.add(Problem{Source: path, Message: fmt.Sprintf("cannot read the configuration: %v", err), Err: err})
		return
	}
	l.files = append(l.files, path)
	l.readYAML(path, data)
}

func readBounded(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("%s is larger than %d MiB, which is no configuration", path, maxFile>>20)
	}
	return data, nil
}

func (l *loader) readYAML(path string, data []byte) {
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var doc yaml.Node
	switch err := decoder.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return // nothing but comments
	case err != nil:
		l.add(Problem{Source: path, Message: "not YAML: " + strings.TrimPrefix(err.Error(), "yaml: ")})
		return
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		l.add(Problem{Source: path, Message: "holds more than one YAML document: keep one"})
		return
	}
	if len(doc.Content) != 1 {
		return
	}
	w := nodeWalk{loader: l, file: path}
	w.section(reflect.ValueOf(l.config).Elem(), doc.Content[0], "")
}

// nodeWalk puts YAML nodes into settings and notes what does not fit.
type nodeWalk struct {
	loader *loader
	file   string // "" when the YAML came from a variable or a flag
	source string // what to name instead
}

func (w *nodeWalk) problem(n *yaml.Node, key, format string, args ...any) {
	w.loader.add(Problem{Key: key, Source: w.at(n), Message: fmt.Sprintf(format, args...)})
}

func (w *nodeWalk) at(n *yaml.Node) string {
	if w.file == "" {
		return w.source
	}
	return w.file + ":" + strconv.Itoa(n.Line)
}

// section fills a struct of settings from a mapping.
func (w *nodeWalk) section(v reflect.Value, n *yaml.Node, prefix string) {
	w.members(n, strings.TrimSuffix(prefix, "."), func(name, value *yaml.Node) {
		key := prefix + name.Value
		target, ok := member(v, name.Value)
		switch {
		case !ok:
			w.problem(name, key, "is not a setting%s", didYouMean(key))
		case isSection(target.Type()):
			w.section(target, value, key+".")
		default:
			w.setting(target, value, key)
		}
	})
}

// members calls each for every pair of a mapping, once per name. A section with
// nothing in it, as when all its keys are comments, is null and no problem.
func (w *nodeWalk) members(n *yaml.Node, key string, each func(name, value *yaml.Node)) {
	n = resolve(n)
	if isNull(n) {
		return
	}
	if n.Kind != yaml.MappingNode {
		w.problem(n, key, "is %s, want a mapping of keys to values", kindName(n))
		return
	}
	seen := make(map[string]int, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		name := resolve(n.Content[i])
		at := name.Value
		if key != "" {
			at = key + "." + name.Value
		}
		if name.Kind != yaml.ScalarNode {
			w.problem(name, key, "has a key that is %s, want a word", kindName(name))
			continue
		}
		if line, twice := seen[name.Value]; twice {
			w.problem(name, at, "stands there twice, first on line %d: keep one", line)
			continue
		}
		seen[name.Value] = name.Line
		each(name, n.Content[i+1])
	}
}

// setting fills one value: a scalar, a list or a map.
func (w *nodeWalk) setting(v reflect.Value, n *yaml.Node, key string) {
	w.loader.note(key, w.at(n))
	n = resolve(n)
	switch kind := v.Kind(); {
	case kind == reflect.Slice:
		w.list(v, n, key)
	case kind == reflect.Map:
		w.mapping(v, n, key)
	case v.Type() == reflect.TypeFor[Token]():
		w.section(v, n, key+".")
	case isNull(n):
		if !setNull(v) {
			w.problem(n, key, "%v", errNull)
		}
	case n.Kind != yaml.ScalarNode:
		w.problem(n, key, "is %s, want one value", kindName(n))
	default:
		if err := setText(v, n.Value); err != nil {
			w.problem(n, key, "%v", err)
		}
	}
}

func (w *nodeWalk) list(v reflect.Value, n *yaml.Node, key string) {
	if isNull(n) {
		w.problem(n, key, "%v", errNull)
		return
	}
	if n.Kind != yaml.SequenceNode {
		w.problem(n, key, "is %s, want a list", kindName(n))
		return
	}
	items := reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content))
	for i, item := range n.Content {
		w.setting(items.Index(i), item, key+"["+strconv.Itoa(i)+"]")
	}
	if items.Len() == 0 {
		items = reflect.Zero(v.Type()) // an empty list and none are the same
	}
	v.Set(items)
}

func (w *nodeWalk) mapping(v reflect.Value, n *yaml.Node, key string) {
	filled := reflect.MakeMap(v.Type())
	w.members(n, key, func(name, value *yaml.Node) {
		item := reflect.New(v.Type().Elem()).Elem()
		w.setting(item, value, key+"."+name.Value)
		filled.SetMapIndex(reflect.ValueOf(name.Value), item)
	})
	if filled.Len() == 0 {
		filled = reflect.Zero(v.Type())
	}
	v.Set(filled)
}

// member finds the field of a struct by its name in YAML.
func member(v reflect.Value, name string) (reflect.Value, bool) {
	for i := range v.NumField() {
		if tag := v.Type().Field(i).Tag.Get("yaml"); tag == name && tag != "-" {
			return v.Field(i), true
		}
	}
	return reflect.Value{}, false
}

// resolve follows an alias. yaml.v3 refuses an anchor that holds itself, and
// depth is bounded by the settings, so following one at a time ends.
func resolve(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode && n.Alias != nil {
		n = n.Alias
	}
	return n
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

func kindName(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	case yaml.ScalarNode, yaml.AliasNode, yaml.DocumentNode:
	}
	return "a single value"
}
