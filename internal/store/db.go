package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"strconv"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/pursestring/pursestring/internal/budget"
)

const (
	// busyTimeout is how long a write waits for another process's write. Our own
	// writes queue for the one writing connection instead, until their context
	// ends.
	busyTimeout = 5 * time.Second
	// readers is how many reads run at once. They are short, and do not wait for
	// the writer.
	readers = 8
)

// Options are what Open may be told. The zero Options are good.
type Options struct {
	// Now is the clock for what is not given an instant by its caller; nil:
	// time.Now.
	Now func() time.Time
}

// DB is the store. It is made by Open and safe for concurrent use.
type DB struct {
	path  string
	write *sql.DB // one connection: SQLite has one writer at a time anyway
	read  *sql.DB // for a database in memory the same as write
	clock func() time.Time
}

// Open opens the store that storeURL names: sqlite:PATH, or sqlite::memory: for
// tests. A file that is not there is made, readable by its owner only. The schema
// is left as it is: see MigrateUp and CheckSchema.
func Open(ctx context.Context, storeURL string, opts Options) (*DB, error) {
	path, err := parseURL(storeURL)
	if err != nil {
		return nil, err
	}
	if path != memoryPath {
		if err := createPrivate(path); err != nil {
			return nil, unavailable(fmt.Sprintf("open store %q", path), err)
		}
	}
	db, err := openSQLite(path)
	if err != nil {
		return nil, err
	}
	db.clock = opts.Now
	if db.clock == nil {
		db.clock = time.Now
	}
	if err := db.Ping(ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// createPrivate makes the database's file before SQLite does, which would leave
// it readable by everyone; the -wal and -shm files take over its mode. One that
// is there keeps the mode that somebody gave it.
func createPrivate(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return f.Close()
}

func openSQLite(path string) (*DB, error) {
	writing := connectionSettings()
	// Writing transactions take the write lock when they begin. One that began
	// as a reader and wrote later would fail at once, without waiting, whenever
	// another process had written in between.
	writing.Set("_txlock", "immediate")
	// Readers do not block the writer, nor it them. The mode stays with the file.
	writing.Add("_pragma", "journal_mode(WAL)")
	write, err := sql.Open("sqlite", dsn(path, writing))
	if err != nil {
		return nil, unavailable(fmt.Sprintf("open store %q", path), err)
	}
	limit(write, 1)
	if path == memoryPath {
		// Each connection would have a database of its own.
		return &DB{path: path, write: write, read: write}, nil
	}
	reading := connectionSettings()
	reading.Add("_pragma", "query_only(1)")
	read, err := sql.Open("sqlite", dsn(path, reading))
	if err != nil {
		return nil, errors.Join(unavailable(fmt.Sprintf("open store %q", path), err), write.Close())
	}
	limit(read, readers)
	return &DB{path: path, write: write, read: read}, nil
}

func connectionSettings() url.Values {
	v := url.Values{}
	v.Set("_busy_timeout", strconv.FormatInt(busyTimeout.Milliseconds(), 10))
	v.Add("_pragma", "foreign_keys(1)")
	// NORMAL syncs at checkpoints instead of at every commit. A process that dies,
	// by kill -9 too, loses nothing, and the file stays sound whatever happens; a
	// machine that loses power can lose the last commits. That is the trade for a
	// store that is written every half second and must not make calls wait for a
	// disk: spend of the last moments is at stake in a power cut either way.
	v.Add("_pragma", "synchronous(NORMAL)")
	// A misspelt column in double quotes is an error, not a string.
	v.Set("_dqs", "0")
	return v
}

func limit(db *sql.DB, connections int) {
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
}

// Close closes the store. What has been committed is safe.
func (db *DB) Close() error {
	err := db.write.Close()
	if db.read != db.write {
		err = errors.Join(db.read.Close(), err)
	}
	if err != nil {
		return fmt.Errorf("close store %q: %w", db.path, err)
	}
	return nil
}

// Ping reports whether the database can be read and its writing connection is
// there.
func (db *DB) Ping(ctx context.Context) error {
	for _, pool := range []*sql.DB{db.write, db.read} {
		// Touches the file, unlike SELECT 1, so that a file that is no database
		// or has gone away is noticed.
		var n int64
		if err := pool.QueryRowContext(ctx, `SELECT count(*) FROM sqlite_master`).Scan(&n); err != nil {
			return db.fail(err, "reach store %q", db.path)
		}
	}
	return nil
}

// now is the store's own clock, for what has no instant from its caller.
func (db *DB) now() time.Time { return db.clock() }

// at is the instant of a change: the caller's, or the store's clock.
func (db *DB) at(by budget.By) time.Time {
	if by.At.IsZero() {
		return db.now()
	}
	return by.At
}
