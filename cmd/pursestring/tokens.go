package main

import (
	"bufio"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/pursestring/pursestring/config"
)

// tokensSuffix is added to the store's file for the file of generated tokens.
const tokensSuffix = ".tokens"

// generatedName is the name of the generated admin token in the audit log.
const generatedName = "generated"

// credentials admit people and LiteLLM's webhook to the admin plane.
type credentials struct {
	tokens  []config.Token
	webhook config.Secret // token in the webhook's URL
	file    string        // where generated ones are; "": none are
}

// findCredentials returns the configured credentials and generates what is
// missing, once, into a file beside the store. Under Kubernetes nothing is
// generated: a pod's disk is forgotten, and every pod would have its own.
func findCredentials(c *config.Config) (credentials, error) {
	found := credentials{tokens: c.Admin.Tokens, webhook: c.Admin.WebhookToken}
	needToken := len(found.tokens) == 0
	needWebhook := !found.webhook.IsSet() && !c.Admin.WebhookHMACSecret.IsSet()
	path := tokensFile(c.Store.URL)
	if c.Kubernetes || path == "" || !needToken && !needWebhook {
		return found, nil
	}
	generated, err := generatedTokens(path)
	if err != nil {
		return credentials{}, err
	}
	found.file = path
	if needToken {
		sum := sha256.Sum256([]byte(generated.admin))
		found.tokens = []config.Token{{Name: generatedName, Role: config.RolePlatformAdmin, SHA256: hex.EncodeToString(sum[:])}}
	}
	if needWebhook {
		found.webhook = config.NewSecret(generated.webhook)
	}
	return found, nil
}

// tokensFile is where generated tokens belong; "" for a store without a file.
func tokensFile(store config.Address) string {
	path, ok := strings.CutPrefix(store.Reveal(), "sqlite:")
	path = strings.TrimPrefix(path, "//")
	if !ok || path == "" || strings.HasPrefix(path, ":memory:") {
		return ""
	}
	if absolute, err := filepath.Abs(path); err == nil {
		path = absolute // it is shown to people
	}
	return path + tokensSuffix
}

// tokenPair is what the file of generated tokens holds.
type tokenPair struct{ admin, webhook string }

// generatedTokens reads the file, and makes it when it is not there.
func generatedTokens(path string) (tokenPair, error) {
	pair, err := readTokens(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return pair, err
	}
	if err := writeTokens(path, tokenPair{admin: "ps-admin-" + rand.Text(), webhook: "ps-webhook-" + rand.Text()}); err != nil {
		return tokenPair{}, err
	}
	// Read back: another process may have been first.
	return readTokens(path)
}

const tokensHead = `# Made by Pursestring at its first start. Whoever reads this administers budgets:
# keep it private. Delete it and restart to have new ones made.
`

// writeTokens makes the file whole or not at all, and leaves one that is there.
func writeTokens(path string, pair tokenPair) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".tokens-*") // mode 0600
	if err != nil {
		return fmt.Errorf("generate admin tokens beside the store: %w; set admin.tokens and admin.webhook_token to do without", err)
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = fmt.Fprintf(f, "%sadmin_token=%s\nwebhook_token=%s\n", tokensHead, pair.admin, pair.webhook)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("write generated tokens: %w", err)
	}
	if err := os.Link(f.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("write generated tokens: %w", err)
	}
	return nil
}

func readTokens(path string) (tokenPair, error) {
	f, err := os.Open(path)
	if err != nil {
		return tokenPair{}, fmt.Errorf("read generated tokens: %w", err)
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return tokenPair{}, fmt.Errorf("read generated tokens: %w", err)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return tokenPair{}, fmt.Errorf("generated tokens in %s can be read by others (mode %04o): delete the file to have new ones made, or chmod 600 it", path, mode)
	}
	var pair tokenPair
	for lines := bufio.NewScanner(f); lines.Scan(); {
		switch name, value, _ := strings.Cut(lines.Text(), "="); name {
		case "admin_token":
			pair.admin = value
		case "webhook_token":
			pair.webhook = value
		}
	}
	if pair.admin == "" || pair.webhook == "" {
		return tokenPair{}, fmt.Errorf("generated tokens in %s are incomplete: delete the file to have new ones made", path)
	}
	return pair, nil
}
