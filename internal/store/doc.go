// Package store keeps the rows that outlive a process: tenants and their keys,
// windows and what was spent in them, overrides, alerts, the audit log.
//
// One concrete type, DB, stands before the database. This version has SQLite;
// the SQL keeps to what PostgreSQL also understands ($1 placeholders, ON
// CONFLICT, RETURNING), so that a second database changes only how a DB is
// opened and migrated. What both have in common:
//
//   - Amounts are BIGINT nano-dollars in columns that end in _nusd; instants are
//     integer microseconds since 1970, UTC, so that they compare and sort the same
//     everywhere. Finer instants are cut to the microsecond on the way in.
//   - Every change runs in one transaction, through DB.change, which first raises
//     the store's revision. That one row orders all changes, so what a change
//     reads stays true until it commits. The audit row is written beside the
//     change, and a change for other processes' caches (see DB.Changes).
//   - Two writes are not changes: spend totals and the rolling of windows, which
//     every process works out for itself.
//   - Errors name what was attempted and on what. Those with a meaning for the
//     caller match budget.ErrNotFound, ErrConflict, ErrStale or ErrInvalid;
//     budget.ErrUnavailable means that the database was out of reach, busy for too
//     long, or that the context ended.
//
// All methods are safe for concurrent use.
package store
