package litellmtest

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"time"
)

// Event is a budget event. Nil is LiteLLM's null: it sends every member.
type Event struct {
	Spend, MaxBudget, SoftBudget, ProjectedSpend        *float64
	Token, CustomerID, UserID, TeamID, TeamAlias, OrgID any // string or nil
	KeyAlias, ProjectedDate                             any
	Group, Name, Message                                string
}

func (e Event) body() []byte {
	return compact(obj("spend", e.Spend, "max_budget", e.MaxBudget, "soft_budget", e.SoftBudget, "token", e.Token, "customer_id", e.CustomerID,
		"user_id", e.UserID, "team_id", e.TeamID, "team_alias", e.TeamAlias, "organization_id", e.OrgID, "user_email", nil, "key_alias", e.KeyAlias,
		"projected_exceeded_date", e.ProjectedDate, "projected_spend", e.ProjectedSpend, "event_group", e.Group, "alert_emails", nil,
		"max_budget_alert_emails", nil, "event", e.Name, "event_message", e.Message))
}

// SetWebhook changes where budget alerts go; empty: nowhere.
func (s *Server) SetWebhook(url string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.webhook = url
}

// SendWebhook sends an event now, as LiteLLM would. It reports an error unless
// the receiver answers 2xx.
func (s *Server) SendWebhook(ctx context.Context, e Event) error {
	s.mu.Lock()
	url := s.webhook
	s.mu.Unlock()
	if url == "" {
		return nil
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(e.body()))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "litellm/"+version)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return fmt.Errorf("webhook receiver answered %d", resp.StatusCode)
	}
	return nil
}

// alert sends an event that LiteLLM raises by itself, once a day for each id; a
// delivery that fails arms it again. Callers hold s.mu.
func (s *Server) alert(id string, e Event) {
	mark := e.Name + ":" + id
	if s.closed || s.webhook == "" || id != "" && s.alerted[mark] {
		return
	}
	s.alerted[mark] = true
	s.wg.Go(func() {
		ctx, cancel := context.WithTimeout(s.ctx, 10*time.Second)
		defer cancel()
		if s.SendWebhook(ctx, e) == nil {
			return
		}
		s.mu.Lock()
		delete(s.alerted, mark)
		s.mu.Unlock()
	})
}

// alertKey raises what the admission of a key's call raises. Callers hold s.mu.
func (s *Server) alertKey(k *key) {
	spend := k.spend + k.reserved
	e := Event{Spend: &spend, MaxBudget: k.max, SoftBudget: k.soft, Token: k.hash.String(), KeyAlias: orNull(k.alias), UserID: orNull(k.userID), TeamID: orNull(k.teamID), Group: "key"}
	switch {
	case k.max != nil && *k.max > 0 && spend >= *k.max:
		e.Name, e.Message = "budget_crossed", "Key Budget: Budget Crossed\n Total Budget:`"+pyFloat(*k.max)+"`"
	case k.max != nil && *k.max > 0 && spend >= 0.85*(*k.max):
		e.Name, e.Message = "threshold_crossed", "Key Budget: 15% or less of budget remaining"
	case k.soft != nil && spend >= *k.soft:
		e.Name, e.Message = "soft_budget_crossed", "Key Budget: Total Soft Budget:`"+pyFloat(*k.soft)+"`"
	default:
		return
	}
	s.alert(k.hash.String(), e)
}

// services is LiteLLM's own test of the webhook.
func (s *Server) services(w http.ResponseWriter, r *http.Request, admin bool) {
	if !admin || r.URL.Query().Get("service") != "webhook" {
		refuse(w, http.StatusBadRequest, "Service must be one of webhook", "bad_request_error", "None")
		return
	}
	one, zero := 1.0, 0.0
	s.alert("test"+s.now().Format(time.RFC3339Nano), Event{Spend: &one, MaxBudget: &zero, Token: "litellm_proxy_master_key", UserID: "default_user_id", Group: "key", Name: "budget_crossed", Message: "User Budget: Budget Crossed\n Total Budget:`0.0`"})
	reply(w, http.StatusOK, nil)
}
