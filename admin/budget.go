package admin

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/pursestring/pursestring/config"
	"github.com/pursestring/pursestring/internal/budget"
)

func (s *Server) registerBudgets() {
	route(s, config.RoleViewer, huma.Operation{
		OperationID: "show-budget", Method: http.MethodGet, Path: "/admin/tenants/{id}/budget",
		Summary: "Show a tenant's budget", Tags: []string{"budget"}, Errors: []int{http.StatusNotFound},
	}, s.showBudget)
	route(s, config.RoleOperator, huma.Operation{
		OperationID: "put-budget", Method: http.MethodPut, Path: "/admin/tenants/{id}/budget",
		Summary: "Change a tenant's budget", Tags: []string{"budget"},
		Description: "max_budget must be sent, null for a tenant that is never blocked. Other members that are not sent stay as they are. " +
			"Spend and the window's number stay; a new duration, anchor, alignment or zone moves the window's end.",
		Errors: []int{http.StatusNotFound, http.StatusPreconditionFailed},
	}, s.putBudget)
}

type budgetOutput struct {
	ETag string `header:"ETag"`
	Body budgetView
}

func (s *Server) budgetAnswer(r *budget.Record) *budgetOutput {
	return &budgetOutput{ETag: etag(r.Revision), Body: viewBudget(r, s.now())}
}

