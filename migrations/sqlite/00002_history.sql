-- What happened: alerts, changes by people, and the revisions that tell other
-- processes what to read anew. Units as in 00001.

-- +goose Up
CREATE TABLE budget_alert_history (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    at            INTEGER NOT NULL,
    source        TEXT    NOT NULL CHECK (source IN ('litellm', 'pursestring')),
    type          TEXT    NOT NULL,
    event_group   TEXT    NOT NULL,
    tenant_id     TEXT, -- NULL: belongs to no tenant we know
    key_hash      TEXT CHECK (length(key_hash) = 64),
    subject       TEXT    NOT NULL,
    spend_nusd    INTEGER, -- as claimed; NULL: not said
    max_nusd      INTEGER,
    projected     INTEGER NOT NULL CHECK (projected IN (0, 1)),
    detail        BLOB, -- the event as it came; bytes, because nothing says it is valid text
    window_number INTEGER NOT NULL -- 0: not known
) STRICT;
CREATE INDEX budget_alert_history_tenant ON budget_alert_history (tenant_id, id);

CREATE TABLE audit_log (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    at          INTEGER NOT NULL,
    actor       TEXT    NOT NULL CHECK (actor <> ''),
    action      TEXT    NOT NULL CHECK (action <> ''),
    tenant_id   TEXT    NOT NULL,
    before_json TEXT, -- NULL: nothing before
    after_json  TEXT, -- NULL: nothing after
    reason      TEXT    NOT NULL
) STRICT;
CREATE INDEX audit_log_tenant ON audit_log (tenant_id, id);

-- One row, which every change raises first: in a database with many writers its
-- row lock makes revisions commit in order, so that a reader who has seen one has
-- seen all below it.
CREATE TABLE store_revision (
    id    INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    value INTEGER NOT NULL
) STRICT;
-- Tenants that are there already keep revisions above what they have.
INSERT INTO store_revision (id, value) SELECT 1, COALESCE(max(revision), 0) FROM tenant_configs;

CREATE TABLE tenant_changes (
    revision  INTEGER NOT NULL PRIMARY KEY,
    tenant_id TEXT    NOT NULL,
    key_hash  TEXT CHECK (length(key_hash) = 64), -- set when a key came or went
    at        INTEGER NOT NULL
) STRICT;
CREATE INDEX tenant_changes_age ON tenant_changes (at);

-- +goose Down
DROP TABLE tenant_changes;
DROP TABLE store_revision;
DROP TABLE audit_log;
DROP TABLE budget_alert_history;
