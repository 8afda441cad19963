package litellmtest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/pursestring/pursestring/internal/budget"
)

func (k *key) status(now time.Time) string {
	switch {
	case k.deleted:
		return "deleted"
	case k.blocked != nil && *k.blocked:
		return "revoked"
	case !k.expires.IsZero() && !now.Before(k.expires):
		return "expired"
	}
	return "active"
}

// row writes a key as /key/info does in "info".
func (s *Server) row(k *key, zone string) object {
	now := s.now()
	spend, total := k.recorded(now, s.lag)
	models := list{}
	for _, m := range k.models {
		models = append(models, m)
	}
	made := stamp(k.made, zone)
	return obj(
		"key_name", k.name, "key_alias", orNull(k.alias), "soft_budget_cooldown", false, "spend", spend, "total_spend", total,
		"expires", instantOrNull(k.expires, zone), "models", models, "aliases", object{}, "config", object{}, "router_settings", object{},
		"user_id", orNull(k.userID), "team_id", orNull(k.teamID), "agent_id", nil, "project_id", nil, "permissions", object{},
		"max_parallel_requests", nil, "metadata", k.metadata, "blocked", k.blocked, "tpm_limit", nil, "rpm_limit", nil, "tpd_limit", nil,
		"max_budget", k.max, "budget_duration", orNull(k.duration), "budget_reset_at", secondsOrNull(k.resetAt, zone),
		"allowed_cache_controls", list{}, "allowed_routes", list{}, "key_type", "default", "policies", list{}, "access_group_ids", list{},
		"model_spend", object{}, "model_max_budget", object{}, "budget_fallbacks", object{}, "budget_id", orNull(k.budgetID),
		"organization_id", nil, "object_permission_id", nil, "created_at", made, "created_by", "default_user_id",
		"updated_at", made, "updated_by", "default_user_id", "settings_updated_at", nil, "last_active", nil, "rotation_count", 0,
		"auto_rotate", false, "rotation_interval", nil, "last_rotation_at", nil, "key_rotation_at", nil, "budget_limits", nil,
		"litellm_budget_table", k.budgetTable(zone), "litellm_organization_table", nil, "litellm_project_table", nil,
		"object_permission", nil, "jwt_key_mappings", nil,
	)
}

func (k *key) budgetTable(zone string) any {
	if k.budgetID == "" {
		return nil
	}
	return obj("budget_id", k.budgetID, "max_budget", nil, "soft_budget", k.soft, "max_parallel_requests", nil,
		"tpm_limit", nil, "rpm_limit", nil, "tpd_limit", nil, "model_max_budget", object{}, "budget_duration", nil, "budget_reset_at", nil,
		"allowed_models", list{}, "created_at", stamp(k.made, zone), "created_by", "default_user_id")
}

func (s *Server) keyInfo(w http.ResponseWriter, r *http.Request, caller *key) {
	asked := r.URL.Query().Get("key")
	var k *key
	switch {
	case asked != "":
		k = s.keys[hashOf(asked)]
	case caller != nil:
		k, asked = caller, caller.hash.String()
	}
	switch {
	case k == nil && asked == "":
		refuse(w, http.StatusNotFound, "Key not found in database", "not_found_error", "key")
	case k == nil:
		refuse(w, http.StatusNotFound, "Key not found in database", "not_found_error", "key")
	case !mayRead(caller, k):
		refuse(w, http.StatusForbidden, "You are not allowed to access this key's info. Your role=internal_user", "internal_server_error", nil)
	default:
		reply(w, http.StatusOK, obj("key", asked, "info", s.row(k, "+00:00").with("status", k.status(s.now()))))
	}
}

func mayRead(caller, k *key) bool {
	return caller == nil || caller == k || caller.userID != "" && caller.userID == k.userID || caller.teamID != "" && caller.teamID == k.teamID
}

func (s *Server) keyList(w http.ResponseWriter, r *http.Request, caller *key) {
	if caller != nil {
		refuse(w, http.StatusForbidden, "You are not authorized to access this endpoint. No 'user_id' is associated with your API key.", "bad_request_error", "user_id")
		return
	}
	q := r.URL.Query()
	page, size := intOr(q.Get("page"), 1), intOr(q.Get("size"), 10)
	if size < 1 || size > 100 {
		reply(w, http.StatusUnprocessableEntity, obj("detail", list{obj("type", "less_than_equal", "loc", list{"query", "size"}, "msg", "Input should be less than or equal to 100", "input", q.Get("size"), "ctx", obj("le", 100))}))
		return
	}
	all := make([]*key, 0, len(s.keys))
	for _, k := range s.keys {
		if !k.deleted {
			all = append(all, k)
		}
	}
	slices.SortFunc(all, func(a, b *key) int {
		if q.Get("sort_by") == "token" {
			return strings.Compare(a.hash.String(), b.hash.String())
		}
		return b.made.Compare(a.made)
	})
	pages := (len(all) + size - 1) / size
	rows := list{}
	for _, k := range all[min(len(all), (page-1)*size):min(len(all), page*size)] {
		if q.Get("return_full_object") == "true" {
			rows = append(rows, append(obj("token", k.hash.String()), s.row(k, "Z")...))
		} else {
			rows = append(rows, k.hash.String())
		}
	}
	reply(w, http.StatusOK, obj("keys", rows, "total_count", len(all), "current_page", page, "total_pages", pages))
}

