package store

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/pursestring/pursestring/internal/budget"
)

// memoryPath is SQLite's own name for a database without a file.
const memoryPath = ":memory:"

// parseURL takes the path out of a store.url. Errors never repeat the URL: those
// of other databases hold passwords.
func parseURL(raw string) (path string, err error) {
	bad := func(format string, args ...any) error {
		return &budget.Error{Code: budget.CodeInvalid, Field: "store.url", Message: "store.url: " + fmt.Sprintf(format, args...)}
	}
	scheme, rest, ok := strings.Cut(raw, ":")
	if !ok {
		return "", bad("no database named, write sqlite:PATH, such as sqlite:pursestring.db")
	}
	switch strings.ToLower(scheme) {
	case "sqlite":
	case "postgres", "postgresql":
		return "", bad("this version has SQLite only, write sqlite:PATH instead of %s://…", scheme)
	default:
		return "", bad("this version has SQLite only, and the URL has another scheme; write sqlite:PATH, such as sqlite:pursestring.db")
	}
	path = strings.TrimPrefix(rest, "//") // sqlite:///var/lib/x.db, as other tools write it
	if path == "" {
		return "", bad("no file named, write sqlite:PATH, such as sqlite:pursestring.db")
	}
	if strings.ContainsRune(path, 0) {
		return "", bad("the path contains a NUL byte")
	}
	return path, nil
}

// dsn is the driver's name for a file opened with the given settings. The path
// stands in a URI, so what a URI gives a meaning is escaped.
func dsn(path string, settings url.Values) string {
	if path == memoryPath {
		return memoryPath + "?" + settings.Encode()
	}
	escaped := strings.NewReplacer("%", "%25", "?", "%3f", "#", "%23").Replace(path)
	return "file:" + escaped + "?" + settings.Encode()
}