func (s *Server) showBudget(ctx context.Context, in *TenantPath) (*budgetOutput, error) {
	r, err := s.tenant(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return s.budgetAnswer(r), nil
}

type putBudgetInput struct {
	TenantPath
	IfMatch string `header:"If-Match" maxLength:"1000" doc:"The ETag of the budget that was read; 412 when it has changed since."`
	Body    budgetBody
}

type budgetBody struct {
	MaxBudget      optional[dollars]          `json:"max_budget" nullable:"true" exclusiveMinimum:"0" maximum:"1000000000" doc:"US dollars per period; null: metered, never blocked."`
	AlertThreshold optional[int]              `json:"alert_threshold" required:"false" minimum:"50" maximum:"100" doc:"Percent of the limit."`
	GraceThreshold optional[int]              `json:"grace_threshold" required:"false" minimum:"100" maximum:"150" doc:"Percent of the limit."`
	BudgetDuration optional[string]           `json:"budget_duration" required:"false" nullable:"true" maxLength:"20" doc:"Ns, Nm, Nh, Nd, Nw or Nmo; null never resets."`
	Anchor         optional[time.Time]        `json:"anchor" required:"false" doc:"A boundary from which windows repeat."`
	ResetAlignment optional[budget.Alignment] `json:"reset_alignment" required:"false" enum:"anniversary,calendar"`
	Timezone       optional[string]           `json:"timezone" required:"false" maxLength:"64" doc:"Such as Europe/Zurich."`
	Reason         string                     `json:"reason,omitempty" maxLength:"500" doc:"For the audit log."`
}

// putBudget lays what was sent over what is there. Without If-Match a change
// that comes in between is read and laid under once more, so that no member
// falls back to an older value.
func (s *Server) putBudget(ctx context.Context, in *putBudgetInput) (*budgetOutput, error) {
	const tries = 3
	for try := 1; ; try++ {
		current, err := s.tenant(ctx, in.ID)
		if err != nil {
			return nil, err
		}
		if !matches(in.IfMatch, current.Revision) {
			return nil, &budget.Error{Code: budget.CodeStale, Message: "the tenant has ETag " + etag(current.Revision) + " by now: read it again and send that in If-Match"}
		}
		change, err := in.Body.over(current)
		if err != nil {
			return nil, err
		}
		r, err := s.store.PutBudget(ctx, in.ID, change, s.by(ctx, in.Body.Reason))
		if errors.Is(err, budget.ErrStale) && in.IfMatch == "" && try < tries {
			continue
		}
		if err != nil {
			return nil, named(in.ID, err)
		}
		s.enforcer.Invalidate(in.ID)
		return s.budgetAnswer(&r), nil
	}
}

// matches reports whether an If-Match header allows a change of the revision.
// Weak tags never match (RFC 9110, 13.1.1).
func matches(header string, revision int64) bool {
	if header == "" {
		return true
	}
	for tag := range strings.SplitSeq(header, ",") {
		tag = strings.TrimSpace(tag)
		if tag == "*" || tag == etag(revision) || tag == strconv.FormatInt(revision, 10) {
			return true
		}
	}
	return false
}

// over returns the budget that results when b is laid over what is there.
func (b *budgetBody) over(r *budget.Record) (budget.Terms, error) {
	c := budget.Terms{
		MaxBudget: r.MaxBudget, AlertThreshold: r.AlertThreshold, GraceThreshold: r.GraceThreshold,
		Period: r.Rule.Period, Alignment: r.Rule.Alignment, Zone: r.Rule.Zone, IfRevision: &r.Revision,
	}
	if err := b.amounts(&c); err != nil {
		return c, err
	}
	return c, b.rule(&c)
}

func (b *budgetBody) amounts(c *budget.Terms) error {
	c.MaxBudget = nil
	if !b.MaxBudget.Null {
		limit := budget.Money(b.MaxBudget.Value)
		if limit <= 0 {
			return invalid("max_budget", "is less than a nano-dollar: send dollars above 0, or null for a tenant that is never blocked")
		}
		c.MaxBudget = &limit
	}
	if err := percent("alert_threshold", b.AlertThreshold, 80, &c.AlertThreshold); err != nil {
		return err
	}
	return percent("grace_threshold", b.GraceThreshold, 110, &c.GraceThreshold)
}

// percent takes a threshold; its range has been checked against the schema.
func percent(field string, sent optional[int], example int, into *int) error {
	if sent.Null {
		return invalid(field, "is null: send a whole percentage such as %d, or leave it out", example)
	}
	if sent.Sent {
		*into = sent.Value
	}
	return nil
}

func (b *budgetBody) rule(c *budget.Terms) (err error) {
	if b.BudgetDuration.Sent {
		if c.Period, err = duration(b.BudgetDuration); err != nil {
			return err
		}
	}
	if a := b.Anchor; a.Null {
		return invalid("anchor", "is null: send an instant such as 2026-11-01T00:00:00Z, or leave it out")
	} else if a.Sent {
		if y := a.Value.UTC().Year(); y < 1970 || y > 9999 {
			return invalid("anchor", "is in the year %d: send an instant from 1970 on", y)
		}
		c.Anchor = a.Value.UTC()
	}
	if a := b.ResetAlignment; a.Null {
		return invalid("reset_alignment", "is null: send anniversary or calendar, or leave it out")
	} else if a.Sent {
		c.Alignment = a.Value
	}
	if z := b.Timezone; z.Null {
		return invalid("timezone", "is null: send a name such as Europe/Zurich, or leave it out")
	} else if z.Sent {
		c.Zone, err = zone(z.Value)
	}
	return err
}

// duration reads a budget_duration; null never resets, and an empty text is no
// way to say so.
func duration(sent optional[string]) (budget.Period, error) {
	if sent.Null {
		return budget.Period{}, nil
	}
	if sent.Value == "" {
		return budget.Period{}, invalid("budget_duration", "is empty: send a duration such as 30d, or null for a budget that never resets")
	}
	p, err := budget.ParsePeriod(sent.Value)
	if err != nil {
		return p, invalid("budget_duration", "%v", err)
	}
	return p, nil
}

// zone reads a time zone's name. Local is the server's own and means something
// else on every replica.
func zone(name string) (*time.Location, error) {
	if name == "" || name == "Local" {
		return nil, invalid("timezone", "%q is no zone's name: send one such as UTC or Europe/Zurich", name)
	}
	z, err := time.LoadLocation(name)
	if err != nil {
		return nil, invalid("timezone", "%q is not known here: send a name of the tz database such as Europe/Zurich", clip(name, 64))
	}
	return z, nil
}
