package litellmtest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/pursestring/pursestring/internal/budget"
)

// kind is a model API.
type kind uint8

const (
	none kind = iota
	chat
	completions
	embeddings
	responses
	messages
	generate
	generateStream
	countTokens
	modelsList
	realtime
)

// call is one call of a model, from its head to its bill.
type call struct {
	s    *Server
	w    http.ResponseWriter
	r    *http.Request
	kind kind
	pass bool // pass-through: the provider's own bytes
	raw  []byte
	body struct {
		Model     json.RawMessage `json:"model"`
		Stream    json.RawMessage `json:"stream"`
		Options   *streamOptions  `json:"stream_options"`
		MaxTokens *int64          `json:"max_tokens"`
		MaxComp   *int64          `json:"max_completion_tokens"`
		MaxOutput *int64          `json:"max_output_tokens"`
		N         *int64          `json:"n"`
		Messages  json.RawMessage `json:"messages"`
		Input     json.RawMessage `json:"input"`
		Prompt    json.RawMessage `json:"prompt"`
		Contents  json.RawMessage `json:"contents"`
		System    json.RawMessage `json:"system"`
		NoLog     bool            `json:"no-log"`
		User      string          `json:"user"`
	}
	d       map[string]string // the prompt's directives
	name    string            // the model asked for
	m       *Model
	k       *key // nil: the master key
	stream  bool
	id      string // the provider's, without its prefix
	callID  string
	t       tokens
	c       cost
	held    float64
	nousage bool
}

type streamOptions struct {
	IncludeUsage *bool `json:"include_usage"`
}

var (
	inPath    = regexp.MustCompile(`^/(?:engines|openai/deployments)/([^/]+)/(.+)$`)
	googlePat = regexp.MustCompile(`^(?:/gemini)?(?:/v1beta|/v1)?/models/([^:/]+):(\w+)$`)
)

// kindOf classifies a path; model is the one that the path names.
func kindOf(path string) (k kind, pass bool, model string) {
	if m := inPath.FindStringSubmatch(path); m != nil {
		model, path = m[1], "/"+m[2]
	}
	if m := googlePat.FindStringSubmatch(path); m != nil {
		google := map[string]kind{"generateContent": generate, "streamGenerateContent": generateStream, "countTokens": countTokens}
		return google[m[2]], strings.HasPrefix(path, "/gemini/"), m[1]
	}
	switch {
	case strings.HasPrefix(path, "/openai/v1/") && path != "/openai/v1/responses" && path != "/openai/v1/realtime":
		path, pass = strings.TrimPrefix(path, "/openai/v1"), true
	case strings.HasPrefix(path, "/anthropic/"):
		path, pass = strings.TrimPrefix(path, "/anthropic"), true
	case strings.HasPrefix(path, "/openai/"):
		path = strings.TrimPrefix(path, "/openai")
	}
	switch strings.TrimPrefix(path, "/v1") {
	case "/chat/completions":
		k = chat
	case "/completions":
		k = completions
	case "/embeddings":
		k = embeddings
	case "/responses":
		k = responses
	case "/messages":
		k = messages
	case "/messages/count_tokens":
		k = countTokens
	case "/models":
		k = modelsList
	case "/realtime":
		k = realtime
	}
	return k, pass, model
}

