package admin_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/pursestring/pursestring/internal/budget"
)

func TestKeysAreKnownByHashAlone(t *testing.T) {
	t.Parallel()
	p := newPlane(t)
	p.tenant("acme")
	p.tenant("other")
	const path, key = "/admin/tenants/acme/keys", "sk-test-aaaaaaaaaaaaaaaa"
	hash := budget.HashKey([]byte(key)).String()
	a := p.must(http.StatusCreated, "POST", path, operatorToken, `{"key":"`+key+`","alias":"build server"}`)
	if a.json["key_hash"] != hash || a.json["alias"] != "build server" {
		t.Errorf("new key: %s", a.body)
	}
	second := budget.HashKey([]byte("sk-test-bbbbbbbbbbbbbbbb")).String()
	p.must(http.StatusCreated, "POST", path, operatorToken, `{"key_hash":"`+strings.ToUpper(second)+`"}`)
	list := p.must(http.StatusOK, "GET", path, viewerToken, "")
	if !strings.Contains(list.body, hash) || !strings.Contains(list.body, second) {
		t.Errorf("keys: %s", list.body)
	}
	conflict := p.must(http.StatusConflict, "POST", "/admin/tenants/other/keys", operatorToken, `{"key":"`+key+`"}`)
	wantProblem(t, conflict)
	audit := p.must(http.StatusOK, "GET", "/admin/audit", viewerToken, "")
	for _, seen := range []answer{a, list, conflict, audit} {
		if strings.Contains(seen.body, key) {
			t.Errorf("an answer holds the key: %s", seen.body)
		}
	}
	p.must(http.StatusNoContent, "DELETE", path+"?key_hash="+hash, operatorToken, "")
	p.must(http.StatusNoContent, "DELETE", path+"/"+second, operatorToken, "")
	p.must(http.StatusNotFound, "DELETE", path+"/"+second, operatorToken, "")
	if a := p.must(http.StatusOK, "GET", path, viewerToken, ""); a.body != `{"items":[]}`+"\n" {
		t.Errorf("after both were taken away: %s", a.body)
	}
	p.must(http.StatusCreated, "POST", "/admin/tenants/other/keys", operatorToken, `{"key":"`+key+`"}`)
	if len(p.counters.keys) != 5 {
		t.Errorf("the enforcer was told of %d keys, want 5", len(p.counters.keys))
	}
}

func TestKeysThatAreRefused(t *testing.T) {
	t.Parallel()
	p := newPlane(t)
	p.tenant("acme")
	hash := budget.HashKey([]byte("sk-test-x")).String()
	for _, c := range []struct{ name, body, field string }{
		{"neither key nor hash", `{}`, "key"},
		{"both", `{"key":"sk-test-x","key_hash":"` + hash + `"}`, "key_hash"},
		{"no virtual key", `{"key":"hunter2-test"}`, "key"},
		{"a prefix alone", `{"key":"sk-"}`, "key"},
		{"a blank inside", `{"key":"sk-test x"}`, "key"},
		{"a line break inside", `{"key":"sk-test\nx"}`, "key"},
		{"another alphabet", `{"key":"sk-tést"}`, "key"},
		{"a huge key", `{"key":"sk-` + strings.Repeat("x", 600) + `"}`, "key"},
		{"a short hash", `{"key_hash":"abc"}`, "key_hash"},
		{"a key where the hash belongs", `{"key_hash":"sk-test-wrong-place"}`, "key_hash"},
		{"the master key", `{"key":"` + masterKey + `"}`, "key"},
		{"the master key by hash", fmt.Sprintf(`{"key_hash":"%s"}`, budget.HashKey([]byte(masterKey))), "key_hash"},
		{"a key as alias", `{"key":"sk-test-x","alias":"sk-test-x"}`, "alias"},
		{"a control character in the alias", `{"key":"sk-test-x","alias":"a\u0007"}`, "alias"},
	} {
		a := p.do("POST", "/admin/tenants/acme/keys", operatorToken, c.body)
		if a.status != http.StatusUnprocessableEntity || !strings.Contains(a.detail(), c.field+": ") {
			t.Errorf("%s: %v, want 422 that names %s", c.name, a, c.field)
		}
		wantProblem(t, a)
		if strings.Contains(a.body, "sk-test") || strings.Contains(a.body, "hunter2") {
			t.Errorf("%s: the answer repeats the key: %s", c.name, a.body)
		}
	}
	if a := p.must(http.StatusOK, "GET", "/admin/tenants/acme/keys", viewerToken, ""); a.body != `{"items":[]}`+"\n" {
		t.Errorf("refused keys are there: %s", a.body)
	}
}
