package admin

import (
	"math"
	"reflect"
	"strconv"
	"time"
	"unicode"

	"github.com/danielgtaylor/huma/v2"

	"github.com/pursestring/pursestring/internal/budget"
)

// schemaName names a schema after its type, without the word view and with a
// capital, since the types here are not exported.
func schemaName(t reflect.Type, hint string) string {
	name := []rune(huma.DefaultSchemaNamer(t, hint))
	if len(name) > 0 {
		name[0] = unicode.ToUpper(name[0])
	}
	return string(name)
}

// TenantPath is the tenant that a path names. It is exported because huma finds
// parameters in embedded structs only where these are.
type TenantPath struct {
	ID string `path:"id" doc:"Tenant id, percent-encoded: one path segment."`
}

// tenantView is a tenant as configured, with what it has spent.
type tenantView struct {
	ID            string       `json:"id"`
	Alias         string       `json:"alias" doc:"A name for people; may be empty."`
	Mode          budget.Mode  `json:"mode" enum:"enforce,shadow" doc:"What holds: the tenant's own mode, else enforce.mode."`
	OwnMode       *budget.Mode `json:"own_mode" nullable:"true" doc:"The tenant's own mode; null follows enforce.mode."`
	Budget        budgetView   `json:"budget"`
	State         budget.State `json:"state" enum:"ok,warning,grace,blocked"`
	SpendUSD      dollars      `json:"spend_usd"`
	LimitUSD      *dollars     `json:"limit_usd" nullable:"true"`
	BlockUSD      *dollars     `json:"block_usd" nullable:"true"`
	NeedsBudget   bool         `json:"needs_budget" doc:"It has the defaults, because LiteLLM names no limit for it."`
	Origin        string       `json:"origin" doc:"What named the tenant."`
	UpstreamLimit *dollars     `json:"litellm_max_budget_usd" nullable:"true" doc:"LiteLLM's own limit, as last read."`
	CreatedAt     time.Time    `json:"created_at"`
	UpdatedAt     time.Time    `json:"updated_at"`
}

// budgetView is a budget as configured.
type budgetView struct {
	MaxBudget      *dollars         `json:"max_budget" nullable:"true" doc:"US dollars per period; null: metered, never blocked."`
	AlertThreshold int              `json:"alert_threshold" doc:"Percent of the limit, 50–100."`
	GraceThreshold int              `json:"grace_threshold" doc:"Percent of the limit, 100–150."`
	BudgetDuration *string          `json:"budget_duration" nullable:"true" doc:"Ns, Nm, Nh, Nd, Nw or Nmo; null never resets."`
	Anchor         time.Time        `json:"anchor" doc:"A boundary from which windows repeat."`
	ResetAlignment budget.Alignment `json:"reset_alignment" enum:"anniversary,calendar"`
	Timezone       string           `json:"timezone"`
	BudgetResetAt  *time.Time       `json:"budget_reset_at" nullable:"true" doc:"When the open window ends."`
	Revision       int64            `json:"revision" doc:"The ETag; send it in If-Match."`
}

// viewTenant shows r at now. spent is its live spend.
func (s *Server) viewTenant(r *budget.Record, spent budget.Money, now time.Time) tenantView {
	points := r.PointsAt(now)
	v := tenantView{
		ID: r.ID, Alias: r.Alias, Mode: s.mode(r), Budget: viewBudget(r, now),
		State: points.State(spent), SpendUSD: dollars(spent), NeedsBudget: r.NeedsBudget, Origin: string(r.Origin),
		UpstreamLimit: asDollars(r.UpstreamLimit), CreatedAt: r.CreatedAt.UTC(), UpdatedAt: r.UpdatedAt.UTC(),
	}
	if r.Mode != "" {
		v.OwnMode = &r.Mode
	}
	if r.MaxBudget != nil {
		v.LimitUSD, v.BlockUSD = asDollars(&points.Limit), asDollars(&points.Block)
	}
	return v
}

func viewBudget(r *budget.Record, now time.Time) budgetView {
	return budgetView{
		MaxBudget: asDollars(r.MaxBudget), AlertThreshold: r.AlertThreshold, GraceThreshold: r.GraceThreshold,
		BudgetDuration: periodText(r.Rule.Period), Anchor: r.Rule.Anchor.UTC(), ResetAlignment: alignment(r.Rule.Alignment),
		Timezone: zoneName(r.Rule.Zone), BudgetResetAt: instant(r.Window.At(now, r.Rule).End), Revision: r.Revision,
	}
}

// live is what a tenant has spent in its open window, and 0 when the row's
// window has ended and the next has not been counted yet.
func (s *Server) live(r *budget.Record, now time.Time) budget.Money {
	open := r.Window.At(now, r.Rule)
	if spent, ok := s.enforcer.LiveSpend(r.ID, open.Number); ok {
		return spent
	}
	if open.Number != r.Window.Number {
		return 0
	}
	return r.Spent
}

// mode is what holds for a tenant.
func (s *Server) mode(r *budget.Record) budget.Mode {
	if r.Mode != "" {
		return r.Mode
	}
	return s.defaults().Mode
}

func periodText(p budget.Period) *string {
	if p.IsZero() {
		return nil
	}
	text := p.String()
	return &text
}

func alignment(a budget.Alignment) budget.Alignment {
	if a == "" {
		return budget.Anniversary
	}
	return a
}

func zoneName(z *time.Location) string {
	if z == nil {
		return "UTC"
	}
	return z.String()
}

// instant is t in UTC for the wire; nil for the zero time.
func instant(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// daysLeft rounds up, so that 0 means over and 1 means today.
func daysLeft(end, now time.Time) *int {
	if end.IsZero() {
		return nil
	}
	days := max(0, int(math.Ceil(end.Sub(now).Hours()/24)))
	return &days
}

// etag is a revision as an entity tag.
func etag(revision int64) string { return `"` + strconv.FormatInt(revision, 10) + `"` }
