package budget

// Code classifies an error that a person will read. Codes become HTTP statuses
// in admin/problem.go and proxy/deny.go, and nowhere else.
type Code string

// Codes.
const (
	CodeInvalid     Code = "invalid"
	CodeNotFound    Code = "not_found"
	CodeConflict    Code = "conflict"
	CodeStale       Code = "stale" // somebody else has changed it since it was read
	CodeForbidden   Code = "forbidden"
	CodeUnavailable Code = "unavailable"
)

// Error is an error with words for a person. Message names the value, the
// setting or field, and the next step; Err, if any, is for the log.
type Error struct {
	Code    Code
	Field   string // the JSON field or setting at fault; may be empty
	Message string
	Err     error
}

func (e *Error) Error() string {
	if e.Err != nil {
		return e.Message + ": " + e.Err.Error()
	}
	return e.Message
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is makes errors.Is match on the code: errors.Is(err, ErrNotFound).
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Message == "" && t.Code == e.Code
}

// Targets for errors.Is.
var (
	ErrInvalid     = &Error{Code: CodeInvalid}
	ErrNotFound    = &Error{Code: CodeNotFound}
	ErrConflict    = &Error{Code: CodeConflict}
	ErrStale       = &Error{Code: CodeStale}
	ErrForbidden   = &Error{Code: CodeForbidden}
	ErrUnavailable = &Error{Code: CodeUnavailable}
)
