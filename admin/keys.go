package admin

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"
	"unicode"

	"github.com/danielgtaylor/huma/v2"

	"github.com/pursestring/pursestring/config"
	"github.com/pursestring/pursestring/internal/budget"
)

func (s *Server) registerKeys() {
	route(s, config.RoleViewer, huma.Operation{
		OperationID: "list-keys", Method: http.MethodGet, Path: "/admin/tenants/{id}/keys",
		Summary: "List a tenant's virtual keys, by hash", Tags: []string{"keys"}, Errors: []int{http.StatusNotFound},
	}, s.listKeys)
	route(s, config.RoleOperator, huma.Operation{
		OperationID: "add-key", Method: http.MethodPost, Path: "/admin/tenants/{id}/keys",
		Summary: "Give a virtual key to a tenant", Tags: []string{"keys"},
		Description:   "Send either key or key_hash. Only the hash is kept, and no answer holds a key.",
		DefaultStatus: http.StatusCreated, Errors: []int{http.StatusNotFound, http.StatusConflict},
	}, s.addKey)
	route(s, config.RoleOperator, huma.Operation{
		OperationID: "remove-key", Method: http.MethodDelete, Path: "/admin/tenants/{id}/keys",
		Summary: "Take a virtual key from a tenant", Tags: []string{"keys"},
		DefaultStatus: http.StatusNoContent, Errors: []int{http.StatusNotFound},
	}, s.removeKeyByQuery)
	route(s, config.RoleOperator, huma.Operation{
		OperationID: "remove-key-by-path", Method: http.MethodDelete, Path: "/admin/tenants/{id}/keys/{key_hash}",
		Summary: "Take a virtual key from a tenant", Tags: []string{"keys"},
		DefaultStatus: http.StatusNoContent, Errors: []int{http.StatusNotFound},
	}, s.removeKeyByPath)
}

// keyView is a virtual key, of which only the hash is known.
type keyView struct {
	KeyHash   string    `json:"key_hash" doc:"SHA-256 of the key: LiteLLM's token hash."`
	Alias     string    `json:"alias"`
	CreatedAt time.Time `json:"created_at"`
}

func viewKey(k budget.TenantKey) keyView {
	return keyView{KeyHash: k.Hash.String(), Alias: k.Alias, CreatedAt: k.CreatedAt.UTC()}
}

type keyList struct {
	Items []keyView `json:"items" nullable:"false"`
}

type listKeysOutput struct{ Body keyList }

func (s *Server) listKeys(ctx context.Context, in *TenantPath) (*listKeysOutput, error) {
	if _, err := s.tenant(ctx, in.ID); err != nil {
		return nil, err
	}
	keys, err := s.store.Keys(ctx, in.ID)
	if err != nil {
		return nil, named(in.ID, err)
	}
	out := &listKeysOutput{Body: keyList{Items: make([]keyView, 0, len(keys))}}
	for _, k := range keys {
		out.Body.Items = append(out.Body.Items, viewKey(k))
	}
	return out, nil
}

type addKeyInput struct {
	TenantPath
	Body struct {
		Key     string `json:"key,omitempty" maxLength:"512" doc:"The virtual key itself, sk-…"`
		KeyHash string `json:"key_hash,omitempty" maxLength:"64" doc:"Its SHA-256 in hexadecimal digits: LiteLLM's token hash."`
		Alias   string `json:"alias,omitempty" maxLength:"256" doc:"A name for people."`
	}
}

type keyOutput struct{ Body keyView }

