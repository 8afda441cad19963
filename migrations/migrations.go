// Package migrations holds the store's schema, one folder of SQL files per
// database, embedded in the binary.
//
// Files are numbered and run in order by goose. Each says how to go up and how to
// go back down, runs in one transaction, and must work under the code of the
// version before as well as its own, because replicas are updated one by one. A
// file that has been released is never edited.
package migrations

import (
	"embed"
	"io/fs"
)

//go:embed sqlite/*.sql
var files embed.FS

// SQLite returns the migrations for SQLite, at the root of the file system.
func SQLite() fs.FS {
	sub, err := fs.Sub(files, "sqlite")
	if err != nil {
		panic("BUG: embedded folder sqlite: " + err.Error()) // only for a malformed name
	}
	return sub
}
