package proxy

import "github.com/pursestring/pursestring/enforce"

// credential is the one that LiteLLM will charge.
type credential struct {
	key   []byte // as hashed by LiteLLM: without "Bearer "; aliases the head
	kind  enforce.CredentialKind
	place string // for messages: "header authorization", "query key", …
}

// credentialRules is the table of places, with the operator's settings.
type credentialRules struct {
	keyHeader string // litellm.key_header, lower-case; empty: not set
}

// find returns the credential that LiteLLM will charge for the request, or a
// bad request when two different values stand in the place that decides.
func (c *credentialRules) find(h *requestHead) (credential, *badRequest) {
	return credential{}, nil
}

// badRequest is a request that is refused with 400 before anything is decided.
type badRequest struct {
	code    string // snake_case, for the body and the log
	message string // names the value's place and the remedy, never a credential
}