func (s *Server) addKey(ctx context.Context, in *addKeyInput) (*keyOutput, error) {
	hash, err := in.hash()
	if err != nil {
		return nil, err
	}
	if s.masterKey != nil && hash == *s.masterKey {
		return nil, invalid(in.field(), "is LiteLLM's master key, which is exempt from every budget: give the tenant a virtual key")
	}
	if _, err := s.tenant(ctx, in.ID); err != nil {
		return nil, err
	}
	by := s.by(ctx, "")
	k, err := s.store.AddKey(ctx, budget.TenantKey{Hash: hash, TenantID: in.ID, Alias: in.Body.Alias, CreatedAt: by.At}, by)
	switch {
	case errors.Is(err, budget.ErrConflict):
		return nil, &budget.Error{Code: budget.CodeConflict, Field: in.field(), Err: err, Message: "the key belongs to another tenant: take it from that one first"}
	case err != nil:
		return nil, named(in.ID, err)
	}
	s.enforcer.Invalidate(in.ID)
	s.enforcer.InvalidateKey(hash)
	return &keyOutput{Body: viewKey(k)}, nil
}

// field is the member that names the key.
func (in *addKeyInput) field() string {
	if in.Body.Key != "" {
		return "key"
	}
	return "key_hash"
}

func (in *addKeyInput) hash() (budget.KeyHash, error) {
	b := &in.Body
	if strings.ContainsFunc(b.Alias, unicode.IsControl) {
		return budget.KeyHash{}, invalid("alias", "contains a control character: leave it out")
	}
	if strings.HasPrefix(b.Alias, "sk-") {
		return budget.KeyHash{}, invalid("alias", "begins with sk-, as keys do: aliases are shown, so choose another")
	}
	switch {
	case b.Key != "" && b.KeyHash != "":
		return budget.KeyHash{}, invalid("key_hash", "is sent beside key: send one of them")
	case b.Key != "":
		if !isVirtualKey(b.Key) {
			return budget.KeyHash{}, invalid("key", "is no virtual key: one begins with sk- and has letters, digits and signs without blanks after it")
		}
		return budget.HashKey([]byte(b.Key)), nil
	case b.KeyHash != "":
		return parseHash("key_hash", b.KeyHash)
	}
	return budget.KeyHash{}, invalid("key", "is missing: send key, or key_hash")
}

// isVirtualKey: LiteLLM takes only sk-… for a key (1.106, user_api_key_auth.py),
// and what a header cannot carry cannot be sent to it.
func isVirtualKey(key string) bool {
	rest, ok := strings.CutPrefix(key, "sk-")
	return ok && rest != "" && !strings.ContainsFunc(rest, func(r rune) bool { return r <= ' ' || r > '~' })
}

// parseHash does not repeat what was sent: it may be a key in the wrong place.
func parseHash(field, text string) (budget.KeyHash, error) {
	hash, err := budget.ParseKeyHash(text)
	if err != nil {
		return hash, invalid(field, "is not 64 hexadecimal digits: send the SHA-256 of the key")
	}
	return hash, nil
}

type removeKeyQuery struct {
	TenantPath
	KeyHash string `query:"key_hash" required:"true" maxLength:"64" doc:"SHA-256 of the key."`
}

func (s *Server) removeKeyByQuery(ctx context.Context, in *removeKeyQuery) (*struct{}, error) {
	return nil, s.removeKey(ctx, in.ID, "query.key_hash", in.KeyHash)
}

type removeKeyPath struct {
	TenantPath
	KeyHash string `path:"key_hash" maxLength:"64" doc:"SHA-256 of the key."`
}

func (s *Server) removeKeyByPath(ctx context.Context, in *removeKeyPath) (*struct{}, error) {
	return nil, s.removeKey(ctx, in.ID, "path.key_hash", in.KeyHash)
}

func (s *Server) removeKey(ctx context.Context, id, field, text string) error {
	hash, err := parseHash(field, text)
	if err != nil {
		return err
	}
	if err := s.store.RemoveKey(ctx, id, hash, s.by(ctx, "")); err != nil {
		if errors.Is(err, budget.ErrNotFound) {
			return &budget.Error{Code: budget.CodeNotFound, Err: err, Message: "the tenant " + quoted(id) + " has no such key: GET its keys"}
		}
		return err
	}
	s.enforcer.Invalidate(id)
	s.enforcer.InvalidateKey(hash)
	return nil
}
