package store

import (
	"database/sql"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/pursestring/pursestring/internal/budget"
)

// instant is how a time is stored; the zero time is NULL.
func instant(t time.Time) sql.NullInt64 {
	return sql.NullInt64{Int64: t.UnixMicro(), Valid: !t.IsZero()}
}

func timeOf(v sql.NullInt64) time.Time {
	if !v.Valid {
		return time.Time{}
	}
	return time.UnixMicro(v.Int64).UTC()
}

// amount is how an optional amount is stored; nil is NULL.
func amount(m *budget.Money) sql.NullInt64 {
	if m == nil {
		return sql.NullInt64{}
	}
	return sql.NullInt64{Int64: int64(*m), Valid: true}
}

func moneyOf(v sql.NullInt64) *budget.Money {
	if !v.Valid {
		return nil
	}
	m := budget.Money(v.Int64)
	return &m
}

// dollars is how an amount that somebody else claims is stored. What is no
// finite number is not said.
func dollars(f *float64) sql.NullInt64 {
	if f == nil {
		return sql.NullInt64{}
	}
	m, ok := budget.USD(*f)
	return sql.NullInt64{Int64: int64(m), Valid: ok}
}

func dollarsOf(v sql.NullInt64) *float64 {
	if !v.Valid {
		return nil
	}
	f := budget.Money(v.Int64).Float()
	return &f
}

// optional is how a text is stored that is NULL when there is none.
func optional(s string) sql.NullString { return sql.NullString{String: s, Valid: s != ""} }

// containing is the LIKE pattern for texts that contain s, with what LIKE gives a
// meaning taken literally; "" stays "".
func containing(s string) string {
	if s == "" {
		return ""
	}
	return "%" + strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(text(s)) + "%"
}

// text makes words of people and of LiteLLM fit for a text column: valid UTF-8
// without NUL, which PostgreSQL does not take.
func text(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

func hashOf(s string) (budget.KeyHash, error) {
	h, err := budget.ParseKeyHash(s)
	if err != nil {
		return h, fmt.Errorf("stored key hash: %w", err)
	}
	return h, nil
}

// zones keeps time zones that were loaded: time.LoadLocation reads a file each
// time.
var zones sync.Map // string → *time.Location

// zone returns the time zone with an IANA name.
func zone(name string) (*time.Location, error) {
	if name == "UTC" {
		return time.UTC, nil
	}
	if z, ok := zones.Load(name); ok {
		return z.(*time.Location), nil
	}
	z, err := time.LoadLocation(name)
	if err != nil {
		return nil, fmt.Errorf("time zone %q: %w", name, err)
	}
	zones.Store(name, z) // only names that exist, so the map is bounded
	return z, nil
}

func zoneName(z *time.Location) string {
	if z == nil {
		return "UTC"
	}
	return z.String()
}
