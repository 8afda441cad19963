package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strconv"
)

// lockSuffix names the file beside the database that serialises migrations.
const lockSuffix = ".migrate-lock"

// lockMigrations lets one process at a time look at the schema and change it, and
// returns the function that lets the next one in. It waits until ctx ends.
//
// The lock is the write lock of a second, empty SQLite database beside the first:
// the operating system drops it when its process dies, however it dies, and it
// works wherever SQLite does. The database itself cannot hold it, since a
// migration needs several transactions there. The file stays: to remove it while
// somebody waits for it would let two in at once.
func (db *DB) lockMigrations(ctx context.Context) (unlock func(), err error) {
	if db.path == memoryPath {
		return func() {}, nil // nobody else can see it, and it has one connection
	}
	path := db.path + lockSuffix
	if err := createPrivate(path); err != nil {
		return nil, unavailable(fmt.Sprintf("make the migration lock %q", path), err)
	}
	settings := url.Values{}
	settings.Set("_txlock", "exclusive")
	// A waiting turn ends with ctx, which is what bounds it.
	settings.Set("_busy_timeout", strconv.Itoa(1<<30))
	file, err := sql.Open("sqlite", dsn(path, settings))
	if err != nil {
		return nil, unavailable(fmt.Sprintf("open the migration lock %q", path), err)
	}
	// The lock must outlast ctx: it is held until what it guards has ended.
	held, err := beginUnder(ctx, file)
	if err != nil {
		_ = file.Close() // nothing was written to it
		return nil, unavailable(fmt.Sprintf("wait for another migration to end (lock %q)", path), err)
	}
	return func() {
		_ = held.Rollback() // nothing was written; closing drops the lock at the latest
		_ = file.Close()
	}, nil
}

// beginUnder begins a transaction, waiting no longer than ctx, that then lives on
// without it: database/sql would roll back with the context it began under.
func beginUnder(ctx context.Context, db *sql.DB) (*sql.Tx, error) {
	lasting, giveUp := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, giveUp)
	tx, err := db.BeginTx(lasting, nil)
	if err != nil {
		giveUp()
		return nil, errors.Join(err, ctx.Err())
	}
	if !stop() { // ctx ended at the last moment, and the transaction with it
		_ = tx.Rollback()
		return nil, ctx.Err()
	}
	return tx, nil
}
