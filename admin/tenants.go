package admin

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"unicode"

	"github.com/danielgtaylor/huma/v2"

	"github.com/pursestring/pursestring/config"
	"github.com/pursestring/pursestring/internal/budget"
)

func (s *Server) registerTenants() {
	route(s, config.RoleViewer, huma.Operation{
		OperationID: "list-tenants", Method: http.MethodGet, Path: "/admin/tenants",
		Summary: "List tenants", Tags: []string{"tenants"},
	}, s.listTenants)
	route(s, config.RoleViewer, huma.Operation{
		OperationID: "show-tenant", Method: http.MethodGet, Path: "/admin/tenants/{id}",
		Summary: "Show a tenant", Tags: []string{"tenants"}, Errors: []int{http.StatusNotFound},
	}, s.showTenant)
	route(s, config.RoleOperator, huma.Operation{
		OperationID: "put-tenant", Method: http.MethodPut, Path: "/admin/tenants/{id}",
		Summary: "Make a tenant, or change its alias and mode", Tags: []string{"tenants"},
		Description: "A new tenant gets the default budget (200 when it was there, 201 when it is new). A member that is not sent stays as it is.",
	}, s.putTenant)
	route(s, config.RolePlatformAdmin, huma.Operation{
		OperationID: "delete-tenant", Method: http.MethodDelete, Path: "/admin/tenants/{id}",
		Summary: "Delete a tenant with its keys and overrides", Tags: []string{"tenants"},
		Description:   "Its history stays. A key of it that calls again is looked up at LiteLLM as if it were new.",
		DefaultStatus: http.StatusNoContent, Errors: []int{http.StatusNotFound},
	}, s.deleteTenant)
}