// model answers the model routes.
func (s *Server) model(w http.ResponseWriter, r *http.Request, caller *key) {
	k, pass, fromPath := kindOf(r.URL.Path)
	if k == realtime && !isWebSocket(r) {
		k = none
	}
	switch {
	case k == none:
		reply(w, http.StatusNotFound, obj("detail", "Not Found"))
		return
	case k != modelsList && k != realtime && r.Method != http.MethodPost:
		set(w.Header(), "allow", "POST")
		reply(w, http.StatusMethodNotAllowed, obj("detail", "Method Not Allowed"))
		return
	}
	c := &call{s: s, w: w, r: r, kind: k, pass: pass, k: caller, callID: r.Header.Get("x-litellm-call-id")}
	if c.callID == "" || pass {
		c.callID = s.uuid()
	}
	if r.Method == http.MethodPost {
		c.raw = readBody(r)
		if len(c.raw) > 0 {
			if err := json.Unmarshal(c.raw, &c.body); err != nil {
				refuse(w, http.StatusBadRequest, "Invalid JSON payload: unexpected end of data", "invalid_request_error", "request_body")
				return
			}
		}
	}
	c.name = fromPath
	if c.name == "" {
		c.name = textOf(c.body.Model)
	}
	if k == realtime {
		c.name = r.URL.Query().Get("model")
	}
	c.read()
	c.m = s.find(c.name)
	c.run()
}

// read takes from the body what the provider will go by.
func (c *call) read() {
	c.stream = c.kind == generateStream || string(c.body.Stream) == "true" || string(c.body.Stream) == `"true"`
	c.d = directivesOf(c.raw)
	c.id = c.s.nextID()
	_, c.nousage = c.d["nousage"]
}

var directive = regexp.MustCompile(`\[\[(.*?)\]\]`)

func directivesOf(text []byte) map[string]string {
	d := map[string]string{}
	for _, m := range directive.FindAllSubmatch(text, -1) {
		for field := range strings.FieldsSeq(string(m[1])) {
			name, value, ok := strings.Cut(field, "=")
			if !ok {
				value = "1"
			}
			d[name] = value
		}
	}
	return d
}

func (c *call) number(name string, or int64) int64 {
	n, err := strconv.ParseInt(c.d[name], 10, 64)
	if err != nil {
		return or
	}
	return n
}

func (c *call) seconds(name string, or time.Duration) time.Duration {
	f, err := strconv.ParseFloat(c.d[name], 64)
	if err != nil {
		return or
	}
	return time.Duration(f * float64(time.Second))
}

// counted is LiteLLM's own count of the prompt's tokens.
func (c *call) counted() int64 {
	n := 0
	for _, part := range []json.RawMessage{c.body.Messages, c.body.Input, c.body.Prompt, c.body.Contents, c.body.System} {
		n += len(part)
	}
	return max(1, int64(n/4))
}

func (c *call) run() {
	s := c.s
	if !c.admit() {
		return
	}
	defer c.release()
	switch c.kind {
	case modelsList:
		s.mu.Lock()
		defer s.mu.Unlock()
		s.modelList(c.w, c.k)
		return
	case countTokens:
		if c.name == "" || strings.Contains(c.r.URL.Path, ":countTokens") {
			reply(c.w, http.StatusInternalServerError, obj("error", obj("code", 500, "message", "Internal server error", "status", "INTERNAL")))
			return
		}
		reply(c.w, http.StatusOK, obj("input_tokens", 14, "litellm_count_source", "provider"))
		return
	case realtime:
		c.realtime()
		return
	case none, chat, completions, embeddings, responses, messages, generate, generateStream:
	}
	if c.kind == chat && strings.Contains(c.name, ",") {
		c.several()
		return
	}
	if !c.valid() {
		return
	}
	c.reach()
}

// valid answers what is wrong with the request by itself.
func (c *call) valid() bool {
	switch {
	case c.kind == chat && c.body.Messages == nil:
		c.invalid(http.StatusBadRequest, "/chat/completions: Missing required parameter: 'messages'.", "messages")
	case c.m == nil && c.kind == messages && !c.pass:
		text := "anthropic_messages: Invalid model name passed in model=" + c.name + ". Call `/v1/models` to view available models for your key."
		c.errorHeaders()
		set(c.w.Header(), "x-litellm-version", version)
		reply(c.w, http.StatusBadRequest, obj("type", "error", "error", obj("type", "invalid_request_error", "message", text, "provider_specific_fields", obj("error", text))))
	case c.m == nil && !c.pass:
		_, route, _ := strings.Cut(c.r.URL.Path[1:], "/")
		text := "/" + route + ": Invalid model name passed in model=" + c.name + ". Call `/v1/models` to view available models for your key."
		c.errorHeaders()
		reply(c.w, http.StatusBadRequest, obj("error", obj("message", text, "type", "invalid_request_error", "param", nil, "code", "400", "provider_specific_fields", obj("error", text))))
	default:
		return true
	}
	return false
}

