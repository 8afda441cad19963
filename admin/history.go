package admin

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/pursestring/pursestring/config"
	"github.com/pursestring/pursestring/internal/budget"
)

func (s *Server) registerHistory() {
	route(s, config.RoleViewer, huma.Operation{
		OperationID: "list-alerts", Method: http.MethodGet, Path: "/admin/alerts",
		Summary: "List what was alerted, the newest first", Tags: []string{"history"},
		Description: "Of events that LiteLLM sent, the amounts hold its open reservations and can be far above real spend.",
	}, s.listAlerts)
	route(s, config.RoleViewer, huma.Operation{
		OperationID: "list-audit", Method: http.MethodGet, Path: "/admin/audit",
		Summary: "List who changed what and why, the newest first", Tags: []string{"history"},
	}, s.listAudit)
}

// HistoryPage is which page of a history is asked for; exported like TenantPath.
type HistoryPage struct {
	TenantID string `query:"tenant_id" maxLength:"256"`
	Limit    int    `query:"limit" minimum:"1" maximum:"500" default:"100"`
	Cursor   int64  `query:"cursor" minimum:"1" doc:"The answer's next, to go on."`
}

func (p *HistoryPage) filter(kind string) budget.HistoryFilter {
	return budget.HistoryFilter{TenantID: p.TenantID, Type: kind, Before: p.Cursor, Limit: p.Limit}
}

// cursor is next for the wire; "" on the last page.
func cursor(next int64) string {
	if next == 0 {
		return ""
	}
	return strconv.FormatInt(next, 10)
}

// rawJSON is JSON that is passed on as it is; nil is null.
type rawJSON []byte

// Schema allows anything.
func (rawJSON) Schema(huma.Registry) *huma.Schema { return &huma.Schema{} }

// MarshalJSON passes it on.
func (j rawJSON) MarshalJSON() ([]byte, error) {
	if len(j) == 0 {
		return []byte("null"), nil
	}
	return j, nil
}

// alertView is one alert or webhook.
type alertView struct {
	ID        int64     `json:"id"`
	At        time.Time `json:"at"`
	Source    string    `json:"source" doc:"litellm or pursestring."`
	Type      string    `json:"type"`
	Group     string    `json:"group" doc:"What it is about: key, user, team, …"`
	TenantID  *string   `json:"tenant_id" nullable:"true" doc:"null: it belongs to no tenant that is known."`
	KeyHash   *string   `json:"key_hash" nullable:"true"`
	Subject   string    `json:"subject"`
	SpendUSD  *float64  `json:"spend_usd" nullable:"true"`
	MaxUSD    *float64  `json:"max_budget_usd" nullable:"true"`
	Projected bool      `json:"projected" doc:"A projection, not a crossing."`
	Window    int64     `json:"window" doc:"Number of the window that was open; 0: not known."`
	Detail    rawJSON   `json:"detail" doc:"The event as it came, shortened."`
}

func viewAlerts(events []budget.AlertEvent) []alertView {
	views := make([]alertView, 0, len(events))
	for _, e := range events {
		v := alertView{
			ID: e.ID, At: e.At.UTC(), Source: e.Source, Type: e.Type, Group: e.Group, Subject: e.Subject,
			SpendUSD: e.SpendUSD, MaxUSD: e.MaxUSD, Projected: e.Projected, Window: e.WindowHint, Detail: rawJSON(e.Detail),
		}
		if e.TenantID != "" {
			v.TenantID = &e.TenantID
		}
		if e.KeyHash != nil {
			hash := e.KeyHash.String()
			v.KeyHash = &hash
		}
		views = append(views, v)
	}
	return views
}

type listAlertsInput struct {
	HistoryPage
	Type string `query:"type" maxLength:"64" doc:"Only this type, such as budget_crossed."`
}

type alertList struct {
	Items []alertView `json:"items" nullable:"false"`
	Next  string      `json:"next,omitempty" doc:"Send it as cursor for the next page; absent on the last."`
}

type listAlertsOutput struct{ Body alertList }

func (s *Server) listAlerts(ctx context.Context, in *listAlertsInput) (*listAlertsOutput, error) {
	page, next, err := s.store.Alerts(ctx, in.filter(in.Type))
	if err != nil {
		return nil, err
	}
	return &listAlertsOutput{Body: alertList{Items: viewAlerts(page), Next: cursor(next)}}, nil
}

// auditView is one change.
type auditView struct {
	ID       int64     `json:"id"`
	At       time.Time `json:"at"`
	Actor    string    `json:"actor" doc:"The token's name, or pursestring."`
	Action   string    `json:"action"`
	TenantID string    `json:"tenant_id"`
	Before   rawJSON   `json:"before" doc:"null: there was nothing before."`
	After    rawJSON   `json:"after" doc:"null: there is nothing after."`
	Reason   string    `json:"reason"`
}

type listAuditInput struct {
	HistoryPage
	Action string `query:"action" maxLength:"64" doc:"Only this action, such as budget_changed."`
}

type auditList struct {
	Items []auditView `json:"items" nullable:"false"`
	Next  string      `json:"next,omitempty" doc:"Send it as cursor for the next page; absent on the last."`
}

type listAuditOutput struct{ Body auditList }

func (s *Server) listAudit(ctx context.Context, in *listAuditInput) (*listAuditOutput, error) {
	page, next, err := s.store.Audit(ctx, in.filter(in.Action))
	if err != nil {
		return nil, err
	}
	out := &listAuditOutput{Body: auditList{Items: make([]auditView, 0, len(page)), Next: cursor(next)}}
	for _, e := range page {
		out.Body.Items = append(out.Body.Items, auditView{
			ID: e.ID, At: e.At.UTC(), Actor: e.Actor, Action: e.Action, TenantID: e.TenantID,
			Before: e.Before, After: e.After, Reason: e.Reason,
		})
	}
	return out, nil
}
