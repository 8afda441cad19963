package litellmtest

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/pursestring/pursestring/internal/budget"
)

func itoa(n int) string { return strconv.Itoa(n) }

var passThroughPrefixes = []string{"/openai", "/anthropic", "/gemini", "/vertex_ai", "/vertex-ai", "/bedrock", "/azure", "/cohere", "/mistral"}

// credentialOf finds what the caller pays with, in LiteLLM's order.
func credentialOf(r *http.Request) string {
	for _, p := range passThroughPrefixes {
		if v, ok := r.Header["Litellm_user_api_key"]; ok && strings.HasPrefix(r.URL.Path, p) {
			return v[0]
		}
	}
	if isWebSocket(r) {
		return webSocketCredential(r)
	}
	query := r.URL.Query()["key"]
	last := ""
	if len(query) > 0 {
		last = query[len(query)-1]
	}
	if strings.HasPrefix(r.URL.Path, "/gemini/") {
		if last != "" {
			return last
		}
		return r.Header.Get("x-goog-api-key")
	}
	if v := r.Header.Get("x-litellm-api-key"); v != "" {
		if bearer := bearerOf(v); bearer != "" {
			return bearer
		}
		return v
	}
	if v := r.Header.Get("Authorization"); v != "" {
		return bearerOf(v) // another form yields nothing and still counts
	}
	for _, name := range []string{"API-Key", "x-api-key", "x-goog-api-key", "Ocp-Apim-Subscription-Key"} {
		if v := r.Header.Get(name); v != "" {
			return v
		}
	}
	if strings.Contains(r.URL.Path, "enerateContent") {
		return last
	}
	return ""
}

func bearerOf(v string) string {
	for _, prefix := range []string{"Bearer ", "bearer ", "Basic "} {
		if strings.HasPrefix(v, prefix) {
			return strings.TrimSpace(strings.ReplaceAll(v, prefix, ""))
		}
	}
	return ""
}

func isWebSocket(r *http.Request) bool {
	return strings.EqualFold(r.Header.Get("Upgrade"), "websocket")
}

func webSocketCredential(r *http.Request) string {
	if v, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		return v
	}
	if v := r.Header.Get("api-key"); v != "" {
		return v
	}
	for _, line := range r.Header.Values("Sec-WebSocket-Protocol") {
		for part := range strings.SplitSeq(line, ",") {
			if v, ok := strings.CutPrefix(strings.TrimSpace(part), "openai-insecure-api-key."); ok {
				return v
			}
		}
	}
	return ""
}

// authenticate finds the caller, or refuses. The master key is admin, and no key.
func (s *Server) authenticate(w http.ResponseWriter, r *http.Request) (caller *key, admin bool) {
	status, message, kind, param := s.check(credentialOf(r), &caller, &admin)
	if status == 0 {
		return caller, admin
	}
	if isWebSocket(r) {
		commonHeaders(w.Header())
		w.WriteHeader(http.StatusForbidden) // any refusal, and no body
		return nil, false
	}
	refuse(w, status, message, kind, param)
	return nil, false
}

func (s *Server) check(credential string, caller **key, admin *bool) (status int, message, kind string, param any) {
	const no = http.StatusUnauthorized
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case credential == "":
		return no, "Authentication Error, No api key passed in.", "auth_error", "None"
	case credential == s.master:
		*admin = true
		return 0, "", "", nil
	case !strings.HasPrefix(credential, "sk-"):
		return no, "LiteLLM Virtual Key expected. Received=****, expected to start with 'sk-'.", "auth_error", "None"
	}
	h := budget.HashKey([]byte(credential))
	k := s.keys[h]
	now := s.now()
	switch {
	case k == nil || k.deleted:
		return no, fmt.Sprintf("Authentication Error, Invalid proxy server token passed. Received API Key = sk-...%s, Key Hash (Token) =%s. Unable to find token in cache or `LiteLLM_VerificationTokenTable`", credential[len(credential)-min(4, len(credential)):], h), "token_not_found_in_db", "key"
	case k.blocked != nil && *k.blocked:
		return no, "Authentication Error, Key is blocked. Update via `/key/unblock` if you're an admin.", "auth_error", "None"
	case !k.expires.IsZero() && !now.Before(k.expires):
		return no, fmt.Sprintf("Authentication Error - Expired Key. Key Expiry time %s and current time %s", k.expires.UTC().Format("2006-01-02 15:04:05.000000+00:00"), now.UTC().Format("2006-01-02 15:04:05.000000+00:00")), "expired_key", k.name
	}
	*caller = k
	return 0, "", "", nil
}
