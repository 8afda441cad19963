-- Tenants, their keys, windows, overrides, and what was spent.
--
-- Tables are STRICT, so a column takes nothing but its type; INTEGER is SQLite's
-- 64-bit integer. Amounts (_nusd) are nano-dollars, instants (_at, anchor) are
-- microseconds since 1970 in UTC, and 1/0 are true and false.

-- +goose Up
CREATE TABLE tenant_configs (
    id                  TEXT    NOT NULL PRIMARY KEY CHECK (id <> ''),
    alias               TEXT    NOT NULL DEFAULT '',
    max_budget_nusd     INTEGER CHECK (max_budget_nusd > 0), -- NULL: metered, never blocked
    alert_threshold     INTEGER NOT NULL CHECK (alert_threshold BETWEEN 50 AND 100),
    grace_threshold     INTEGER NOT NULL CHECK (grace_threshold BETWEEN 100 AND 150),
    budget_duration     TEXT    CHECK (budget_duration <> ''), -- NULL: never resets
    anchor              INTEGER NOT NULL,
    reset_alignment     TEXT    NOT NULL CHECK (reset_alignment IN ('anniversary', 'calendar')),
    timezone            TEXT    NOT NULL CHECK (timezone <> ''),
    -- The window that was open when the row was written. Whether it still is
    -- follows from the clock; the next one opens by itself.
    window_number       INTEGER NOT NULL CHECK (window_number >= 1),
    window_start_at     INTEGER NOT NULL,
    budget_reset_at     INTEGER CHECK (budget_reset_at > window_start_at), -- the window's end; NULL: never
    mode                TEXT    NOT NULL CHECK (mode IN ('', 'enforce', 'shadow')), -- '': the global mode
    origin              TEXT    NOT NULL,
    needs_budget        INTEGER NOT NULL CHECK (needs_budget IN (0, 1)),
    upstream_limit_nusd INTEGER,
    revision            INTEGER NOT NULL CHECK (revision >= 1),
    created_at          INTEGER NOT NULL,
    updated_at          INTEGER NOT NULL,
    CHECK (budget_duration IS NULL OR budget_reset_at IS NOT NULL)
) STRICT;
CREATE INDEX tenant_configs_due ON tenant_configs (budget_reset_at, id) WHERE budget_reset_at IS NOT NULL;

CREATE TABLE tenant_keys (
    key_hash      TEXT    NOT NULL PRIMARY KEY CHECK (length(key_hash) = 64), -- SHA-256 in lower-case hexadecimal
    tenant_id     TEXT    NOT NULL REFERENCES tenant_configs (id) ON DELETE CASCADE,
    alias         TEXT    NOT NULL DEFAULT '',
    baseline_nusd INTEGER NOT NULL, -- LiteLLM's spend for the key at adoption
    created_at    INTEGER NOT NULL
) STRICT;
CREATE INDEX tenant_keys_tenant ON tenant_keys (tenant_id, created_at, key_hash);

-- The tables from here on are history: they outlive their tenant, so they do not
-- reference it, and a tenant made again under the same id goes on counting.

CREATE TABLE budget_windows (
    tenant_id  TEXT    NOT NULL,
    number     INTEGER NOT NULL CHECK (number >= 1),
    start_at   INTEGER, -- NULL: spend came before the window was recorded
    end_at     INTEGER, -- NULL: never, or as for start_at
    spent_nusd INTEGER NOT NULL CHECK (spent_nusd >= 0),
    closed_at  INTEGER, -- NULL: open. Late settlements change spent_nusd also afterwards
    PRIMARY KEY (tenant_id, number),
    CHECK (end_at >= start_at)
) STRICT, WITHOUT ROWID;

CREATE TABLE budget_overrides (
    id                  INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant_id           TEXT    NOT NULL,
    amount_nusd         INTEGER NOT NULL CHECK (amount_nusd >= 0),
    disable_enforcement INTEGER NOT NULL CHECK (disable_enforcement IN (0, 1)),
    reason              TEXT    NOT NULL CHECK (reason <> ''),
    granted_by          TEXT    NOT NULL CHECK (granted_by <> ''),
    starts_at           INTEGER NOT NULL,
    expires_at          INTEGER NOT NULL,
    revoked_at          INTEGER, -- NULL: not revoked
    CHECK (expires_at > starts_at),
    CHECK (amount_nusd > 0 OR disable_enforcement = 1)
) STRICT;
CREATE INDEX budget_overrides_live ON budget_overrides (tenant_id, expires_at) WHERE revoked_at IS NULL;
CREATE INDEX budget_overrides_tenant ON budget_overrides (tenant_id, id);

-- Spend of credentials whose tenant is not known (yet).
CREATE TABLE unresolved_spend (
    key_hash   TEXT    NOT NULL PRIMARY KEY CHECK (length(key_hash) = 64),
    spent_nusd INTEGER NOT NULL CHECK (spent_nusd >= 0),
    updated_at INTEGER NOT NULL
) STRICT;

-- Spend that no call of ours accounts for.
CREATE TABLE spend_adjustments (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant_id     TEXT    NOT NULL,
    window_number INTEGER NOT NULL CHECK (window_number >= 1),
    amount_nusd   INTEGER NOT NULL CHECK (amount_nusd <> 0),
    source        TEXT    NOT NULL CHECK (source IN ('witness', 'replay', 'admin', 'inherit')),
    actor         TEXT    NOT NULL CHECK (actor <> ''),
    reason        TEXT    NOT NULL,
    at            INTEGER NOT NULL
) STRICT;
CREATE INDEX spend_adjustments_window ON spend_adjustments (tenant_id, window_number, id);

-- +goose Down
DROP TABLE spend_adjustments;
DROP TABLE unresolved_spend;
DROP TABLE budget_overrides;
DROP TABLE budget_windows;
DROP TABLE tenant_keys;
DROP TABLE tenant_configs;
