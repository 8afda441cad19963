package admin

import (
	"context"
	"math"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/pursestring/pursestring/config"
	"github.com/pursestring/pursestring/enforce"
	"github.com/pursestring/pursestring/internal/budget"
)

// shownAlerts is how many alerts a status shows.
const shownAlerts = 10

func (s *Server) registerStatus() {
	route(s, config.RoleViewer, huma.Operation{
		OperationID: "show-status", Method: http.MethodGet, Path: "/admin/tenants/{id}/status",
		Summary: "Show where a tenant stands now", Tags: []string{"tenants"}, Errors: []int{http.StatusNotFound},
	}, s.showStatus)
}

// statusView is a tenant's account at one moment.
type statusView struct {
	ID                string        `json:"id"`
	Alias             string        `json:"alias"`
	State             budget.State  `json:"state" enum:"ok,warning,grace,blocked"`
	Mode              budget.Mode   `json:"mode" enum:"enforce,shadow"`
	SpendUSD          dollars       `json:"spend_usd" doc:"Settled in the open window."`
	HeldUSD           dollars       `json:"held_usd" doc:"What the calls in flight cost at worst."`
	RiskUSD           dollars       `json:"risk_usd" doc:"What the calls in flight will probably stay under."`
	CallsInFlight     int           `json:"calls_in_flight"`
	MaxBudget         *dollars      `json:"max_budget" nullable:"true"`
	LimitUSD          *dollars      `json:"limit_usd" nullable:"true" doc:"max_budget and the active override."`
	AlertUSD          *dollars      `json:"alert_usd" nullable:"true"`
	BlockUSD          *dollars      `json:"block_usd" nullable:"true"`
	EffectiveBlockUSD *dollars      `json:"effective_block_usd" nullable:"true" doc:"Where LiteLLM's own limit refuses first, below the block point; null: it does not."`
	RemainingUSD      *dollars      `json:"remaining_usd" nullable:"true" doc:"To the block point, by settled spend."`
	Percentage        *float64      `json:"percentage" nullable:"true" doc:"Spend in percent of the limit."`
	AlertThreshold    int           `json:"alert_threshold"`
	GraceThreshold    int           `json:"grace_threshold"`
	Window            windowView    `json:"window"`
	ResetsAt          *time.Time    `json:"resets_at" nullable:"true"`
	DaysLeft          *int          `json:"days_left" nullable:"true" doc:"Days to the reset, begun ones counted."`
	Override          *overrideView `json:"override" doc:"The active one; null: none."`
	Alerts            []alertView   `json:"alerts" nullable:"false" doc:"The latest, the newest first."`
	NeedsBudget       bool          `json:"needs_budget"`
	LiteLLMMaxBudget  *dollars      `json:"litellm_max_budget_usd" nullable:"true"`
	Revision          int64         `json:"revision"`
}

type statusOutput struct {
	ETag string `header:"ETag"`
	Body statusView
}

func (s *Server) showStatus(ctx context.Context, in *TenantPath) (*statusOutput, error) {
	live, record, err := s.enforcer.Status(ctx, in.ID)
	if err != nil {
		return nil, named(in.ID, err)
	}
	alerts, _, err := s.store.Alerts(ctx, budget.HistoryFilter{TenantID: in.ID, Limit: shownAlerts})
	if err != nil {
		return nil, err
	}
	v := s.viewStatus(&live, &record, s.now())
	v.Alerts = viewAlerts(alerts)
	return &statusOutput{ETag: etag(record.Revision), Body: v}, nil
}

func (s *Server) viewStatus(live *enforce.Status, r *budget.Record, now time.Time) statusView {
	v := statusView{
		ID: r.ID, Alias: r.Alias, State: live.State, Mode: s.mode(r),
		SpendUSD: dollars(live.Spent), HeldUSD: dollars(live.Held), RiskUSD: dollars(live.Risk), CallsInFlight: live.InFlight,
		AlertThreshold: r.AlertThreshold, GraceThreshold: r.GraceThreshold,
		Window: viewWindow(live.Window), ResetsAt: instant(live.Window.End), DaysLeft: daysLeft(live.Window.End, now),
		NeedsBudget: r.NeedsBudget, LiteLLMMaxBudget: asDollars(r.UpstreamLimit), Revision: r.Revision,
	}
	if r.Override.ActiveAt(now) {
		o := viewOverride(r.Override, now)
		v.Override = &o
	}
	if r.MaxBudget != nil {
		v.lines(live, r)
	}
	return v
}

// lines fills in what a tenant with a max_budget has.
func (v *statusView) lines(live *enforce.Status, r *budget.Record) {
	remaining := live.Remaining()
	v.MaxBudget, v.RemainingUSD = asDollars(r.MaxBudget), asDollars(&remaining)
	v.LimitUSD, v.AlertUSD, v.BlockUSD = asDollars(&live.Points.Limit), asDollars(&live.Points.Alert), asDollars(&live.Points.Block)
	if upstream := r.UpstreamLimit; upstream != nil && *upstream < live.Points.Block {
		v.EffectiveBlockUSD = asDollars(upstream)
	}
	if live.Points.Limit > 0 {
		percent := math.Round(live.Spent.Float()/live.Points.Limit.Float()*10000) / 100
		v.Percentage = &percent
	}
}
