package admin

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/pursestring/pursestring/config"
	"github.com/pursestring/pursestring/internal/budget"
)

func (s *Server) registerReset() {
	route(s, config.RoleOperator, huma.Operation{
		OperationID: "reset-budget", Method: http.MethodPost, Path: "/admin/tenants/{id}/reset",
		Summary: "Close a tenant's window and open the next", Tags: []string{"budget"},
		Description: "Spend begins at 0. Calls in flight settle into the window that admitted them.",
		Errors:      []int{http.StatusNotFound},
	}, s.reset)
}

type resetInput struct {
	TenantPath
	Body struct {
		Reason string `json:"reason" maxLength:"500" doc:"Why; for the audit log."`
	}
}

// windowView is one numbered stretch of a period.
type windowView struct {
	Number int64      `json:"number"`
	Start  time.Time  `json:"start"`
	End    *time.Time `json:"end" nullable:"true" doc:"null: it never ends."`
}

func viewWindow(w budget.Window) windowView {
	return windowView{Number: w.Number, Start: w.Start.UTC(), End: instant(w.End)}
}

type resetView struct {
	ID     string     `json:"id"`
	Window windowView `json:"window" doc:"The window that is open now."`
}

type resetOutput struct {
	ETag string `header:"ETag"`
	Body resetView
}

func (s *Server) reset(ctx context.Context, in *resetInput) (*resetOutput, error) {
	reason := strings.TrimSpace(in.Body.Reason)
	if reason == "" {
		return nil, invalid("reason", "is empty: say why, for the audit log")
	}
	if _, err := s.tenant(ctx, in.ID); err != nil {
		return nil, err
	}
	// The closing row takes the spend as stored, so what has been counted since
	// the last flush goes there first.
	if err := s.enforcer.Flush(ctx); err != nil {
		return nil, &budget.Error{Code: budget.CodeUnavailable, Err: fmt.Errorf("flush before reset: %w", err)}
	}
	r, err := s.store.ResetWindow(ctx, in.ID, s.by(ctx, reason))
	if err != nil {
		return nil, named(in.ID, err)
	}
	s.enforcer.Invalidate(in.ID)
	return &resetOutput{ETag: etag(r.Revision), Body: resetView{ID: r.ID, Window: viewWindow(r.Window)}}, nil
}
