package e2e

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
)

// scenario is one file of testdata/calls: a request with {{key}}, {{other}},
// {{hash}}, {{other-hash}} and {{master}} in place of credentials and
// {{filler N}} in place of N bytes, and what must have happened to the key before.
type scenario struct {
	name        string
	setup       string
	requestLine string
	fields      []string
	body        []byte
}

// TestRecordings: every kind of call, sent through the sidecar, is answered byte
// for byte as LiteLLM answers the same call made directly with an equal key.
//
// LiteLLM's own budget refusals are translated by an enforcing sidecar, so those
// go through one in shadow mode, which never touches an answer.
func TestRecordings(t *testing.T) {
	t.Parallel()
	l := upstreams(t)
	enforcing := startSidecar(t, l, sidecarSettings{})
	shadow := startSidecar(t, l, sidecarSettings{mode: "shadow"})

	var pairs []*exchangePair
	for _, s := range scenarios(t) {
		sc := enforcing
		if strings.HasPrefix(s.name, "budget-") {
			sc = shadow
		}
		if !l.real && slices.Contains(s.fields, "Upgrade: websocket") {
			continue // the fake's sessions do not end by themselves
		}
		if keys, ok := prepare(t, l, s.setup); ok {
			pairs = append(pairs, &exchangePair{scenario: s, keys: keys, sidecar: hostOf(sc.url)})
		}
	}
	exchangeAll(t, l, pairs)
	for _, p := range pairs {
		t.Run(p.name, func(t *testing.T) {
			for side, err := range p.errs {
				if err != nil {
					t.Fatalf("%s: %v", [2]string{"LiteLLM", "the sidecar"}[side], err)
				}
			}
			compare(t, comparable(p.answers[1], p.keys[1]), comparable(p.answers[0], p.keys[0]))
		})
	}
}

// exchangePair is one call made twice: directly and through the sidecar.
type exchangePair struct {
	scenario
	keys    [2]keyPair
	sidecar string // host:port
	answers [2]wireAnswer
	errs    [2]error
}

// exchangeAll makes all calls, some at once: LiteLLM repeats a call that its
// provider refuses for up to 45 s, and most of that is waiting.
func exchangeAll(t *testing.T, l liteLLM, pairs []*exchangePair) {
	t.Helper()
	const atOnce = 12
	var group errgroup.Group
	group.SetLimit(atOnce)
	slow := func(p *exchangePair) bool { return strings.Contains(p.name, "upstream-") }
	first := slices.DeleteFunc(slices.Clone(pairs), func(p *exchangePair) bool { return !slow(p) })
	for _, p := range append(first, slices.DeleteFunc(slices.Clone(pairs), slow)...) {
		for side, address := range [2]string{hostOf(l.url), p.sidecar} {
			group.Go(func() error {
				p.answers[side], p.errs[side] = sendRaw(t.Context(), address, p.request(l, p.keys[side]))
				return nil
			})
		}
	}
	_ = group.Wait() // errors are kept beside the answers
}

func scenarios(t *testing.T) []scenario {
	t.Helper()
	files, err := filepath.Glob("testdata/calls/*.call")
	if err != nil || len(files) < 100 {
		t.Fatalf("%d calls in testdata/calls: %v", len(files), err)
	}
	var all []scenario
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		s := scenario{name: strings.TrimSuffix(filepath.Base(file), ".call")}
		head, body, _ := strings.Cut(string(text), "\n\n")
		for line := range strings.SplitSeq(strings.TrimSpace(head), "\n") {
			setup, isSetup := strings.CutPrefix(line, "# setup: ")
			switch {
			case isSetup:
				s.setup = setup
			case s.requestLine == "":
				s.requestLine = line
			default:
				s.fields = append(s.fields, line)
			}
		}
		s.body = []byte(strings.TrimSuffix(body, "\n"))
		if strings.Contains(head, "multipart/") {
			s.body = []byte(strings.ReplaceAll(body, "\n", "\r\n"))
		}
		all = append(all, s)
	}
	return all
}

var filler = regexp.MustCompile(`\{\{filler (\d+)\}\}`)

// keyPair is what one side of a comparison calls with.
type keyPair struct{ key, other string }

// request is the scenario's request with the credentials filled in. Host is the
// same on both sides: what LiteLLM makes of it must not differ.
func (s scenario) request(l liteLLM, k keyPair) []byte {
	fill := strings.NewReplacer("{{key}}", k.key, "{{other}}", k.other, "{{hash}}", hashOf(k.key), "{{other-hash}}", hashOf(k.other), "{{master}}", l.master)
	fields := make([]string, len(s.fields))
	for i, f := range s.fields {
		fields[i] = fill.Replace(f)
	}
	body := filler.ReplaceAllFunc([]byte(fill.Replace(string(s.body))), func(m []byte) []byte {
		n, _ := strconv.Atoi(string(filler.FindSubmatch(m)[1]))
		return bytes.Repeat([]byte("x"), n)
	})
	return rawRequest("litellm.test", fill.Replace(s.requestLine), fields, body)
}

