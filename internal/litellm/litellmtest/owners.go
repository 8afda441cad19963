package litellmtest

import (
	"maps"
	"net/http"
	"slices"
)

func (s *Server) teamInfo(w http.ResponseWriter, r *http.Request, caller *key) {
	id := r.URL.Query().Get("team_id")
	t := s.teams[id]
	switch {
	case t == nil:
		refuse(w, http.StatusNotFound, "{'message': 'Team not found, passed team id: "+id+".'}", "auth_error", "None")
		return
	case caller != nil && caller.teamID != id && caller.userID == "" && caller.teamID == "":
		refuse(w, http.StatusForbidden, "{'error': 'API key not authorized to access this team="+id+". No user_id or team_id associated with this key.'}", "auth_error", "None")
		return
	case caller != nil && caller.teamID != id:
		refuse(w, http.StatusForbidden, "{'error': 'User="+orNone(caller.userID)+" not authorized to access this team="+id+"'}", "auth_error", "None")
		return
	}
	spend, _ := t.recorded(s.now(), s.lag)
	keys := list{}
	for _, k := range s.keys {
		if k.teamID == id && !k.deleted {
			keys = append(keys, append(obj("token", k.hash.String()), s.row(k, "Z")...))
		}
	}
	info := obj("team_alias", orNull(t.alias), "team_id", id, "organization_id", nil, "admins", list{}, "members", list{}, "members_with_roles", list{},
		"metadata", object{}, "tpm_limit", nil, "rpm_limit", nil, "max_budget", t.max, "soft_budget", nil, "budget_duration", orNull(t.duration),
		"budget_limits", nil, "models", list{}, "blocked", false, "spend", spend, "budget_reset_at", secondsOrNull(t.resetAt, "Z"), "created_at", stamp(t.made, "Z"))
	reply(w, http.StatusOK, obj("team_id", id, "team_info", info, "keys", keys, "team_memberships", list{}))
}

func (s *Server) userInfo(w http.ResponseWriter, r *http.Request, caller *key) {
	id := r.URL.Query().Get("user_id")
	if id == "" && caller != nil {
		id = caller.userID
	}
	u := s.users[id]
	flat := r.URL.Path == "/v2/user/info"
	others := caller != nil && caller.userID != id
	switch {
	case others && !flat:
		refuse(w, http.StatusForbidden, "key not allowed to access this user's info. user_id="+id+", key's user_id="+orNone(caller.userID), "auth_error", "None")
		return
	case flat && (u == nil || others): // the newer route does not tell which
		refuse(w, http.StatusNotFound, "User not found: "+id, "internal_server_error", nil)
		return
	case u == nil:
		refuse(w, http.StatusNotFound, "User "+id+" not found", "internal_server_error", nil)
		return
	}
	spend, _ := u.recorded(s.now(), s.lag)
	row := obj("user_id", id, "user_email", nil, "user_alias", nil, "user_role", orNull(u.role), "spend", spend, "max_budget", u.max,
		"tpm_limit", nil, "rpm_limit", nil, "models", list{}, "budget_duration", orNull(u.duration), "budget_reset_at", secondsOrNull(u.resetAt, "Z"),
		"metadata", object{}, "created_at", stamp(u.made, "Z"), "updated_at", stamp(u.made, "Z"), "sso_user_id", nil, "teams", list{},
		"object_permission", nil, "model_max_budget", object{}, "model_max_budget_usage", object{})
	if flat {
		reply(w, http.StatusOK, row)
		return
	}
	keys := list{}
	for _, k := range s.keys {
		if k.userID == id && !k.deleted {
			keys = append(keys, append(obj("token", k.hash.String()), s.row(k, "Z")...))
		}
	}
	reply(w, http.StatusOK, obj("user_id", id, "user_info", row, "keys", keys, "teams", list{}))
}

func orNone(s string) string {
	if s == "" {
		return "None"
	}
	return s
}

func (s *Server) userNew(w http.ResponseWriter, b keyBody) {
	if b.UserID == "" {
		b.UserID = s.uuid()
	}
	s.addUser(User{ID: b.UserID, Role: b.Role, MaxBudget: moneyOf(b.MaxBudget), Duration: textOf(b.Duration)})
	u := s.users[b.UserID]
	reply(w, http.StatusOK, obj("key_alias", nil, "models", list{}, "spend", 0.0, "max_budget", u.max, "user_id", u.id, "budget_duration", orNull(u.duration), "user_role", orNull(u.role)))
}

func (s *Server) teamNew(w http.ResponseWriter, b keyBody) {
	if b.TeamID == "" {
		b.TeamID = s.uuid()
	}
	s.addTeam(Team{ID: b.TeamID, MaxBudget: moneyOf(b.MaxBudget), Duration: textOf(b.Duration)})
	t := s.teams[b.TeamID]
	reply(w, http.StatusOK, obj("team_alias", orNull(t.alias), "team_id", t.id, "metadata", object{}, "max_budget", t.max, "budget_duration", orNull(t.duration), "spend", 0.0, "budget_reset_at", secondsOrNull(t.resetAt, "Z")))
}

func (s *Server) ownersDelete(w http.ResponseWriter, b keyBody) {
	maps.DeleteFunc(s.users, func(id string, _ *user) bool { return slices.Contains(b.UserIDs, id) })
	maps.DeleteFunc(s.teams, func(id string, _ *team) bool { return slices.Contains(b.TeamIDs, id) })
	reply(w, http.StatusOK, obj("deleted_teams", b.TeamIDs))
}