func (c *call) invalid(status int, message, param string) {
	c.errorHeaders()
	refuse(c.w, status, message, "invalid_request_error", param)
}

func (c *call) errorHeaders() {
	h := c.w.Header()
	set(h, "x-litellm-call-id", c.callID)
	set(h, "x-litellm-response-cost", "0")
	set(h, "x-litellm-key-spend", pyFloat(c.keySpend(0)))
}

// reach sends the call to the provider.
func (c *call) reach() {
	if hit, ok := c.cached(); ok {
		c.answerFromCache(hit)
		return
	}
	c.reached()
	c.s.pause(c.seconds("slow", c.s.delay))
	if status := c.number("err", 0); status > 0 {
		c.providerError(int(status))
		return
	}
	c.use()
	c.answer()
}

// reached counts a call that gets to the provider.
func (c *call) reached() {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	c.s.upstream++
	if c.k != nil {
		c.k.bill.Calls++
	}
}

// use computes what the call uses and costs.
func (c *call) use() {
	provider := "openai"
	if c.m != nil {
		provider = c.m.provider()
	}
	limit := int64(1 << 40)
	for _, l := range []*int64{c.body.MaxTokens, c.body.MaxComp, c.body.MaxOutput} {
		if l != nil && provider != "gemini" {
			limit = *l
		}
	}
	t := tokens{
		input: c.number("p", c.counted()), output: min(c.number("c", 20), limit),
		cached: c.number("cached", 0), cwrite: c.number("cwrite", 0), cwrite1h: c.number("cwrite1h", 0), reason: c.number("reason", 0),
	}
	switch provider {
	case "anthropic":
		t.input += t.cached + t.cwrite + t.cwrite1h
		t.reason = 0
	case "gemini":
		t.output += t.reason
		t.cwrite, t.cwrite1h = 0, 0
	default:
		t.cwrite, t.cwrite1h = 0, 0
	}
	if c.kind == embeddings {
		t = tokens{input: t.input}
	}
	c.t = t
	if c.m != nil {
		c.c = c.m.cost(t)
	}
}

// book puts a cost on the books, and what the provider asks for on the bill.
func (c *call) book(booked, real float64) {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	k := c.k
	if k == nil {
		return
	}
	if c.body.NoLog {
		booked = 0
	}
	now := c.s.now()
	k.book(now, booked)
	if t := c.s.teams[k.teamID]; t != nil {
		t.book(now, booked)
	} else if u := c.s.users[k.userID]; u != nil {
		u.book(now, booked)
	}
	b, _ := budget.USD(booked)
	m, _ := budget.USD(real)
	k.bill.Booked, k.bill.Real = k.bill.Booked.Add(b), k.bill.Real.Add(m)
	if c.body.User != "" {
		e := Event{Spend: &booked, Token: k.hash.String(), CustomerID: c.body.User, KeyAlias: orNull(k.alias), Group: "end_user", Name: "spend_tracked", Message: fmt.Sprintf("Customer spend tracked. Customer=%s, spend=%s", c.body.User, pyFloat(booked))}
		c.s.alert("", e)
	}
}

// keySpend is x-litellm-key-spend: the database's figure and this call.
func (c *call) keySpend(more float64) float64 {
	if c.k == nil {
		return 0
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	spend, _ := c.k.recorded(c.s.now(), c.s.lag)
	return roundTo(spend+more, 1e-12)
}

func (s *Server) nextID() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers++
	return fmt.Sprintf("%09dmockmockmock", s.answers)
}