// keyBody is what the endpoints that write are sent; a nil RawMessage was not there.
type keyBody struct {
	Key        string          `json:"key"`
	Keys       []string        `json:"keys"`
	Alias      *string         `json:"key_alias"`
	UserID     string          `json:"user_id"`
	TeamID     string          `json:"team_id"`
	MaxBudget  json.RawMessage `json:"max_budget"`
	SoftBudget json.RawMessage `json:"soft_budget"`
	Duration   json.RawMessage `json:"budget_duration"`
	Expires    string          `json:"duration"`
	Spend      *float64        `json:"spend"`
	Blocked    *bool           `json:"blocked"`
	Models     []string        `json:"models"`
	Metadata   map[string]any  `json:"metadata"`
	To         float64         `json:"reset_to"`
	Role       string          `json:"user_role"`
	UserIDs    []string        `json:"user_ids"`
	TeamIDs    []string        `json:"team_ids"`
}

func (s *Server) keyGenerate(w http.ResponseWriter, b keyBody) {
	k := Key{Credential: b.Key, UserID: b.UserID, TeamID: b.TeamID, Metadata: b.Metadata, Models: b.Models, Duration: textOf(b.Duration)}
	if b.Alias != nil {
		k.Alias = *b.Alias
	}
	k.MaxBudget, k.SoftBudget = moneyOf(b.MaxBudget), moneyOf(b.SoftBudget)
	if b.Spend != nil {
		m, _ := budget.USD(*b.Spend)
		k.Spend = m
	}
	credential, err := s.addKey(k)
	if err != nil {
		refuse(w, http.StatusBadRequest, "Authentication Error, "+err.Error(), "auth_error", "None")
		return
	}
	n := s.keys[budget.HashKey([]byte(credential))]
	if d, err := budget.ParsePeriod(b.Expires); err == nil && !d.IsZero() {
		n.expires = budget.Rule{Period: d, Anchor: s.now()}.Next(s.now())
	}
	row := s.row(n, "Z")
	head := obj("key_alias", orNull(n.alias), "duration", orNull(b.Expires), "models", find(row, "models"), "spend", n.spend,
		"max_budget", n.max, "user_id", orNull(n.userID), "team_id", orNull(n.teamID), "agent_id", nil, "metadata", n.metadata,
		"budget_duration", orNull(n.duration), "budget_limits", nil, "blocked", n.blocked, "key", credential,
		"budget_id", orNull(n.budgetID), "key_name", n.name, "key_type", "default", "expires", instantOrNull(n.expires, "Z"),
		"token_id", n.hash.String(), "litellm_budget_table", n.budgetTable("Z"), "token", n.hash.String())
	reply(w, http.StatusOK, head)
}

func (s *Server) keyUpdate(w http.ResponseWriter, b keyBody) {
	k := s.keys[hashOf(b.Key)]
	if k == nil || k.deleted {
		refuse(w, http.StatusNotFound, "Key not found.", "not_found_error", "key")
		return
	}
	if m := floatOf(moneyOf(b.MaxBudget)); m != nil && *m < 0 {
		refuse(w, http.StatusBadRequest, "max_budget must be a non-negative finite number", "bad_request_error", "max_budget")
		return
	}
	if b.MaxBudget != nil {
		k.max = floatOf(moneyOf(b.MaxBudget))
	}
	if b.SoftBudget != nil {
		k.soft = floatOf(moneyOf(b.SoftBudget))
		if k.budgetID == "" {
			k.budgetID = s.uuid()
		}
	}
	if b.Duration != nil {
		k.setDuration(textOf(b.Duration), s.now())
	}
	if b.Alias != nil {
		k.alias = *b.Alias
	}
	if b.Blocked != nil {
		k.blocked = b.Blocked
	}
	if b.Spend != nil {
		k.spend, k.late = *b.Spend, nil
	}
	if b.Metadata != nil {
		k.metadata, _ = json.Marshal(b.Metadata) // replaced, not merged
	}
	reply(w, http.StatusOK, append(obj("key", b.Key, "token", k.hash.String()), s.row(k, "+00:00")...))
}

func (s *Server) keyBlock(w http.ResponseWriter, b keyBody, blocked bool) {
	k := s.keys[hashOf(b.Key)]
	if k == nil || k.deleted {
		refuse(w, http.StatusNotFound, "Key not found.", "not_found_error", "key")
		return
	}
	k.blocked = &blocked
	reply(w, http.StatusOK, append(obj("token", k.hash.String()), s.row(k, "Z")...))
}

func (s *Server) keyDelete(w http.ResponseWriter, b keyBody) {
	gone := list{}
	for _, name := range b.Keys {
		if k := s.keys[hashOf(name)]; k != nil && !k.deleted {
			k.deleted = true
			gone = append(gone, name)
		}
	}
	if len(gone) == 0 {
		refuse(w, http.StatusNotFound, "No keys found", "not_found_error", "keys")
		return
	}
	reply(w, http.StatusOK, obj("deleted_keys", gone))
}

func (s *Server) resetSpend(w http.ResponseWriter, name string, to float64) {
	k := s.keys[hashOf(name)]
	if k == nil || k.deleted {
		refuse(w, http.StatusNotFound, "Key not found.", "not_found_error", "key")
		return
	}
	was, _ := k.recorded(s.now(), s.lag)
	if to > was {
		reply(w, http.StatusBadRequest, obj("detail", obj("error", fmt.Sprintf("reset_to (%s) must be <= current spend (%s)", pyFloat(to), pyFloat(was)))))
		return
	}
	k.spend = to
	for i := range k.late {
		k.spend += k.late[i].amount // what is queued lands after the reset
	}
	reply(w, http.StatusOK, obj("key_hash", k.hash.String(), "spend", to, "previous_spend", was, "max_budget", k.max, "budget_reset_at", secondsOrNull(k.resetAt, "+00:00")))
}
