package store

import (
	"database/sql"

	"github.com/pursestring/pursestring/internal/budget"
)

// scanner is one row, of sql.Row or sql.Rows.
type scanner interface{ Scan(dest ...any) error }

// collect reads all rows and closes them.
func collect[T any](rows *sql.Rows, scan func(scanner) (T, error)) (list []T, err error) {
	defer func() {
		if cerr := rows.Close(); err == nil {
			err = cerr
		}
	}()
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, rows.Err()
}

func optionalHash(s sql.NullString) (*budget.KeyHash, error) {
	if !s.Valid {
		return nil, nil
	}
	h, err := hashOf(s.String)
	if err != nil {
		return nil, err
	}
	return &h, nil
}

// pageSize keeps what a caller asks for within what one answer may hold.
func pageSize(limit int) int {
	const usual, most = 100, 1000
	if limit <= 0 {
		return usual
	}
	return min(limit, most)
}
