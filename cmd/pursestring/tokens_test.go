package main

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/pursestring/pursestring/config"
)

func storeIn(t *testing.T) (*config.Config, string) {
	t.Helper()
	c := config.Default()
	path := filepath.Join(t.TempDir(), "purse.db")
	c.Store.URL = config.NewAddress("sqlite:" + path)
	return c, path + tokensSuffix
}

func TestTokensAreGeneratedOnce(t *testing.T) {
	t.Parallel()
	c, path := storeIn(t)
	var all [8]credentials
	var wg sync.WaitGroup
	for i := range all {
		wg.Go(func() {
			var err error
			if all[i], err = findCredentials(c); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	first := all[0]
	if len(first.tokens) != 1 || first.tokens[0].Role != config.RolePlatformAdmin || !first.webhook.IsSet() || first.file != path {
		t.Fatalf("got %+v, want one platform_admin token and a webhook token in %s", first, path)
	}
	for _, other := range all {
		if other.tokens[0] != first.tokens[0] || other.webhook.Reveal() != first.webhook.Reveal() {
			t.Error("two processes that start at once have different tokens")
		}
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if mode := info.Mode().Perm(); mode != 0o600 {
		t.Errorf("the file's mode is %04o, want 0600", mode)
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 1 {
		t.Errorf("the folder holds %v (error %v), want the file alone", entries, err)
	}
}

func TestTokensAreNotGenerated(t *testing.T) {
	t.Parallel()
	tests := []struct {
		sentence string
		change   func(*config.Config)
	}{
		{"under Kubernetes", func(c *config.Config) { c.Kubernetes = true }},
		{"for a store in memory", func(c *config.Config) { c.Store.URL = config.NewAddress("sqlite::memory:") }},
		{"where both are configured", func(c *config.Config) {
			c.Admin.Tokens = []config.Token{{Name: "alice"}}
			c.Admin.WebhookHMACSecret = config.NewSecret("hmac")
		}},
	}
	for _, tt := range tests {
		c, path := storeIn(t)
		tt.change(c)
		found, err := findCredentials(c)
		if err != nil || found.file != "" || len(found.tokens) != len(c.Admin.Tokens) {
			t.Errorf("%s: got %+v, error %v", tt.sentence, found, err)
		}
		if _, err := os.Stat(path); err == nil {
			t.Errorf("%s: a file was made", tt.sentence)
		}
	}
}

func TestTokensFileMustBeGood(t *testing.T) {
	t.Parallel()
	c, path := storeIn(t)
	for _, tt := range []struct {
		sentence, text, want string
		mode                 os.FileMode
	}{
		{"readable by others", "admin_token=a\nwebhook_token=b\n", "chmod 600", 0o644},
		{"cut short", "admin_token=a\n", "incomplete", 0o600},
	} {
		if err := os.WriteFile(path, []byte(tt.text), tt.mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, tt.mode); err != nil {
			t.Fatal(err)
		}
		if _, err := findCredentials(c); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want an error with %q", tt.sentence, err, tt.want)
		}
	}
}
