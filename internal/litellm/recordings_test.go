package litellm

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/pursestring/pursestring/internal/budget"
)

// recording is one recorded exchange.
type recording struct {
	request []byte // body
	status  int
	head    []byte
	body    []byte
}

func recorded(t *testing.T, name string) recording {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", name+".http"))
	if err != nil {
		t.Fatal(err)
	}
	asked, answered, ok := bytes.Cut(raw, []byte("======== response\n"))
	if !ok {
		t.Fatalf("%s has no response", name)
	}
	answered, _, _ = bytes.Cut(answered, []byte("\n======== note"))
	r := recording{}
	_, r.request, _ = bytes.Cut(asked, []byte("\r\n\r\n"))
	r.head, r.body, ok = bytes.Cut(answered, []byte("\r\n\r\n"))
	if !ok {
		t.Fatalf("%s: the response has no head", name)
	}
	r.request, r.body = bytes.TrimSpace(r.request), bytes.TrimSpace(r.body)
	status := bytes.Fields(r.head)[1]
	r.status, err = strconv.Atoi(string(status))
	if err != nil {
		t.Fatalf("%s: status %q", name, status)
	}
	return r
}

// names lists the recordings that begin with a prefix.
func names(t *testing.T, prefix string) (list []string) {
	t.Helper()
	found, err := filepath.Glob(filepath.Join("testdata", prefix+"*.http"))
	if err != nil || len(found) == 0 {
		t.Fatalf("no recordings %s*: %v", prefix, err)
	}
	for _, f := range found {
		list = append(list, strings.TrimSuffix(filepath.Base(f), ".http"))
	}
	return list
}

func usd(t *testing.T, s string) *budget.Money {
	t.Helper()
	m, err := budget.ParseUSD(s)
	if err != nil {
		t.Fatal(err)
	}
	return &m
}
