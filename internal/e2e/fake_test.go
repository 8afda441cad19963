package e2e

import (
	"testing"

	"github.com/pursestring/pursestring/internal/litellm/litellmtest"
)

func startFake(t *testing.T) liteLLM {
	t.Helper()
	fake, err := litellmtest.Start(litellmtest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := fake.Close(); err != nil {
			t.Errorf("close the fake LiteLLM: %v", err)
		}
	})
	return liteLLM{url: fake.URL(), master: fake.MasterKey()}
}
