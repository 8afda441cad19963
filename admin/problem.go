package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/pursestring/pursestring/internal/budget"
)

// problem is an answer of type application/problem+json (RFC 9457). Its detail
// and its errors name the field and the remedy; neither repeats what was sent,
// which may be a key.
func problem(status int, detail string, errs ...*huma.ErrorDetail) *huma.ErrorModel {
	return &huma.ErrorModel{Status: status, Title: http.StatusText(status), Detail: detail, Errors: errs}
}

// invalid is a semantic fault in one member of the body, or in a parameter, which
// is written with its place: path.id.
func invalid(field, format string, args ...any) error {
	return &budget.Error{Code: budget.CodeInvalid, Field: field, Message: fmt.Sprintf(format, args...)}
}

// statusOf is where a code becomes an HTTP status.
func statusOf(c budget.Code) int {
	switch c {
	case budget.CodeInvalid:
		return http.StatusUnprocessableEntity
	case budget.CodeNotFound:
		return http.StatusNotFound
	case budget.CodeConflict:
		return http.StatusConflict
	case budget.CodeStale:
		return http.StatusPreconditionFailed
	case budget.CodeForbidden:
		return http.StatusForbidden
	case budget.CodeUnavailable:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// generic is what is said about a code when nobody said more.
func generic(c budget.Code) string {
	switch c {
	case budget.CodeInvalid:
		return "the request is not valid"
	case budget.CodeNotFound:
		return "there is nothing of that name; GET /admin/tenants lists the tenants"
	case budget.CodeConflict:
		return "something in the store stands against it; read it again and decide anew"
	case budget.CodeStale:
		return "somebody else has changed it since; read it again and send its new ETag in If-Match"
	case budget.CodeForbidden:
		return "this token may not do that"
	case budget.CodeUnavailable:
		return "the store is out of reach, so nothing was changed; try again shortly, /readyz shows what is away"
	}
	return "internal error; the log says more"
}

// explain turns a handler's error into an answer. An error without a code is
// told to the log whole and to the caller not at all.
func (s *Server) explain(ctx context.Context, operation string, err error) error {
	if _, ok := errors.AsType[huma.StatusError](err); ok {
		return err
	}
	coded, ok := errors.AsType[*budget.Error](err)
	if !ok && errors.Is(err, context.DeadlineExceeded) {
		coded, ok = &budget.Error{Code: budget.CodeUnavailable}, true
	}
	if !ok {
		coded = &budget.Error{}
	}
	status := statusOf(coded.Code)
	if status >= http.StatusInternalServerError && !errors.Is(ctx.Err(), context.Canceled) { // else the client has gone
		s.log.Error("admin request failed", "operation", operation, "err", err)
	}
	detail := coded.Message
	if detail == "" || coded.Code == budget.CodeUnavailable { // whose message is for the log
		detail = generic(coded.Code)
	}
	if coded.Field == "" {
		return problem(status, detail)
	}
	where := coded.Field
	if !strings.Contains(where, ".") {
		where = "body." + where
	}
	return problem(status, where+": "+detail, &huma.ErrorDetail{Location: where, Message: detail})
}

// tidyProblem cleans the problems that huma makes while it decodes and
// validates: they repeat what was sent, and say least where people look first.
func tidyProblem(_ huma.Context, _ string, v any) (any, error) {
	m, ok := v.(*huma.ErrorModel)
	if !ok {
		return v, nil
	}
	clean := problem(m.Status, clip(m.Detail, 500))
	if m.Status >= http.StatusInternalServerError {
		return clean, nil
	}
	for _, e := range m.Errors {
		if e == nil || len(clean.Errors) == 20 {
			continue
		}
		clean.Errors = append(clean.Errors, &huma.ErrorDetail{Location: clip(e.Location, 100), Message: clip(e.Message, 300)})
	}
	if m.Detail == "validation failed" && len(clean.Errors) > 0 {
		first := clean.Errors[0]
		clean.Detail = first.Location + ": " + first.Message
	}
	if m.Status == http.StatusUnsupportedMediaType {
		clean.Detail = "the body's type is not known: send JSON with content-type: application/json"
		clean.Errors = nil
	}
	return clean, nil
}

// writeProblem answers outside of huma.
func writeProblem(w http.ResponseWriter, status int, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(problem(status, detail)) // the client may be gone
}