// setups bring keys into the state that a scenario wants.
var setups = map[string]func(t *testing.T, l liteLLM) [2]keyPair{
	"": func(t *testing.T, l liteLLM) [2]keyPair { return pairs(t, l, nil) },
	"key-spent": func(t *testing.T, l liteLLM) [2]keyPair {
		p := pairs(t, l, map[string]any{"max_budget": 0.001})
		for _, k := range p {
			l.admin(t, http.MethodPost, "/key/update", map[string]any{"key": k.key, "spend": 0.042}, nil)
		}
		return p
	},
	"key-nearly": func(t *testing.T, l liteLLM) [2]keyPair {
		return pairs(t, l, map[string]any{"max_budget": 0.008})
	},
	"window-spent": func(t *testing.T, l liteLLM) [2]keyPair {
		p := pairs(t, l, map[string]any{"budget_limits": []any{map[string]any{"budget_duration": "1h", "max_budget": 0.001}}})
		for _, k := range p {
			spendDirectly(t, l, k.key)
			refusedDirectly(t, l, k.key, "over 1h budget")
		}
		return p
	},
	"team-spent": func(t *testing.T, l liteLLM) [2]keyPair {
		team := unique("team")
		l.admin(t, http.MethodPost, "/team/new", map[string]any{"team_id": team, "max_budget": 0.001}, nil)
		p := pairs(t, l, map[string]any{"team_id": team})
		spendDirectly(t, l, p[0].key)
		return p
	},
	"user-spent": func(t *testing.T, l liteLLM) [2]keyPair {
		user := unique("user")
		l.admin(t, http.MethodPost, "/user/new", map[string]any{"user_id": user, "max_budget": 0.001, "auto_create_key": false}, nil)
		p := pairs(t, l, map[string]any{"user_id": user})
		spendDirectly(t, l, p[0].key)
		return p
	},
	"end-user-spent": func(t *testing.T, l liteLLM) [2]keyPair {
		// The scenario's body names the customer, so it may be left from an earlier run.
		call(t, http.MethodPost, l.url+"/customer/new", l.master, map[string]any{"user_id": "cust-over", "max_budget": 0.001})
		p := pairs(t, l, nil)
		body := map[string]any{"model": "fake", "user": "cust-over", "messages": []any{map[string]any{"role": "user", "content": promptUsual}}}
		call(t, http.MethodPost, l.url+"/v1/chat/completions", p[0].other, body)
		return p
	},
	"key-blocked": func(t *testing.T, l liteLLM) [2]keyPair {
		p := pairs(t, l, nil)
		for _, k := range p {
			l.admin(t, http.MethodPost, "/key/block", map[string]any{"key": k.key}, nil)
		}
		return p
	},
	"key-deleted": func(t *testing.T, l liteLLM) [2]keyPair {
		p := pairs(t, l, nil)
		l.admin(t, http.MethodPost, "/key/delete", map[string]any{"keys": []string{p[0].key, p[1].key}}, nil)
		return p
	},
	"key-expired": func(t *testing.T, l liteLLM) [2]keyPair {
		p := pairs(t, l, map[string]any{"duration": "1s"})
		for _, k := range p {
			refusedDirectly(t, l, k.key, "Expired Key")
		}
		return p
	},
	"key-one-model": func(t *testing.T, l liteLLM) [2]keyPair {
		return pairs(t, l, map[string]any{"models": []string{"gpt-4o"}})
	},
	"key-two-models": func(t *testing.T, l liteLLM) [2]keyPair {
		return pairs(t, l, map[string]any{"models": []string{"fake", "gpt-4o"}})
	},
}

// prepare returns the keys of both sides, or false where the fake cannot bring
// them into that state.
func prepare(t *testing.T, l liteLLM, setup string) ([2]keyPair, bool) {
	t.Helper()
	setUp, ok := setups[setup]
	if !ok {
		t.Fatalf("no set-up %q", setup)
	}
	if !l.real && setup != "" {
		return [2]keyPair{}, false
	}
	return setUp(t, l), true
}

func pairs(t *testing.T, l liteLLM, fields map[string]any) (p [2]keyPair) {
	t.Helper()
	for i := range p {
		p[i] = keyPair{key: l.key(t, fields), other: l.key(t, nil)}
	}
	return p
}

// spendDirectly makes one call of $0.042, which LiteLLM counts at once.
func spendDirectly(t *testing.T, l liteLLM, key string) {
	t.Helper()
	body := map[string]any{"model": "fake", "messages": []any{map[string]any{"role": "user", "content": promptUsual}}}
	if answer, status := call(t, http.MethodPost, l.url+"/v1/chat/completions", key, body); status != http.StatusOK {
		t.Fatalf("spend: status %d: %s", status, answer)
	}
}

