package config

import (
	"fmt"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// kubernetesVariable is in every pod's environment.
const kubernetesVariable = "KUBERNETES_SERVICE_HOST"

// serviceLink is the shape of the variables that Kubernetes gives every pod for
// every Service. A Service called pursestring or pursestring-admin makes some
// that begin with our prefix.
var serviceLink = regexp.MustCompile(`_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)$`)

// portLink is the value of such a variable that ends in _PORT.
var portLink = regexp.MustCompile(`^(tcp|udp|sctp)://`)

func isServiceLink(name, value string) bool {
	return serviceLink.MatchString(name) || strings.HasSuffix(name, "_PORT") && portLink.MatchString(value)
}

// readEnv lays the environment over the settings. An empty variable counts as
// not set, which is what an optional reference in a pod's spec leaves behind.
func (l *loader) readEnv(environ []string) {
	values := environment(environ)
	l.config.Kubernetes = values[kubernetesVariable] != ""
	known := map[string]bool{}
	for i := range fields {
		f := &fields[i]
		known[f.env()] = true
		value := values[f.env()]
		if f.secret {
			known[f.env()+"_FILE"] = true
			value = l.secretFile(f, value, values[f.env()+"_FILE"])
		}
		if value != "" {
			l.setFromText(f, value, f.env())
		}
	}
	l.warnUnknown(values, known)
}

func environment(environ []string) map[string]string {
	values := make(map[string]string)
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		if strings.HasPrefix(name, envPrefix) || name == kubernetesVariable {
			values[name] = value
		}
	}
	return values
}

// secretFile returns the content of the file that a …_FILE variable names, else
// the variable's own value.
func (l *loader) secretFile(f *field, value, path string) string {
	name := f.env() + "_FILE"
	if path == "" {
		return value
	}
	if value != "" {
		l.add(Problem{Key: f.key, Source: name, Message: fmt.Sprintf("is given by %s and by %s: keep one", f.env(), name)})
		return ""
	}
	data, err := readBounded(path)
	if err != nil {
		l.add(Problem{Key: f.key, Source: name, Message: fmt.Sprintf("cannot be read: %v", err), Err: err})
		return ""
	}
	l.files = append(l.files, filepath.Clean(path))
	content := strings.TrimRight(string(data), "\r\n")
	if content == "" {
		l.add(Problem{Key: f.key, Source: name, Message: fmt.Sprintf("the file %s is empty", path)})
	}
	return content
}

// warnUnknown says which of our variables mean nothing. They are no error: a
// cluster may give a pod variables that nobody asked for.
func (l *loader) warnUnknown(values map[string]string, known map[string]bool) {
	var unknown []string
	for name, value := range values {
		if strings.HasPrefix(name, envPrefix) && !known[name] && !isServiceLink(name, value) {
			unknown = append(unknown, name)
		}
	}
	slices.Sort(unknown)
	for _, name := range unknown {
		message := name + " is set and means nothing"
		if best := nearest(name, sortedNames(known)); best != "" {
			message += ": did you mean " + best + "?"
		}
		l.warnings = append(l.warnings, message)
	}
}

func sortedNames(set map[string]bool) []string {
	names := make([]string, 0, len(set))
	for name := range set {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// setFromText sets a setting from a variable or a flag: a scalar as it is, a
// list as "a,b" or YAML, a map as YAML, of which JSON is a part.
func (l *loader) setFromText(f *field, value, source string) {
	l.note(f.key, source)
	v := f.of(l.config)
	kind := f.typ.Kind()
	if kind != reflect.Slice && kind != reflect.Map {
		if value == "null" && setNull(v) {
			return
		}
		if err := setText(v, value); err != nil {
			l.add(Problem{Key: f.key, Source: source, Message: err.Error()})
		}
		return
	}
	if kind == reflect.Slice && !strings.HasPrefix(value, "[") && f.typ.Elem().Kind() == reflect.String {
		parts := strings.Split(value, ",")
		list := reflect.MakeSlice(f.typ, len(parts), len(parts))
		for i, part := range parts {
			list.Index(i).SetString(strings.TrimSpace(part))
		}
		v.Set(list)
		return
	}
	var doc yaml.Node
	// The parser's own words could hold a piece of the value.
	if err := yaml.Unmarshal([]byte(value), &doc); err != nil || len(doc.Content) != 1 {
		l.add(Problem{Key: f.key, Source: source, Message: "is not YAML or JSON"})
		return
	}
	w := nodeWalk{loader: l, source: source}
	w.setting(v, doc.Content[0], f.key)
}
