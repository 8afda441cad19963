package admin

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/pursestring/pursestring/config"
	"github.com/pursestring/pursestring/internal/budget"
)

func (s *Server) registerOverrides() {
	const path = "/admin/tenants/{id}/budget-override"
	route(s, config.RoleViewer, huma.Operation{
		OperationID: "show-override", Method: http.MethodGet, Path: path,
		Summary: "Show a tenant's active override, and those before it", Tags: []string{"override"},
		Errors: []int{http.StatusNotFound},
	}, s.showOverrides)
	route(s, config.RolePlatformAdmin, huma.Operation{
		OperationID: "grant-override", Method: http.MethodPost, Path: path,
		Summary: "Grant more budget, or switch enforcement off, for a while", Tags: []string{"override"},
		Description: "Send override_amount or disable_enforcement, with a duration and a reason. " +
			"One override is active at a time: a second is 409 unless replace is true. It counts in full in each window that it touches.",
		DefaultStatus: http.StatusCreated, Errors: []int{http.StatusNotFound, http.StatusConflict},
	}, s.grantOverride)
	route(s, config.RolePlatformAdmin, huma.Operation{
		OperationID: "revoke-override", Method: http.MethodDelete, Path: path,
		Summary: "End the active override now", Tags: []string{"override"},
		DefaultStatus: http.StatusNoContent, Errors: []int{http.StatusNotFound},
	}, s.revokeOverride)
}

// overrideView is a temporary change of a budget.
type overrideView struct {
	ID                 int64      `json:"id"`
	OverrideAmount     dollars    `json:"override_amount" doc:"US dollars added to max_budget."`
	DisableEnforcement bool       `json:"disable_enforcement"`
	Reason             string     `json:"reason"`
	GrantedBy          string     `json:"granted_by"`
	StartsAt           time.Time  `json:"starts_at"`
	ExpiresAt          time.Time  `json:"expires_at"`
	RevokedAt          *time.Time `json:"revoked_at" nullable:"true"`
	Active             bool       `json:"active"`
}

func viewOverride(o *budget.Override, now time.Time) overrideView {
	return overrideView{
		ID: o.ID, OverrideAmount: dollars(o.Amount), DisableEnforcement: o.DisableEnforcement,
		Reason: o.Reason, GrantedBy: o.GrantedBy, StartsAt: o.StartsAt.UTC(), ExpiresAt: o.ExpiresAt.UTC(),
		RevokedAt: instant(o.RevokedAt), Active: o.ActiveAt(now),
	}
}

type overrideList struct {
	Active *overrideView  `json:"active" doc:"null: none."`
	Items  []overrideView `json:"items" nullable:"false" doc:"All, the newest first."`
}

type overridesOutput struct{ Body overrideList }

func (s *Server) showOverrides(ctx context.Context, in *TenantPath) (*overridesOutput, error) {
	if _, err := s.tenant(ctx, in.ID); err != nil {
		return nil, err
	}
	all, err := s.store.Overrides(ctx, in.ID)
	if err != nil {
		return nil, named(in.ID, err)
	}
	now := s.now()
	out := &overridesOutput{Body: overrideList{Items: make([]overrideView, 0, len(all))}}
	for i := range all {
		v := viewOverride(&all[i], now)
		if v.Active && out.Body.Active == nil {
			out.Body.Active = &v
		}
		out.Body.Items = append(out.Body.Items, v)
	}
	return out, nil
}

type grantInput struct {
	TenantPath
	Body grantBody
}

type grantBody struct {
	OverrideAmount     optional[dollars] `json:"override_amount" required:"false" exclusiveMinimum:"0" maximum:"1000000000" doc:"US dollars added to max_budget."`
	DisableEnforcement bool              `json:"disable_enforcement,omitempty" doc:"Nothing is refused; all is counted."`
	Duration           string            `json:"duration" maxLength:"20" doc:"How long it counts: Ns, Nm, Nh, Nd, Nw or Nmo."`
	Reason             string            `json:"reason" maxLength:"500" doc:"Why; for the audit log."`
	Replace            bool              `json:"replace,omitempty" doc:"End the active override, if there is one."`
}

type overrideOutput struct{ Body overrideView }

func (s *Server) grantOverride(ctx context.Context, in *grantInput) (*overrideOutput, error) {
	by := s.by(ctx, strings.TrimSpace(in.Body.Reason))
	o, err := in.Body.override(in.ID, by)
	if err != nil {
		return nil, err
	}
	record, err := s.tenant(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	if record.MaxBudget == nil {
		return nil, &budget.Error{Code: budget.CodeConflict, Message: "the tenant has no max_budget, so nothing is refused that an override could allow: PUT its budget first"}
	}
	o, err = s.store.GrantOverride(ctx, o, in.Body.Replace, by)
	if errors.Is(err, budget.ErrConflict) {
		return nil, &budget.Error{Code: budget.CodeConflict, Err: err, Message: `an override is active: send "replace": true to end it and begin this one, or DELETE it first`}
	}
	if err != nil {
		return nil, named(in.ID, err)
	}
	s.enforcer.Invalidate(in.ID)
	return &overrideOutput{Body: viewOverride(&o, s.now())}, nil
}

// override reads what a POST asks for; it begins at by.At.
func (b *grantBody) override(id string, by budget.By) (budget.Override, error) {
	o := budget.Override{
		TenantID: id, DisableEnforcement: b.DisableEnforcement,
		Reason: by.Reason, GrantedBy: by.Actor, StartsAt: by.At,
	}
	amount := b.OverrideAmount
	switch {
	case amount.Null:
		return o, invalid("override_amount", "is null: send dollars above 0, or leave it out")
	case amount.Sent == b.DisableEnforcement:
		return o, invalid("override_amount", "send either override_amount, in dollars above 0, or disable_enforcement: true")
	case amount.Sent && amount.Value <= 0:
		return o, invalid("override_amount", "is less than a nano-dollar: send dollars above 0")
	case by.Reason == "":
		return o, invalid("reason", "is empty: say why, for the audit log")
	}
	o.Amount = budget.Money(amount.Value)
	p, err := budget.ParsePeriod(b.Duration)
	if err != nil {
		return o, invalid("duration", "%v", err)
	}
	if p.IsZero() {
		return o, invalid("duration", "is empty: an override ends, so send a duration such as 7d")
	}
	o.ExpiresAt = budget.Rule{Period: p, Anchor: by.At}.Next(by.At)
	return o, nil
}

func (s *Server) revokeOverride(ctx context.Context, in *TenantPath) (*struct{}, error) {
	if _, err := s.tenant(ctx, in.ID); err != nil {
		return nil, err
	}
	if _, err := s.store.RevokeOverride(ctx, in.ID, s.by(ctx, "")); err != nil {
		if errors.Is(err, budget.ErrNotFound) {
			return nil, &budget.Error{Code: budget.CodeNotFound, Err: err, Message: "no override of " + quoted(in.ID) + " is active, so there is none to end"}
		}
		return nil, err
	}
	s.enforcer.Invalidate(in.ID)
	return nil, nil
}