// refusedDirectly calls with the key until LiteLLM refuses with the given text.
// It does so first, so that its caches know as much of one key as of the other:
// the same refusal is worded differently before and after.
func refusedDirectly(t *testing.T, l liteLLM, key, text string) {
	t.Helper()
	body := map[string]any{"model": "fake", "messages": []any{map[string]any{"role": "user", "content": "[[p=1 c=1]]"}}}
	eventually(t, 15*time.Second, "LiteLLM refuses: "+text, func() (string, bool) {
		answer, _ := call(t, http.MethodPost, l.url+"/v1/chat/completions", key, body)
		return string(answer), bytes.Contains(answer, []byte(text))
	})
}

// What may differ between two answers to equal calls: hop-by-hop fields, instants, durations, ids
// that LiteLLM or the provider draws anew, and the caller's own key.
var (
	volatileValue = regexp.MustCompile(`(?i)^(llm_provider-date|x-litellm-call-id|x-litellm-[a-z-]*duration-ms|x-litellm-key-spend|x-ratelimit-remaining-(?:requests|tokens)): .*`)
	aside         = regexp.MustCompile(`(?i)^(date|connection|keep-alive|transfer-encoding):`)
	ours          = regexp.MustCompile(`(?i)^x-budget-`)
	volatileBody  = []struct {
		what *regexp.Regexp
		with string
	}{
		{regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`), "UUID"},
		{regexp.MustCompile(`\d{9}mockmockmock`), "PROVIDER-ID"},
		{regexp.MustCompile(`\b(resp|msg|rs)_[A-Za-z0-9+/_=-]{24,}`), "$1-LITELLM-ID"},
		{regexp.MustCompile(`"(created|created_at|completed_at)": ?\d+(\.\d+)?`), `"$1":0`},
		{regexp.MustCompile(`"(created_at|updated_at|last_active|expires)": ?"[^"]*"`), `"$1":"INSTANT"`},
		{regexp.MustCompile(`\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(\+00:00|Z)?`), "INSTANT"},
		{regexp.MustCompile(`\b[0-9a-f]{64}\b`), "DIGEST"},
		// Two calls on one team, user or customer: the second finds the first one's
		// spend or reservation.
		{amount, "${1}AMOUNT"},
	}
	amount        = regexp.MustCompile(`(Current cost: |Spend=\$?)[0-9.e-]+`)
	contentLength = regexp.MustCompile(`(?i)^(content-length): .*`)
)

// comparable is the answer as lines without what may differ. A stream becomes one
// line per line of its events.
//
// Content-Type and Content-Length are compared without regard to their place and
// case: the server library that we answer with writes them first and in its own
// way. All other fields keep both.
func comparable(a wireAnswer, k keyPair) []string {
	lines := []string{a.status}
	for _, f := range entityFirst(a.fields) {
		switch {
		case ours.MatchString(f), aside.MatchString(f):
			continue
		case volatileValue.MatchString(f):
			f = volatileValue.ReplaceAllString(f, "$1: VOLATILE")
		case amount.Match(a.body):
			f = contentLength.ReplaceAllString(f, "$1: VOLATILE")
		}
		lines = append(lines, f)
	}
	body := string(a.body)
	for secret, name := range map[string]string{k.key: "KEY", k.other: "OTHER", hashOf(k.key): "HASH", hashOf(k.other): "OTHER-HASH"} {
		body = strings.ReplaceAll(body, secret, name)
		// LiteLLM abbreviates the key or its hash, whichever its cache holds.
		short := strings.TrimSuffix(strings.Replace(name, "HASH", "KEY", 1), "-KEY")
		body = strings.ReplaceAll(body, "sk-..."+secret[len(secret)-4:], "sk-..."+short)
	}
	for _, v := range volatileBody {
		body = v.what.ReplaceAllString(body, v.with)
	}
	if a.broken {
		body += "\n(the connection ended inside the body)"
	}
	return append(append(lines, ""), strings.Split(body, "\n")...)
}

func entityFirst(fields []string) []string {
	var first, rest []string
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ":")
		if lower := strings.ToLower(name); lower == "content-type" || lower == "content-length" {
			first = append(first, lower+":"+value)
			continue
		}
		rest = append(rest, f)
	}
	slices.Sort(first)
	return append(first, rest...)
}

func compare(t *testing.T, through, direct []string) {
	t.Helper()
	if slices.Equal(through, direct) {
		return
	}
	for i := range max(len(through), len(direct)) {
		a, b := line(through, i), line(direct, i)
		if a != b {
			t.Errorf("line %d through the sidecar: %s\nline %d from LiteLLM:        %s", i, clip(a), i, clip(b))
			return
		}
	}
}

func line(lines []string, i int) string {
	if i < len(lines) {
		return fmt.Sprintf("%q", lines[i])
	}
	return "(nothing)"
}

func clip(s string) string {
	if len(s) > 1500 {
		return s[:1500] + "…"
	}
	return s
}