type listTenantsInput struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"500" default:"100"`
	Cursor string `query:"cursor" maxLength:"256" doc:"The answer's next, to go on."`
	Search string `query:"search" maxLength:"256" doc:"Part of the id or the alias, in any case."`
}

type tenantList struct {
	Items []tenantView `json:"items" nullable:"false"`
	Next  string       `json:"next,omitempty" doc:"Send it as cursor for the next page; absent on the last."`
}

type listTenantsOutput struct{ Body tenantList }

func (s *Server) listTenants(ctx context.Context, in *listTenantsInput) (*listTenantsOutput, error) {
	now := s.now()
	page, next, err := s.store.Tenants(ctx, budget.TenantFilter{Search: in.Search, After: in.Cursor, Limit: in.Limit}, now)
	if err != nil {
		return nil, err
	}
	out := &listTenantsOutput{Body: tenantList{Items: make([]tenantView, 0, len(page)), Next: next}}
	for i := range page {
		out.Body.Items = append(out.Body.Items, s.viewTenant(&page[i], s.live(&page[i], now), now))
	}
	return out, nil
}

type tenantOutput struct {
	Status int
	ETag   string `header:"ETag"`
	Body   tenantView
}

func (s *Server) tenantAnswer(status int, r *budget.Record) *tenantOutput {
	now := s.now()
	return &tenantOutput{Status: status, ETag: etag(r.Revision), Body: s.viewTenant(r, s.live(r, now), now)}
}

func (s *Server) showTenant(ctx context.Context, in *TenantPath) (*tenantOutput, error) {
	r, err := s.tenant(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return s.tenantAnswer(http.StatusOK, r), nil
}

// tenant reads a tenant; one that is not there is named in the error.
func (s *Server) tenant(ctx context.Context, id string) (*budget.Record, error) {
	r, err := s.store.Record(ctx, id, s.now())
	if err != nil {
		return nil, named(id, err)
	}
	return &r, nil
}

// named says which tenant is not there.
func named(id string, err error) error {
	if errors.Is(err, budget.ErrNotFound) {
		return &budget.Error{
			Code: budget.CodeNotFound, Err: err,
			Message: "there is no tenant " + quoted(id) + ": GET /admin/tenants lists them, PUT /admin/tenants/{id} makes one",
		}
	}
	return err
}

func quoted(id string) string { return `"` + shownID(clip(id, 80)) + `"` }

type putTenantInput struct {
	TenantPath
	Body struct {
		Alias optional[string]      `json:"alias" required:"false" maxLength:"256" doc:"A name for people."`
		Mode  optional[budget.Mode] `json:"mode" required:"false" nullable:"true" enum:"enforce,shadow" doc:"null follows enforce.mode."`
	}
}

// change reads what a PUT of a tenant asks for.
func (in *putTenantInput) change() (budget.TenantChange, error) {
	c := budget.TenantChange{}
	if a := in.Body.Alias; a.Null {
		return c, invalid("alias", `is null: send a text, "" for none, or leave it out`)
	} else if strings.ContainsFunc(a.Value, unicode.IsControl) {
		return c, invalid("alias", "contains a control character: leave it out")
	} else if a.Sent {
		c.Alias = &a.Value
	}
	if in.Body.Mode.Sent {
		c.Mode = &in.Body.Mode.Value // empty when null
	}
	return c, nil
}

func (s *Server) putTenant(ctx context.Context, in *putTenantInput) (*tenantOutput, error) {
	c, err := in.change()
	if err != nil {
		return nil, err
	}
	by := s.by(ctx, "")
	r, err := s.store.PutTenant(ctx, in.ID, c, by)
	if err == nil {
		s.enforcer.Invalidate(in.ID)
		return s.tenantAnswer(http.StatusOK, &r), nil
	}
	if !errors.Is(err, budget.ErrNotFound) {
		return nil, err
	}
	r, err = s.createTenant(ctx, in.ID, c, by)
	if err != nil {
		return nil, err
	}
	return s.tenantAnswer(http.StatusCreated, &r), nil
}

// createTenant makes a tenant with the default budget; its windows begin now.
func (s *Server) createTenant(ctx context.Context, id string, c budget.TenantChange, by budget.By) (budget.Record, error) {
	if err := validateNewID(id); err != nil {
		return budget.Record{}, err
	}
	d := s.defaults().Budget
	rule := budget.Rule{Period: d.Period, Anchor: by.At, Alignment: d.Alignment, Zone: d.Zone}
	t := budget.Tenant{
		ID: id, MaxBudget: d.MaxBudget, AlertThreshold: d.AlertThreshold, GraceThreshold: d.GraceThreshold,
		Rule: rule, Window: budget.Window{Number: 1, Start: by.At, End: rule.Next(by.At)},
		Origin: budget.OriginAdmin, CreatedAt: by.At, UpdatedAt: by.At,
	}
	if c.Alias != nil {
		t.Alias = *c.Alias
	}
	if c.Mode != nil {
		t.Mode = *c.Mode
	}
	r, err := s.store.CreateTenant(ctx, budget.NewTenant{Tenant: t, Actor: by.Actor, Reason: by.Reason})
	if err == nil {
		s.enforcer.Invalidate(id)
	}
	return r, err
}

// validateNewID keeps the rule of tenant ids, and keys out of them: ids are
// logged and shown.
func validateNewID(id string) error {
	if strings.HasPrefix(id, "sk-") {
		return invalid("path.id", "begins with sk-, as virtual keys do: name the tenant, then POST the key to its keys")
	}
	if err := budget.ValidateTenantID(id); err != nil {
		return invalid("path.id", "%v", err)
	}
	return nil
}

// by names who asks, for the audit log.
func (s *Server) by(ctx context.Context, reason string) budget.By {
	return budget.By{Actor: actor(ctx), Reason: reason, At: s.now().UTC()}
}

func (s *Server) deleteTenant(ctx context.Context, in *TenantPath) (*struct{}, error) {
	keys, err := s.store.Keys(ctx, in.ID)
	if err != nil {
		return nil, named(in.ID, err)
	}
	if err := s.store.DeleteTenant(ctx, in.ID, s.by(ctx, "")); err != nil {
		return nil, named(in.ID, err)
	}
	s.enforcer.Invalidate(in.ID)
	for _, k := range keys {
		s.enforcer.InvalidateKey(k.Hash)
	}
	return nil, nil
}
