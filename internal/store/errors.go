package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/pursestring/pursestring/internal/budget"
)

// fail says what was attempted on what. An error that a person can read already
// stays as it is; one that says the database is out of reach becomes
// budget.ErrUnavailable; any other is a fault of ours and keeps no code.
func (db *DB) fail(err error, format string, args ...any) error {
	if _, ok := errors.AsType[*budget.Error](err); ok {
		return err
	}
	what := fmt.Sprintf(format, args...)
	if outOfReach(err) {
		return unavailable(what, err)
	}
	return fmt.Errorf("%s: %w", what, err)
}

func unavailable(what string, err error) error {
	return &budget.Error{Code: budget.CodeUnavailable, Message: what, Err: err}
}

func outOfReach(err error) bool {
	for _, e := range []error{context.Canceled, context.DeadlineExceeded, driver.ErrBadConn, sql.ErrConnDone, sql.ErrTxDone} {
		if errors.Is(err, e) {
			return true
		}
	}
	e, ok := errors.AsType[*sqlite.Error](err)
	if !ok {
		return false
	}
	switch e.Code() & 0xff { // the primary code, without its details
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_INTERRUPT,
		sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN,
		sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH:
		return true
	}
	return false
}

func invalid(field, format string, args ...any) error {
	return &budget.Error{Code: budget.CodeInvalid, Field: field, Message: fmt.Sprintf(format, args...)}
}

func notFound(format string, args ...any) error {
	return &budget.Error{Code: budget.CodeNotFound, Message: fmt.Sprintf(format, args...)}
}

func conflict(field, format string, args ...any) error {
	return &budget.Error{Code: budget.CodeConflict, Field: field, Message: fmt.Sprintf(format, args...)}
}

func noTenant(id string) error { return notFound("there is no tenant %q", id) }
