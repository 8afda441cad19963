package enforce

import (
	"context"
	"errors"

	"github.com/pursestring/pursestring/internal/budget"
)

// named is the tenant that a key belongs to, and the budget that LiteLLM keeps
// for whatever gave it its name.
type named struct {
	id     string
	alias  string
	origin budget.Origin
	limits budget.UpstreamBudget
}

// defaultUser is the user that LiteLLM gives to what the master key makes: it is
// everybody's, so it names nobody. Source: LiteLLM 1.106.
const defaultUser = "default_user_id"

// name goes along tenants.resolve; the first that answers names the tenant. The
// store has been asked before. With nothing left the key names itself.
func (t *tenants) name(ctx context.Context, s *Settings, facts budget.KeyFacts, credential string) (named, error) {
	for _, origin := range s.Resolve {
		n, err := t.nameBy(ctx, origin, facts, credential)
		if err != nil {
			return named{}, err
		}
		if n.id == "" || budget.ValidateTenantID(n.id) != nil {
			continue
		}
		free, err := t.free(ctx, n)
		if err != nil {
			return named{}, err
		}
		if free {
			return n, nil
		}
	}
	return named{id: facts.Hash.String(), alias: facts.Alias, origin: budget.OriginKey, limits: facts.Limits}, nil
}

func (t *tenants) nameBy(ctx context.Context, origin budget.Origin, facts budget.KeyFacts, credential string) (named, error) {
	n := named{origin: origin}
	switch origin {
	case budget.OriginMetadata:
		n.id, n.limits = facts.TenantID, facts.Limits
	case budget.OriginTeam:
		if facts.TeamID == "" {
			return n, nil
		}
		limits, err := t.dir.Team(ctx, credential, facts.TeamID)
		if trouble(err) {
			return n, err
		}
		n.id, n.limits = facts.TeamID, limits
	case budget.OriginUser:
		return t.nameByUser(ctx, n, facts, credential)
	case budget.OriginKey:
		n.id, n.alias, n.limits = facts.Alias, facts.Alias, facts.Limits
		if n.id == "" {
			n.id = facts.Hash.String()
		}
	case budget.OriginStore, budget.OriginAdmin:
	}
	return n, nil
}

// nameByUser names the tenant by the key's user, unless the user stands for the
// proxy's admins. A user or team that the key may not read names it all the same,
// without a budget.
func (t *tenants) nameByUser(ctx context.Context, n named, facts budget.KeyFacts, credential string) (named, error) {
	if facts.UserID == "" || facts.UserID == defaultUser {
		return n, nil
	}
	limits, admin, err := t.dir.User(ctx, credential, facts.UserID)
	if trouble(err) {
		return n, err
	}
	if !admin {
		n.id, n.limits = facts.UserID, limits
	}
	return n, nil
}

// free reports whether the key may have the name: nobody has it, or a tenant that
// was named in the same way or by an admin. Users choose their keys' aliases, so
// an alias that equals a team's id must not open the team's purse; and an alias
// is one key's own, so a second key with it is a stranger.
func (t *tenants) free(ctx context.Context, n named) (bool, error) {
	r, err := t.e.store.Record(ctx, n.id, t.e.now())
	if errors.Is(err, budget.ErrNotFound) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	if n.origin == budget.OriginKey {
		return false, nil
	}
	return r.Origin == n.origin || r.Origin == budget.OriginAdmin, nil
}
