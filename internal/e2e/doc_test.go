// Package e2e runs the built binary between real clients and a real LiteLLM.
//
// PURSESTRING_TEST_LITELLM_URL, PURSESTRING_TEST_LITELLM_KEY (the master key) and
// PURSESTRING_TEST_LITELLM_DATABASE name the LiteLLM; docs/litellm-testing.md says
// how to start one. Without them the same tests run over the fake of
// internal/litellm/litellmtest, unless PURSESTRING_REQUIRE_LITELLM=1 makes that a
// failure. The clients are the SDKs that `make test-deps` installs.
package e2e
